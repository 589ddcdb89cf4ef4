package bam

import (
	"math/bits"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/trace"
)

// BAM is one instance of the hardware. It is entered by one party at a time.
type BAM struct {
	cfg    Config
	periph Peripheral
	lines  []bus.Line
	sink   trace.Sink
	// For rows of register writes; nil where they are not made as such.
	rowPeriph RowPeripheral
	rowSink   trace.RowSink
	slots     []slot // decode table of the layout

	// Masks of pipes, one bit each. A pipe has at most one of the bits in
	// fetch, exec and poll, after its state.
	active uint32 // enabled, not halted, not in reset
	fetch  uint32 // has a published descriptor to fetch
	exec   uint32 // has a step to make, whatever the peripheral says
	poll   uint32 // waits for the peripheral
	lock   lock

	on    bool // BAM_CTRL.EN without SW_RST
	pipes []pipe
	ees   [MaxEEs]ee

	ctrl      uint32
	irqStts   uint32
	irqEn     uint32
	srcsMsk   uint32
	unmasked  uint32 // pipes with an enabled event
	trust     uint32
	cnfg      uint32
	stored    [IRQSrcsEE]uint32 // global registers without effect
	fault     capture
	timer     timer
	now       uint64
	highMask  uint32 // address bits above 32 that exist, as in a descriptor
	decode    uint32 // address bits of an element that are decoded
	winBase   uint32
	burst     uint32
	unknown   [unknownMax]uint32 // offsets that were reported
	unknowns  int
	actor     trace.Master                  // of the register write in progress
	actorOff  uint32                        // and where it goes
	ev        trace.Event                   // scratch, so that an event costs no allocation: of tell
	access    trace.Event                   // of regEvent
	odd       trace.Event                   // and of emit
	buf       [16]byte                      // a descriptor or an element on its way from memory
	row       [readAhead * ElementSize]byte // several of them, for plainWrites
	writes    [readAhead]trace.Write        // what they say
	rowEvent  trace.Row                     // scratch
	cmdEnable bool
}

// ee is an execution environment.
type ee struct {
	mask  uint32 // IRQ_SRCS_MSK_EE
	owned uint32 // pipes
	level bool   // of its line
}

// capture is the bus access that failed first (BAM_AHB_MASTER_ERR_*).
type capture struct {
	ctrls uint32
	addr  uint64
}

// New returns a BAM as it is after power-on. lines are the interrupt lines, one for each
// execution environment; missing and nil ones are not driven. sink may be nil. Memory
// comes by SetPipeMemory. New panics when cfg is not valid.
func New(cfg Config, periph Peripheral, lines []bus.Line, sink trace.Sink) *BAM {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	b := &BAM{
		cfg:      cfg,
		periph:   periph,
		lines:    lines,
		sink:     sink,
		slots:    cfg.Layout.slots(),
		pipes:    make([]pipe, cfg.NumPipes),
		highMask: cfg.highMask(),
		decode:   0x3FFFF,
		burst:    uint32(cfg.Burst),
	}
	if cfg.Readings.ElementDecode == Decode24 {
		b.decode = 0xFFFFFF
	}
	if cfg.ReadAhead {
		b.rowPeriph, _ = periph.(RowPeripheral)
		b.rowSink, _ = sink.(trace.RowSink)
	}
	b.winBase = cfg.Window.Base & b.decode
	if b.burst == 0 {
		b.burst = 1 << 16
	}
	for i := range b.pipes {
		b.pipes[i] = pipe{id: int8(i), bit: 1 << i, mem: bus.None}
	}
	b.powerOn()
	return b
}

// SetPipeMemory gives a pipe the address space that it masters: what its owner's bus
// attributes (VMID, SMMU stream) let it see.
func (b *BAM) SetPipeMemory(pipe int, m bus.Memory) {
	if m == nil {
		m = bus.None
	}
	b.pipes[pipe].mem = m
}

// Reset is a reset of the whole chip: everything is as after power-on, including what
// the controlling execution environment had set up.
func (b *BAM) Reset() {
	b.actor, b.actorOff = trace.Master{Via: trace.Model, Pipe: -1}, 0
	b.resetAll()
	b.powerOn()
}

