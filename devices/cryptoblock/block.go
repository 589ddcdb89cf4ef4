package cryptoblock

import (
	"cmp"
	"slices"
	"sync"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/trace"
)

// Options are what a run chooses beside the chip.
type Options struct {
	Readings  reading.Choice // where the hardware guide is silent; nil: the defaults
	Sinks     []trace.Sink   // readers of the event stream
	Observer  qce.Observer   // nil: none
	Monitor   Monitor        // tells wrong results from right ones; nil: none
	Tap       Tap            // sees all input, for a recording; nil: none
	Clients   []Client       // users of the block beside Linux
	Scheduler Scheduler      // nil: the fastest order
	Timing    Timing         // the zero value: everything happens at once
	Faults    *Faults        // nil: none
	// InFlight has the BAM look for descriptors and elements that software
	// changes while they are in flight.
	InFlight bool
	// Manual blocks do nothing by themselves: what an access leaves to happen
	// waits for the next entry, or for Settle. For replays and tests.
	Manual bool
	// Exact blocks read memory piece by piece as the steps do, like blocks with
	// a Tap do: for replays.
	Exact bool
}

// Block is one crypto block. Its methods may be called from any goroutine.
type Block struct {
	profile   Profile
	layout    bam.Layout
	stream    stream
	tap       Tap
	scheduler Scheduler
	timing    Timing
	owners    []uint8 // EE of each pipe
	manual    bool
	ordered   bool // not simply the fastest order: masters, times, faults or a schedule
	timed     bool
	faulty    bool

	mu      sync.Mutex // guards everything below, and with it the order of all events
	bam     *bam.BAM
	engine  *qce.Engine
	monitor Monitor // nil: none
	lines   []line  // by EE
	masters []master
	faults  faultState
	clock   clock
	now     uint64 // model time, ns
	rest    bool   // the last entry left something to happen
	bg      bool   // a goroutine is about to see to it
	entries uint64 // so far

	deadlock bool   // reported
	entry    Entry  // the one that is being made
	choices  Choice // scratch
}

// master is a client inside the block.
type master struct {
	index  int // in Options.Clients
	master Master
	bus    masterBus
}

// New returns a block as after power-on.
func New(p Profile, o Options) (*Block, error) {
	if err := p.check(o.Clients); err != nil {
		return nil, err
	}
	b := &Block{
		profile: p, tap: o.Tap, scheduler: o.Scheduler, timing: o.Timing, manual: o.Manual,
		owners: p.Owners(o.Clients), lines: make([]line, p.NumEEs), faulty: !o.Faults.none(),
	}
	b.stream = stream{block: b, fan: trace.NewFan(o.Sinks...)}
	b.timed = !o.Timing.zero() || b.faulty && o.Faults.StalledEngine > 0
	b.ordered = b.timed || b.faulty || o.Scheduler != nil
	b.faults = newFaults(b, o.Faults)
	bamConfig, err := p.bamConfig(o.Readings, b.owners)
	if err != nil {
		return nil, err
	}
	qceConfig, err := p.qceConfig(o.Readings, b.owners)
	if err != nil {
		return nil, err
	}
	bamConfig.InFlight = o.InFlight
	// Faults are drawn, time is charged and a recording is made for each read of memory.
	bamConfig.ReadAhead = o.Tap == nil && !o.Exact && !b.timed && !b.faulty
	qceConfig.Observer = observe(o.Observer, o.Monitor)
	qceConfig.BufferSize = cmp.Or(b.faults.Buffer, o.Timing.Buffer)
	b.layout = bamConfig.Layout
	var sink trace.Sink
	if len(o.Sinks) > 0 {
		sink = &b.stream
	}
	lines := make([]bus.Line, p.NumEEs)
	for i := range lines {
		b.lines[i].block = b
		lines[i] = &b.lines[i]
	}
	b.engine = qce.New(qceConfig, sink)
	var periph bam.Peripheral = b.engine
	if b.monitor = o.Monitor; b.monitor != nil {
		periph = b.watch(b.monitor, b.engine)
	}
	b.bam = bam.New(bamConfig, periph, lines, sink)
	b.setMemory(p.EE, bus.None)
	for i := range o.Clients {
		b.add(i, &o.Clients[i])
	}
	return b, nil
}

