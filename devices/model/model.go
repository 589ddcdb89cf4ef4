package model

import (
	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/integrity"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/trace"
)

// Model is a crypto block with those who watch it.
type Model struct {
	Config   Config
	Profile  *cryptoblock.Profile
	Block    *cryptoblock.Block
	Counter  *attest.Counter
	Findings *finding.Log
	Oracle   *oracle.Checker // nil: none

	antagonists *antagonist.Schedule // nil: none
	monitor     *integrity.Monitor   // nil: none

	checker *checker.Checker // nil: none
	tap     Tap
	readers int                 // of the event stream, who count what happens
	stopped bool                // nothing counts any more
	ended   bool                // guarded by the block
	counts  []antagonist.Counts // of the antagonists when it ended
	books   []integrity.Book    // of the monitor when it ended
}

// Tap is told of everything that a model's results depend on: what comes into
// the block, and what Begin and End do in between.
type Tap interface {
	cryptoblock.Tap
	Begin(suite string)
	End()
}

// Options are what is no property of the model.
type Options struct {
	Tap    Tap          // nil: none
	Manual bool         // see cryptoblock.Options.Manual
	Exact  bool         // see cryptoblock.Options.Exact
	Sinks  []trace.Sink // further readers of the event stream
}

// New makes the model that a configuration describes.
func New(c Config, o Options) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := cryptoblock.ProfileByName(c.SoC)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c, Profile: p, Counter: attest.NewCounter(), tap: o.Tap}
	m.Findings = finding.NewLog(func(e *trace.Event) string { return m.Block.Describe(e) })
	readers := []trace.Sink{m.Counter, m.Findings}
	opts := cryptoblock.Options{
		Readings: c.Readings, Timing: c.Timing, Faults: c.Faults,
		InFlight: c.InFlight, Manual: o.Manual, Exact: o.Exact,
	}
	if o.Tap != nil {
		opts.Tap = o.Tap
	}
	for _, cl := range c.Clients {
		opts.Clients = append(opts.Clients, cryptoblock.Client{Name: cl.Name, EE: cl.EE, Pair: cl.Pair})
	}
	if c.Order == Random {
		opts.Scheduler = cryptoblock.NewRandomOrder(c.Seed)
	}
	if err := m.antagonize(&opts); err != nil {
		return nil, err
	}
	if c.Oracle > 0 {
		m.Oracle = oracle.NewChecker(c.Oracle)
		opts.Observer = m.Oracle
	}
	if c.Check != nil && !c.Check.Off {
		if err := m.check(c.Check, opts.Clients, o.Sinks); err != nil {
			return nil, err
		}
		readers = append(readers, m.checker)
	}
	if c.Integrity {
		if err := m.guard(&opts); err != nil {
			return nil, err
		}
	}
	readers = append(readers, o.Sinks...)
	m.readers = len(readers)
	opts.Sinks = append(readers, opts.Sinks...)
	if m.Block, err = cryptoblock.New(*p, opts); err != nil {
		return nil, err
	}
	return m, nil
}

// antagonize adds the antagonists that the configuration asks for. Theirs is
// the order of steps then.
func (m *Model) antagonize(o *cryptoblock.Options) error {
	c := &m.Config
	s, err := antagonist.NewSchedule(m.Profile, c.Readings, len(o.Clients), c.Seed, c.Antagonists...)
	if err != nil {
		return err
	}
	if len(s.Clients()) == 0 {
		return nil
	}
	m.antagonists = s
	o.Clients = append(o.Clients, s.Clients()...)
	o.Scheduler = s
	o.Sinks = append(o.Sinks, s) // for some policies wait for events
	return nil
}

// guard adds the monitor of what each side wanted and got.
func (m *Model) guard(o *cryptoblock.Options) error {
	engine, err := m.Profile.EngineConfig(m.Config.Readings)
	if err != nil {
		return err
	}
	m.monitor = integrity.New(integrity.Config{Engine: engine, Owners: m.Profile.Owners(o.Clients),
		Describe: func(e *trace.Event) string { return m.Block.Describe(e) }})
	o.Monitor = m.monitor
	o.Sinks = append(o.Sinks, m.monitor)
	return nil
}

// Integrity returns for each execution environment how its requests ended, so
// far or until End; nothing without Config.Integrity.
func (m *Model) Integrity() (books []integrity.Book) {
	if m.monitor == nil {
		return nil
	}
	m.Block.Between(func() {
		if books = m.books; !m.ended {
			books = m.monitor.Books()
		}
	})
	return books
}

// Antagonists returns what came of the antagonists' requests, so far or until
// End.
func (m *Model) Antagonists() (counts []antagonist.Counts) {
	if m.antagonists == nil {
		return nil
	}
	m.Block.Between(func() {
		if counts = m.counts; !m.ended {
			counts = m.antagonists.Counts()
		}
	})
	return counts
}

// check adds the checker, whose own events go to the log and to further readers.
func (m *Model) check(c *Check, clients []cryptoblock.Client, sinks []trace.Sink) error {
	layout, err := bam.ParseLayout(m.Profile.Layout)
	if err != nil {
		return err
	}
	cfg := checker.Config{Layout: layout, Owners: m.Profile.Owners(clients), Patience: c.Patience, Polls: c.Polls, PollTime: c.PollTime}
	m.checker = checker.New(cfg, trace.NewFan(append([]trace.Sink{m.Findings}, sinks...)...))
	return nil
}

// Checked reports whether there is a checker.
func (m *Model) Checked() bool { return m.checker != nil }

// Standing is checker.Standing of Linux's side.
func (m *Model) Standing() (what string, mark uint64) {
	m.Block.Between(func() { what, mark = m.checker.Standing(m.Profile.EE) })
	return what, mark
}

// Begin attributes what follows to a suite.
func (m *Model) Begin(suite string) {
	m.Block.Between(func() {
		if m.ended {
			return
		}
		m.Counter.Begin(suite)
		m.Findings.Begin(suite)
		if m.tap != nil {
			m.tap.Begin(suite)
		}
	})
}

// End closes the books: what is left over is reported, and nothing that happens
// afterwards counts. Further calls have no effect.
func (m *Model) End() {
	m.Block.Between(func() {
		if m.ended {
			return
		}
		m.ended = true
		if m.checker != nil && !m.stopped {
			m.checker.Finish()
		}
		m.Stop()
		if m.antagonists != nil {
			m.counts = m.antagonists.Counts()
		}
		if m.monitor != nil {
			m.books = m.monitor.Books()
		}
		if m.tap != nil {
			m.tap.End()
		}
	})
}

// Stop makes nothing that happens from here on count. It may be called from
// inside the block.
func (m *Model) Stop() {
	if !m.stopped {
		m.stopped = true
		m.Block.Dismiss(m.readers)
	}
}