// Lock returns which pipe holds the pipe lock, and for whom.
func (b *BAM) Lock() (owner trace.Master, held bool) {
	if !b.lock.held {
		return trace.Master{Pipe: -1}, false
	}
	return b.pipes[b.lock.owner].by, true
}

// powerOn sets what survives BAM_CTRL.SW_RST: ownership of pipes and the state that a
// remotely controlled BAM is handed over in.
func (b *BAM) powerOn() {
	b.trust = uint32(b.cfg.ControlEE)
	if b.cfg.RstBlock {
		b.trust |= trustRstBlock
	}
	for i := range b.pipes {
		b.setTrust(&b.pipes[i], b.cfg.trust(i))
	}
	if b.cfg.Remote == ControlledRemotely {
		b.ctrl = ctrlEN
		b.setCnfg(0xFFFFF004) // §4: what the vendor's secure driver writes [I]
	} else {
		b.ctrl = 0
		b.setCnfg(0)
	}
	b.setOn()
}

// resetAll is BAM_CTRL.SW_RST: "all pipes are disabled and idle" (§3 [D]).
func (b *BAM) resetAll() {
	if b.lock.held {
		b.accuse(lockAtBAMRst, b.lock.owner, uint64(b.lock.owner))
		b.unlock(trace.ByBAMReset)
	}
	for i := range b.pipes {
		p := &b.pipes[i]
		b.pipeEvent(trace.PipeReset, p)
		b.clearPipe(p)
		p.rst = 0
		b.refresh(p)
		b.periph.Flush(i)
	}
	for i := range b.ees {
		b.ees[i].mask = 0
	}
	b.irqStts, b.irqEn, b.srcsMsk = 0, 0, 0
	b.stored = [IRQSrcsEE]uint32{}
	b.fault = capture{}
	b.timer = timer{}
	b.setCnfg(0)
	b.updateLines()
}

// setCnfg sets CNFG_BITS.
func (b *BAM) setCnfg(v uint32) {
	b.cnfg = v
	b.cmdEnable = v&cnfgCmdEnable != 0
}

// setOn follows a change of BAM_CTRL.
func (b *BAM) setOn() {
	b.on = b.ctrl&(ctrlEN|ctrlSWRst) == ctrlEN
	for i := range b.pipes {
		b.refresh(&b.pipes[i])
	}
}

// setTrust sets P_TRUST_REG: who owns a pipe.
func (b *BAM) setTrust(p *pipe, v uint32) {
	p.trust = v & registers[PTrustReg].Implemented()
	p.ee = uint8(v & 7)
	p.by = trace.Master{Via: trace.Command, EE: p.ee, Pipe: p.id}
	for i := range b.ees {
		b.ees[i].owned &^= p.bit
	}
	b.ees[p.ee].owned |= p.bit
	b.relock()
	b.updateLines()
}

// Runnable returns the pipes that can make a step now, one bit each.
func (b *BAM) Runnable() uint32 {
	r := b.exec | b.fetch&^b.lock.barred
	for w := b.poll & b.active; w != 0; w &= w - 1 {
		i := bits.TrailingZeros32(w)
		if b.served(&b.pipes[i]) {
			r |= 1 << i
		}
	}
	return r & b.active
}

// served reports whether the peripheral has what a pipe in the poll mask waits for.
func (b *BAM) served(p *pipe) bool {
	switch p.state {
	case input:
		return len(b.periph.In(int(p.id))) != 0
	case output:
		out, eot := b.periph.Out(int(p.id))
		return len(out) != 0 || eot
	case acknowledge:
		return b.periph.NWDAck(int(p.id))
	}
	return false
}

// Step lets a pipe make one small step: fetch a descriptor, execute a command
// element, move a chunk of data, or finish a descriptor. A pipe that cannot do
// anything is left alone.
func (b *BAM) Step(pipe int) {
	if uint(pipe) >= uint(len(b.pipes)) {
		return
	}
	p := &b.pipes[pipe]
	if b.active&p.bit == 0 {
		return
	}
	if b.cfg.Timers && b.Runnable()&p.bit != 0 {
		b.touch(p)
	}
	b.proceed(p, 1)
}