// add lets a client in.
func (b *Block) add(i int, c *Client) {
	if c.Master != nil {
		b.ordered = true
		b.masters = append(b.masters, master{index: i, master: c.Master, bus: masterBus{block: b, by: trace.CPUOf(c.EE)}})
	}
	mem := c.Memory
	if mem == nil {
		mem = bus.None
	}
	b.setMemory(c.EE, mem)
	b.lines[c.EE].out = c.Line
}

// Attach gives the block the memory that Linux's pipes master, and Linux's
// interrupt line.
func (b *Block) Attach(mem bus.Memory, line bus.Line) { b.Port(b.profile.EE).Attach(mem, line) }

// Reset is the power-on reset of the whole chip.
func (b *Block) Reset() { b.Do(Entry{Kind: ResetEntry, EE: uint8(b.profile.EE)}) }

func (b *Block) reset() {
	if b.monitor != nil {
		b.monitor.Reset()
	}
	b.bam.Reset()
	b.engine.Reset()
	b.clock = clock{}
	for i := range b.masters {
		b.masters[i].master.Reset()
	}
	if b.scheduler != nil {
		b.scheduler.Reset()
	}
}

// ReadRegion is a load by Linux's processor from the block's window, of 1, 2, 4
// or 8 bytes, which end inside the window.
func (b *Block) ReadRegion(off uint64, p []byte) error {
	putValue(p, b.access(&Entry{Kind: ReadEntry, EE: uint8(b.profile.EE), Size: uint8(len(p)), Off: off}))
	return nil
}

// WriteRegion is the store that ReadRegion is the load of.
func (b *Block) WriteRegion(off uint64, p []byte) error {
	b.access(&Entry{Kind: WriteEntry, EE: uint8(b.profile.EE), Size: uint8(len(p)), Off: off, Value: value(p)})
	return nil
}

// access makes an entry and returns the value of a load.
func (b *Block) access(e *Entry) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.enter(e)
	return b.entry.Value
}

func (b *Block) read(by trace.Master, off uint32) uint32 {
	switch p := &b.profile; {
	case off-p.BAMOffset < p.BAMSize:
		return b.bam.Read(by, off-p.BAMOffset)
	case off-p.QCEOffset < p.QCESize:
		return b.engine.Read(by, off-p.QCEOffset)
	}
	return 0
}

func (b *Block) write(by trace.Master, off, val uint32) {
	switch p := &b.profile; {
	case off-p.BAMOffset < p.BAMSize:
		b.bam.Write(by, off-p.BAMOffset, val)
	case off-p.QCEOffset < p.QCESize:
		if b.monitor != nil {
			b.monitor.RegWrite(by, off-p.QCEOffset, val, ^uint32(0))
		}
		b.engine.Write(by, off-p.QCEOffset, val)
	}
}

func (b *Block) oddAccess(by trace.Master, off uint32) {
	switch p := &b.profile; {
	case off-p.BAMOffset < p.BAMSize:
		b.bam.OddAccess(by, off-p.BAMOffset)
	case off-p.QCEOffset < p.QCESize:
		b.engine.OddAccess(by, off-p.QCEOffset)
	}
}

// Dismiss takes the first n readers of the event stream away. It may be called
// from inside the block.
func (b *Block) Dismiss(n int) { b.stream.fan = b.stream.fan.Without(n) }

// Describe renders an event in one line.
func (b *Block) Describe(e *trace.Event) string {
	return describe(b.layout, e)
}

// Rules returns the rules that the models of the block check.
func Rules() []*trace.Rule {
	return slices.Concat(bam.Rules(), qce.Rules, []*trace.Rule{RuleDeadlock})
}

// stream numbers the events and hands them to every reader that wants them.
type stream struct {
	block *Block
	fan   *trace.Fan
	seq   uint64
}

func (s *stream) Emit(e *trace.Event) {
	s.seq++
	e.Seq, e.Time = s.seq, s.block.now
	s.fan.Emit(e)
}

// TakesRow implements trace.RowSink.
func (s *stream) TakesRow(*trace.Row) bool { return true }

// EmitRow implements trace.RowSink. Where one of the readers wants single
// events of the row, all get them.
func (s *stream) EmitRow(r *trace.Row) {
	r.Seq, r.Time = s.seq+1, s.block.now
	s.seq += uint64(len(r.Writes)) * trace.EventsPerWrite
	if s.fan.TakesRow(r) {
		s.fan.EmitRow(r)
	} else {
		r.Split(s.fan)
	}
}
