package testbench

import (
	"fmt"
	"sync"
	"time"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/vhostuser/backend"
)

// turns takes down what the host sees of a guest's turns (job.Turn): what the
// engine did, and where the time went. The oracle rests meanwhile: it would take
// time from what is measured.
type turns struct {
	model *Model

	mu     sync.Mutex
	resume func()          // wakes the oracle; nil: it does not rest
	server *backend.Server // of the virtio-crypto device
	qemu   int             // process
	name   string          // of the turn
	begin  sight
	sums   map[string]*sight
	ways   []report.Way
}

// turnAlgorithm is what the turns are about, in the engine's words.
const turnAlgorithm = "cbc-aes"

// sight is what the host has seen up to a moment, or between two.
type sight struct {
	wall      time.Duration
	processor processor
	model     time.Duration
	engine    uint64 // operations
	reads, writes,
	kicks, calls int64

	at time.Time
}

func newTurns(m *Model) *turns { return &turns{model: m, sums: map[string]*sight{}} }

// watch says whom to look at.
func (t *turns) watch(qemu int, s *backend.Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.qemu, t.server = qemu, s
}

// event takes note of a turn, and adds to a case what the host has seen of it.
func (t *turns) event(e job.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Type == job.Turn:
		if now := t.look(); t.name != "" {
			t.sum(t.name).add(&t.begin, &now)
		}
		t.rest(e.Text != "")
		t.name, t.begin = e.Text, t.look()
	case e.Type == job.CaseDone && e.Case != nil:
		if way, users, ok := suites.ParseVirtioSpeed(e.Case.Name); ok {
			t.finish(way, users, e.Case)
		}
	}
}

// end is the end of the guest, in the middle of a turn or not.
func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest(false)
}

// rest has the oracle rest, or not any more. t.mu is held.
func (t *turns) rest(now bool) {
	switch {
	case now && t.resume == nil:
		t.resume = t.model.pauseOracle()
	case !now && t.resume != nil:
		t.resume()
		t.resume = nil
	}
}

func (t *turns) sum(name string) *sight {
	s := t.sums[name]
	if s == nil {
		s = &sight{}
		t.sums[name] = s
	}
	return s
}

func (t *turns) look() sight {
	s := sight{at: time.Now(), processor: processorTime(t.qemu)}
	if m := t.model.meter; m != nil {
		s.model = time.Duration(m.model.Load())
		s.reads, s.writes = m.reads.Load(), m.writes.Load()
	}
	for _, r := range t.model.Counter.Rows() {
		if r.Algorithm == turnAlgorithm && (r.EE == t.model.Profile.EE || t.model.isVirtio(r.EE)) {
			s.engine += r.Requests
		}
	}
	if t.server != nil {
		s.kicks, s.calls = t.server.Events()
	}
	return s
}

func (s *sight) add(from, to *sight) {
	s.wall += to.at.Sub(from.at)
	s.processor.add(to.processor.sub(from.processor))
	s.model += to.model - from.model
	s.engine += to.engine - from.engine
	s.reads += to.reads - from.reads
	s.writes += to.writes - from.writes
	s.kicks += to.kicks - from.kicks
	s.calls += to.calls - from.calls
}

// finish makes the way of a case. Each way must have been to the engine as often
// as the guest has sent a request on it, which the built-in back-end never is.
func (t *turns) finish(way string, users int, c *report.Case) {
	s := t.sums[c.Name]
	n := c.Metrics[suites.VirtioRequests]
	if s == nil || n == 0 {
		return
	}
	per := func(d time.Duration) float64 { return float64(d) / n }
	w := report.Way{
		Name: way, Users: users, Requests: int(n), PerSecond: c.Metrics[suites.VirtioRate],
		P50: c.Metrics[suites.VirtioP50], P99: c.Metrics[suites.VirtioP99],
		Engine: s.engine, Attested: s.engine == uint64(n),
		Wall: per(s.wall), Guest: per(s.processor.guest), QEMU: per(s.processor.qemu), Qcemu: per(s.processor.qcemu),
		Model: per(s.model), Queue: per(s.processor.queue),
		Reads: float64(s.reads) / n, Writes: float64(s.writes) / n, Interrupts: c.Metrics[suites.VirtioInterrupts] / n,
		Kicks: float64(s.kicks) / n, Calls: float64(s.calls) / n,
	}
	if way == suites.VirtioBuiltin {
		w.Attested = s.engine == 0
	}
	if !w.Attested && c.Status == report.Pass {
		c.Status, c.Detail = report.Fail, fmt.Sprintf("the engine has done %d requests while the guest made %.0f on this way", s.engine, n)
	}
	t.ways = append(t.ways, w)
}

// all returns the ways that were measured.
func (t *turns) all() []report.Way {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ways
}
