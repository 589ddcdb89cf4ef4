// Package finding collects broken rules from the event stream: each rule once,
// with a count, the first place it was seen and what led there.
package finding

import (
	"cmp"
	"slices"
	"sync"

	"github.com/qcemu/qcemu/devices/trace"
)

// historyLen is how many events before a finding are kept, of each side and in
// all.
const historyLen = 32

// sides is how many execution environments there can be.
const sides = 8

// Finding is a rule that was broken.
type Finding struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity string   `json:"severity"`
	Source   string   `json:"source"`           // where the rule comes from
	Driver   string   `json:"driver,omitempty"` // likely driver function
	Count    uint64   `json:"count"`
	By       []Actor  `json:"by"`               // who broke it
	Suites   []string `json:"suites,omitempty"` // in which it was seen
	First    string   `json:"first"`            // the first occurrence, rendered
	Seq      uint64   `json:"seq"`              // its position in the event stream
	History  []string `json:"history"`          // the events before it, oldest first
	// Registers are those that a rule about registers that the model does not
	// have was broken at, with how often each was touched.
	Registers []Register `json:"registers,omitempty"`
	Sides     []Side     `json:"sides,omitempty"` // where more than one EE had acted: the last events of each, apart
}

// Register is a register that a PerRegister rule was broken at.
type Register struct {
	First  string `json:"first"` // the first access, rendered
	Reads  uint64 `json:"reads"`
	Writes uint64 `json:"writes"`

	block trace.Block
	off   uint32
}

// maxRegisters is how many a finding tells apart.
const maxRegisters = 64

// Actor is an execution environment that broke a rule.
type Actor struct {
	EE    int    `json:"ee"`
	Count uint64 `json:"count"`
}

// CountOf is how often an execution environment has broken the rule.
func (f *Finding) CountOf(ee int) uint64 {
	for _, a := range f.By {
		if a.EE == ee {
			return a.Count
		}
	}
	return 0
}

// Side is what one execution environment did last before a finding.
type Side struct {
	EE      int      `json:"ee"`
	History []string `json:"history"` // oldest first
}

// Log is a trace.Sink that collects findings. It may be read while the model
// runs; events come from one party at a time.
type Log struct {
	describe func(*trace.Event) string
	last     [sides]ring // by the EE that an event is about; belongs to Emit
	counting bool        // there is something in watched; belongs to Emit

	mu       sync.Mutex // guards the rest
	suite    string
	findings map[*trace.Rule]*Finding
	// The finding that came last: mostly the next one is the same.
	recent     *Finding
	recentRule *trace.Rule
	watched    []*Finding // of PerRegister rules
}

// NewLog returns an empty log. describe renders an event in one line.
func NewLog(describe func(*trace.Event) string) *Log {
	return &Log{describe: describe, findings: make(map[*trace.Rule]*Finding)}
}

// Begin attributes what follows to a suite.
func (l *Log) Begin(suite string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suite = suite
}

// Wants implements trace.Selective. A command element says no more than the
// register write that follows it.
func (l *Log) Wants(k trace.Kind) bool { return k != trace.Element }

// Emit implements trace.Sink.
func (l *Log) Emit(e *trace.Event) {
	if e.Kind == trace.Anomaly {
		l.add(e)
	}
	if l.counting && e.Kind <= trace.RegWrite {
		l.count(e)
	}
	l.last[e.By.EE%sides].keep(e)
}

// TakesRow implements trace.RowSink.
func (l *Log) TakesRow(*trace.Row) bool { return !l.counting }

// EmitRow implements trace.RowSink.
func (l *Log) EmitRow(r *trace.Row) { l.last[r.By.EE%sides].keepRow(r) }

func (l *Log) add(e *trace.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.recent
	if e.Rule != l.recentRule {
		f = l.findings[e.Rule]
	}
	if f == nil {
		r := e.Rule
		f = &Finding{ID: r.ID, Title: r.Title, Severity: r.Severity.String(), Source: r.Source, Driver: r.Driver,
			First: l.describe(e), Seq: e.Seq}
		f.History, f.Sides = l.history()
		l.findings[e.Rule] = f
		if r.PerRegister {
			l.watched = append(l.watched, f)
			l.counting = true
		}
	}
	if e.Rule.PerRegister && len(f.Registers) < maxRegisters {
		f.Registers = append(f.Registers, Register{First: l.describe(e), block: e.Block, off: e.Off})
		// The access itself stands before or behind the event that reports it.
		if last := l.last[e.By.EE%sides].newest(); last != nil && last.Seq+1 == e.Seq {
			l.countIn(f, last)
		}
	}
	l.recent, l.recentRule = f, e.Rule
	f.Count++
	f.blame(int(e.By.EE))
	if l.suite != "" && !slices.Contains(f.Suites, l.suite) {
		f.Suites = append(f.Suites, l.suite)
	}
}

// count counts an access to a register that was reported.
func (l *Log) count(e *trace.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.watched {
		l.countIn(f, e)
	}
}

func (l *Log) countIn(f *Finding, e *trace.Event) {
	for i := range f.Registers {
		r := &f.Registers[i]
		if r.off != e.Off || r.block != e.Block {
			continue
		}
		switch e.Kind {
		case trace.RegRead:
			r.Reads++
		case trace.RegWrite:
			r.Writes++
		}
	}
}

func (f *Finding) blame(ee int) {
	if len(f.By) == 1 && f.By[0].EE == ee {
		f.By[0].Count++
		return
	}
	i, found := slices.BinarySearchFunc(f.By, ee, func(a Actor, ee int) int { return cmp.Compare(a.EE, ee) })
	if !found {
		f.By = slices.Insert(f.By, i, Actor{EE: ee})
	}
	f.By[i].Count++
}

// history renders the latest events: of all together, and, when there is more
// than one, of each side.
func (l *Log) history() (all []string, each []Side) {
	var events []*trace.Event
	for ee := range l.last {
		own := l.last[ee].all()
		if len(own) == 0 {
			continue
		}
		events = append(events, own...)
		each = append(each, Side{EE: ee, History: l.render(own)})
	}
	if len(each) < 2 {
		each = nil
	}
	slices.SortStableFunc(events, func(a, b *trace.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return l.render(events[max(0, len(events)-historyLen):]), each
}

func (l *Log) render(events []*trace.Event) []string {
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = l.describe(e)
	}
	return lines
}

// Findings returns a copy, sorted by rule ID.
func (l *Log) Findings() []Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Finding, 0, len(l.findings))
	for _, f := range l.findings {
		c := *f
		c.By = slices.Clone(f.By)
		c.Suites = slices.Clone(f.Suites)
		c.Registers = slices.Clone(f.Registers)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Finding) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
