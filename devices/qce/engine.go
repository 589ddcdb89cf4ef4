package qce

import (
	"github.com/qcemu/qcemu/devices/trace"
)

// Engine is one crypto engine. It is entered by one party at a time and never
// blocks.
type Engine struct {
	cfg  Config
	sink trace.Sink
	obs  Observer
	rd   [numReadings]uint8
	ev   trace.Event // the one that is being emitted: a register access
	odd  trace.Event // and any other

	// Register file, by word offset.
	entry  [windowWords]uint8 // index of the bank in banks
	banks  [256]*Bank         // of Registers; the first is nil: unmodelled
	r      [windowWords]uint32
	writer [windowWords]uint8 // EE of the last write plus 1; 0: not written

	writers uint8 // EEs that have written at all, one bit each

	status, status2 uint32 // the stored bits; the live ones are added on reading
	lock            lockState
	since           sinceGo
	unmodelled      [windowWords + 1]bool // those that were reported; the last is everything outside the window

	// Data. buf[:sent] is delivered, buf[sent:done] waits for the producer,
	// buf[done:fill] is input that is not transformed yet.
	buf              []byte
	sent, done, fill int
	waste            []byte // where discarded input goes

	op    operation
	ports [maxPipeSets]port

	keys schedules
	shas [4]sha
}

const maxPipeSets = 16

// lockState mirrors the BAM's pipe lock.
type lockState struct {
	held  bool
	owner trace.Master
}

// sinceGo counts the register writes that lead to an operation. Each EE's begin
// anew with its GO, and with the release of its lock: what a driver writes
// along with UNLOCK parks the engine, and belongs to no operation (datasheet
// §26). VERSION, the target of dummy writes, does not count.
type sinceGo struct {
	total    uint32 // of all EEs, never reset
	ee       [8]written
	keyWords uint8 // bitmap of the ENCR_KEY words that were written with a value
}

// written is what an EE wrote.
type written struct {
	cpu, command uint32
	first        uint32 // sinceGo.total before its first write
}

// foreign is how many writes of others came between an EE's first one and now.
func (s *sinceGo) foreign(ee uint8) uint32 {
	w := &s.ee[ee&7]
	if w.cpu+w.command == 0 {
		return 0
	}
	return s.total - w.first - w.cpu - w.command
}

// restart begins an EE's count anew.
func (s *sinceGo) restart(ee uint8) { s.ee[ee&7] = written{} }

// port is what the engine knows of the input pipe of a set.
type port struct {
	// open: the last operation ended within the transfer, so its rest, up to
	// an EOT, still waits in the pipe.
	open  bool
	drain bool   // the engine is dropping that rest
	late  bool   // and was still at it when the next operation started
	waste uint32 // bytes dropped
}

// New returns an engine after reset. A nil sink drops all events.
func New(cfg Config, sink trace.Sink) *Engine {
	e := &Engine{cfg: cfg, sink: sink, obs: cfg.Observer}
	copy(e.rd[:], cfg.Readings)
	for i := range Registers {
		b := &Registers[i]
		if b.Since > cfg.Version {
			continue
		}
		e.banks[i+1] = b
		for n := range b.Count {
			e.entry[b.Off/4+uint32(n)] = uint8(i + 1)
		}
	}
	e.buf = make([]byte, cfg.bufferSize()+tailMax)
	e.waste = make([]byte, cfg.bufferSize())
	for i := range e.shas {
		e.shas[i] = newSHA(i)
	}
	e.Reset()
	return e
}

// Reset is the power-on reset: registers, keys and data are gone. A running
// operation is dropped.
func (e *Engine) Reset() {
	if e.op.phase != idle {
		e.abort(0)
	}
	clear(e.r[:])
	clear(e.writer[:])
	e.writers = 0
	for i := range Registers {
		b := &Registers[i]
		for n := range b.Count {
			e.r[b.Off/4+uint32(n)] = b.Reset
		}
	}
	e.r[Version/4] = e.cfg.Version
	e.r[EnginesAvail/4] = e.cfg.Engines
	e.r[FIFOSizes/4] = uint32(e.cfg.fifoWords()) * 0x0101
	e.status, e.status2 = 0, 0
	e.lock = lockState{}
	e.since = sinceGo{}
	e.ports = [maxPipeSets]port{}
	e.sent, e.done, e.fill = 0, 0, 0
	e.op = operation{}
	e.keys.forget()
	clear(e.buf)
	clear(e.waste)
}

// Busy reports whether an operation runs.
func (e *Engine) Busy() bool { return e.op.phase != idle }

// emit sends an event that has no more than these fields. It sets them one by
// one: that is much cheaper than a copy of the whole, and each register write
// is an event.
func (e *Engine) emit(kind trace.Kind, by trace.Master, off uint32, value uint64) {
	ev := &e.ev
	ev.Kind, ev.Block, ev.By, ev.Pipe, ev.Off, ev.Value = kind, trace.QCE, by, -1, off, value
	e.sink.Emit(ev)
}

// note reports a broken rule. size and value are as the rule's text says.
func (e *Engine) note(r *trace.Rule, by trace.Master, off, size uint32, value uint64) {
	if e.sink == nil {
		return
	}
	e.odd = trace.Event{Kind: trace.Anomaly, Block: trace.QCE, By: by, Pipe: by.Pipe, Off: off, Size: size, Value: value, Rule: r}
	if by.Via != trace.Command {
		e.odd.Pipe = -1
	}
	e.sink.Emit(&e.odd)
}

// noteOp reports a broken rule of the running operation.
func (e *Engine) noteOp(r *trace.Rule, off, size uint32, value uint64) {
	e.note(r, e.op.by, off, size, value)
}

func (e *Engine) emitOp(kind trace.Kind) {
	if e.sink == nil {
		return
	}
	e.odd = trace.Event{Kind: kind, Block: trace.QCE, By: e.op.by, Pipe: -1, Size: e.op.report.Bytes, Op: &e.op.report}
	e.sink.Emit(&e.odd)
}
