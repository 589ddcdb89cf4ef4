package integrity

import (
	"sync"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/trace"
)

// Config says what is watched.
type Config struct {
	Engine   qce.Config                // of the engine that the block has
	Owners   []uint8                   // EE of each pipe
	Limit    int                       // requests of more bytes are not judged; 0: 1 MiB
	Describe func(*trace.Event) string // renders an event in one line
}

const defaultLimit = 1 << 20

// Monitor is a cryptoblock.Monitor, and a trace.Sink of the same block: its
// history comes from the event stream.
type Monitor struct {
	cfg     Config
	results func() ([64]byte, [16]byte, [4]uint32)
	report  func(*trace.Event)
	sides   [maxEEs]*side // nil: has not shown up
	running *side         // whose operation runs
	history history
	event   trace.Event // scratch

	mu    sync.Mutex // guards books, which others read
	books [maxEEs]*Book
}

const maxEEs = 8

// side is an execution environment with its intent and its request in progress.
type side struct {
	ee     uint8
	shadow *qce.Shadow
	book   *Book

	asked bool        // GO was written, the output has not ended
	ran   bool        // the engine took the GO
	same  bool        // and latched what was intended
	alg   string      // as intended
	cfg   qce.Latched // relevant part as intended
	full  qce.Latched // all of it
	// What passed the side's pipes since its last request ended. Bytes that
	// another side's operation took or gave count: they are this side's.
	in, out []byte
	foreign bool // some of it did
	long    bool // too much to be judged
	status  uint32
}

// New returns a monitor. Put it into the block's options as Monitor and among
// the Sinks.
func New(cfg Config) *Monitor {
	if cfg.Limit == 0 {
		cfg.Limit = defaultLimit
	}
	return &Monitor{cfg: cfg}
}

// Join implements cryptoblock.Monitor.
func (m *Monitor) Join(results func() ([64]byte, [16]byte, [4]uint32), report func(*trace.Event)) {
	m.results, m.report = results, report
}

// side returns an execution environment's side.
func (m *Monitor) side(ee uint8) *side {
	ee &= maxEEs - 1
	if m.sides[ee] == nil {
		s := &side{ee: ee, shadow: qce.NewShadow(m.cfg.Engine)}
		m.mu.Lock()
		if m.books[ee] == nil {
			m.books[ee] = &Book{EE: int(ee), byAlg: map[string]*AlgCount{}}
		}
		s.book = m.books[ee]
		m.mu.Unlock()
		m.sides[ee] = s
	}
	return m.sides[ee]
}

// owner is the side that a pipe belongs to.
func (m *Monitor) owner(pipe int) *side {
	if pipe < 0 || pipe >= len(m.cfg.Owners) {
		return nil
	}
	return m.side(m.cfg.Owners[pipe])
}

// RegWrite implements cryptoblock.Monitor.
func (m *Monitor) RegWrite(by trace.Master, off, val, mask uint32) {
	s := m.side(by.EE)
	if !qce.IsGo(off) {
		s.shadow.Write(off, val, mask)
		return
	}
	if val&mask&qce.Go == 0 {
		return
	}
	if s.asked {
		m.lose(s, "another GO came before its end")
	}
	full, ok := s.shadow.Latch(off, val&mask)
	const registerPath = 1 << 4
	if !ok || full.Config&registerPath != 0 {
		return // the engine would refuse it anyhow; or no pipe is involved
	}
	s.asked, s.ran, s.same, s.status = true, false, false, 0
	s.alg, s.full, s.cfg = s.shadow.Algorithm(), full, oracle.Relevant(&full)
}

// Start implements qce.Observer.
func (m *Monitor) Start(op *trace.Op, c *qce.Latched) {
	s := m.side(op.EE)
	m.running = s
	if s.asked && !s.ran {
		s.ran = true
		s.same = oracle.Relevant(c) == s.cfg
	}
}

// Input and Output implement qce.Observer: what counts is what passes the pipes.
func (m *Monitor) Input([]byte)  {}
func (m *Monitor) Output([]byte) {}

// Done implements qce.Observer.
func (m *Monitor) Done(op *trace.Op) {
	m.running = nil
	s := m.side(op.EE)
	if !s.asked || !s.ran {
		return
	}
	s.status = op.Status
	if s.full.EncrSegCfg&cipherMask == 0 && s.full.Go&qce.ResultsDump == 0 {
		m.good(s) // its results stay in registers
		s.forget()
	}
}

const cipherMask = 7 // ENCR_SEG_CFG.ALG

// Abort implements qce.Observer.
func (m *Monitor) Abort(op *trace.Op) {
	m.running = nil
	if s := m.side(op.EE); s.asked && s.ran {
		m.lose(s, "it was aborted")
	}
}

// Fed implements cryptoblock.Monitor.
func (m *Monitor) Fed(pipe int, p []byte) {
	if s := m.owner(pipe); s != nil {
		s.in = m.keep(s, s.in, p)
	}
}

// Drained implements cryptoblock.Monitor.
func (m *Monitor) Drained(pipe int, p []byte, eot bool) {
	s := m.owner(pipe)
	if s == nil {
		return
	}
	s.out = m.keep(s, s.out, p)
	if eot {
		m.judge(s)
	}
}

// keep appends to a stream of a side.
func (m *Monitor) keep(s *side, to, p []byte) []byte {
	if m.running != nil && m.running != s {
		s.foreign = true
	}
	if len(to)+len(p) > m.cfg.Limit {
		s.long = true
		return to
	}
	return append(to, p...)
}

// Flush implements cryptoblock.Monitor: the owner gives up what it has asked
// for.
func (m *Monitor) Flush(pipe int) {
	s := m.owner(pipe)
	if s == nil || m.sides[s.ee] == nil {
		return
	}
	if s.asked && pipe&1 == 1 {
		m.lose(s, "its output pipe was reset")
	}
	if pipe&1 == 1 || !s.asked {
		s.forget()
	}
}

// Reset implements cryptoblock.Monitor.
func (m *Monitor) Reset() {
	for _, s := range m.sides {
		if s != nil {
			s.shadow.Reset()
			s.forget()
		}
	}
	m.running = nil
}

// forget ends a request.
func (s *side) forget() {
	clear(s.in)
	clear(s.out)
	s.in, s.out = s.in[:0], s.out[:0]
	s.asked, s.ran, s.same, s.foreign, s.long = false, false, false, false, false
	s.full, s.cfg = qce.Latched{}, qce.Latched{}
}
