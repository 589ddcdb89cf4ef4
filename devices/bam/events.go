package bam

import "github.com/qcemu/qcemu/devices/trace"

// The event stream. Callers on the hot path check the sink themselves, so that without
// one not even arguments are computed. Seq is left to the head of the stream, where the
// events of all models come together.

func (b *BAM) emit(e trace.Event) {
	e.Time = b.now
	b.odd = e
	b.sink.Emit(&b.odd)
}

// tell emits an event of a pipe. A request makes some hundred of them, so its fields are
// set one by one where a copy of the whole would cost more than everything else.
func (b *BAM) tell(k trace.Kind, p *pipe, off uint32, addr uint64, size uint32, value uint64) {
	e := &b.ev
	e.Time, e.Kind, e.By, e.Pipe, e.Flags = b.now, k, p.by, p.id, p.flags
	e.Off, e.Addr, e.Size, e.Value = off, addr, size, value
	b.sink.Emit(e)
}

// event emits an event that says no more than which pipe it is about.
func (b *BAM) event(k trace.Kind, p *pipe) {
	if b.sink != nil {
		b.tell(k, p, p.rd, 0, 0, 0)
	}
}

func (b *BAM) descEvent(k trace.Kind, p *pipe) { b.tell(k, p, p.rd, p.addr, p.size, 0) }

func (b *BAM) writeBackEvent(p *pipe) {
	b.emit(trace.Event{Kind: trace.WriteBack, By: p.by, Pipe: p.id, Off: p.rd, Addr: p.addr, Size: p.pos, Flags: uint16(p.word1 >> 16 & 0xFF00)})
}

func (b *BAM) moveEvent(k trace.Kind, p *pipe, addr uint64, n uint32) {
	b.tell(k, p, p.rd, addr, n, 0)
}

func (b *BAM) faultEvent(p *pipe, addr uint64, n uint32, why trace.FaultReason) {
	b.emit(trace.Event{Kind: trace.BusFault, By: p.by, Pipe: p.id, Off: p.rd, Addr: addr, Size: n, Flags: p.flags, Value: uint64(why)})
}

// elementEvent shows no data of a register that may hold a key.
func (b *BAM) elementEvent(p *pipe, addr, off, val uint32) {
	if b.cfg.Secret == nil || b.cfg.Secret(off) {
		val = 0
	}
	b.tell(trace.Element, p, addr, 0, 0, uint64(val))
}

func (b *BAM) unlockEvent(p *pipe, cause trace.UnlockCause) {
	b.emit(trace.Event{Kind: trace.Unlock, By: p.by, Pipe: p.id, Off: p.rd, Value: uint64(cause)})
}

func (b *BAM) irqEvent(p *pipe, events uint32) {
	b.emit(trace.Event{Kind: trace.PipeIRQ, By: p.by, Pipe: p.id, Value: uint64(events)})
}

func (b *BAM) lineEvent(ee int, level bool) {
	e := trace.Event{Kind: trace.LineSet, By: trace.Master{Via: trace.Model, EE: uint8(ee), Pipe: -1}, Pipe: -1}
	if level {
		e.Value = 1
	}
	b.emit(e)
}

func (b *BAM) regEvent(k trace.Kind, by trace.Master, off, val uint32) {
	e := &b.access
	e.Time, e.Kind, e.Block, e.By, e.Pipe, e.Off, e.Value = b.now, k, trace.BAM, by, -1, off, uint64(val)
	b.sink.Emit(e)
}

// complain reports a broken rule at a pipe's current descriptor.
func (b *BAM) complain(r rule, p *pipe, value uint64) {
	if b.sink != nil {
		b.emit(trace.Event{Kind: trace.Anomaly, Rule: &rules[r], By: p.by, Pipe: p.id, Off: p.rd, Addr: p.addr, Size: p.size, Flags: p.flags, Value: value})
	}
}

// pipeEvent emits what a register write did to a pipe as a whole.
func (b *BAM) pipeEvent(k trace.Kind, p *pipe) {
	if b.sink != nil {
		b.emit(trace.Event{Kind: k, Block: trace.BAM, By: b.actor, Pipe: p.id, Off: b.actorOff})
	}
}

// accuse reports a rule that the register write in progress broke at a pipe.
func (b *BAM) accuse(r rule, pipe int8, value uint64) {
	if b.sink != nil {
		b.emit(trace.Event{Kind: trace.Anomaly, Rule: &rules[r], Block: trace.BAM, By: b.actor, Pipe: pipe, Off: b.actorOff, Value: value})
	}
}

// blame reports a broken rule of a register access that reaches no register.
func (b *BAM) blame(r rule, by trace.Master, off uint32, value uint32) {
	if b.sink != nil {
		b.emit(trace.Event{Kind: trace.Anomaly, Rule: &rules[r], Block: trace.BAM, By: by, Pipe: -1, Off: off, Value: uint64(value)})
	}
}
