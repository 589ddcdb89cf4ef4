package bam

import (
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/trace"
)

// state is where a pipe is with its current descriptor.
//
//	         fetch                        last element
//	idle ───────────► command ──────────────────────────┐
//	  ▲     ├───────► input ── last byte ───────────────┤
//	  │     │                          └─► acknowledge ─┤ (NWD)
//	  │     ├───────► output ── full, or end of transfer┤
//	  │     └───────────────────────────────────────────┤ (nothing to do)
//	  │                     finish                      ▼
//	  └────────────────────────────────────────────── closing
//
// A bus error leads from each of them to dead; P_RST leads back to idle. Command
// descriptors with NWD go through acknowledge too.
type state uint8

const (
	idle        state = iota
	command           // executes elements
	input             // moves data from memory to the peripheral
	output            // moves data from the peripheral to memory
	acknowledge       // waits for the peripheral's answer to NWD
	closing           // has nothing left but to finish the descriptor
	dead              // met a bus error
)

// Descriptor flags, as they stand in the upper half of word 1 (§5.1).
const (
	FlagINT    = 0x8000
	FlagEOT    = 0x4000
	FlagEOB    = 0x2000
	FlagNWD    = 0x1000
	FlagCMD    = 0x0800
	FlagLOCK   = 0x0400
	FlagUNLOCK = 0x0200
	FlagIMME   = 0x0100
)

// DescriptorSize is the size of a descriptor, ElementSize of a command element.
const (
	DescriptorSize = 8
	ElementSize    = 16
)

// pipe is one pipe.
type pipe struct {
	id    int8
	ee    uint8 // owner
	state state
	out   bool // the current descriptor is a producer's
	eot   bool // the peripheral ended the transfer in the current descriptor
	bit   uint32
	by    trace.Master // its command elements
	mem   bus.Memory

	// The current descriptor: a copy, made once.
	addr  uint64
	size  uint32
	pos   uint32 // bytes done
	flags uint16 // those that count: see fetchDescriptor
	word1 uint32 // as fetched, for the write-back

	// The FIFO, from the registers.
	base uint64
	ring uint32 // bytes, a multiple of 8
	rd   uint32 // first unfinished descriptor
	tail uint32 // behind the last published one

	ticket  uint64 // order among waiting pipes
	irqStts uint32
	irqEn   uint32
	ctrl    uint32
	rst     uint32
	halt    uint32
	trust   uint32
	evnt    uint32
	fifoLo  uint32
	fifoHi  uint32
	sizes   uint32
	timer   timer
	watch   *watch                      // over the ring; with Config.InFlight
	stored  [numRegs - PTrustReg]uint32 // registers without effect
}

func (p *pipe) producer() bool { return p.ctrl&pctrlDirection != 0 }
func (p *pipe) group() uint8   { return uint8(p.ctrl >> pctrlGroupLo & 31) }
func (p *pipe) super() uint8   { return uint8(p.trust >> 3 & 31) }

// refresh makes the masks of a pipe follow its state and registers.
func (b *BAM) refresh(p *pipe) {
	b.active &^= p.bit
	b.fetch &^= p.bit
	b.exec &^= p.bit
	b.poll &^= p.bit
	const run = pctrlEN | pctrlSysMode
	if b.on && p.ctrl&run == run && p.halt&phaltHalt == 0 && p.rst&1 == 0 {
		b.active |= p.bit
	}
	switch p.state {
	case idle:
		if p.rd != p.tail {
			b.fetch |= p.bit
		}
	case command, closing:
		b.exec |= p.bit
	case input, output, acknowledge:
		b.poll |= p.bit
	}
	b.queue(p)
}

// placeFIFO follows a change of the FIFO's registers.
func (b *BAM) placeFIFO(p *pipe) {
	base, ring := uint64(p.fifoLo&^7)|uint64(p.fifoHi&b.highMask)<<32, p.sizes&0xFFF8
	if base != p.base || ring != p.ring {
		p.watch = nil // it is of other descriptors
	}
	p.base, p.ring = base, ring
	if p.rd >= p.ring {
		p.rd = 0
	}
	b.publish(p)
}

// publish takes over P_EVNT_REG. An offset outside the ring publishes nothing: a pipe
// that followed it would run round the ring for ever.
func (b *BAM) publish(p *pipe) {
	p.tail = p.evnt & 0xFFF8
	if p.tail >= p.ring {
		p.tail = p.rd
	}
	b.refresh(p)
	if b.cfg.Readings.OutOfDesc == OutOfDescLevel {
		b.levelOutOfDesc(p)
	}
}

// setEvnt is a write of P_EVNT_REG.
func (b *BAM) setEvnt(p *pipe, v uint32) {
	if p.ctrl&pctrlEN != 0 {
		b.checkEvnt(p, v)
		if off := v & 0xFFF8; off < p.ring {
			used := distance(p.rd, p.tail, p.ring)
			if used+distance(p.tail, off, p.ring) >= p.ring {
				b.accuse(fifoOverrun, p.id, uint64(v))
			}
			if off == p.tail && used == 0 {
				b.accuse(fifoFull, p.id, uint64(v))
			}
		}
	}
	p.evnt = v
	from := p.tail
	b.publish(p)
	if b.cfg.InFlight {
		b.snapshot(p, from, p.tail)
	}
}

func (b *BAM) checkEvnt(p *pipe, v uint32) {
	off := v & 0xFFFF
	if off&7 != 0 {
		b.accuse(evntUnaligned, p.id, uint64(v))
	}
	if off&^7 >= p.ring && off != 0 {
		b.accuse(evntOutside, p.id, uint64(v))
	}
}

// distance is how far it is from one offset of a ring to another.
func distance(from, to, ring uint32) uint32 {
	if to >= from {
		return to - from
	}
	return to + ring - from
}

// setCtrl is a write of P_CTRL.
func (b *BAM) setCtrl(p *pipe, v uint32) {
	old := p.ctrl
	p.ctrl = v
	if (old^v)&pctrlDirection != 0 {
		p.watch = nil // what descriptors command depends on it
	}
	switch {
	case old&pctrlEN == 0 && v&pctrlEN != 0:
		b.enable(p)
	case old&pctrlEN != 0 && v&pctrlEN == 0:
		b.pipeEvent(trace.PipeDisable, p)
		if b.lock.held && b.lock.owner == p.id {
			b.accuse(lockAtDisable, p.id, 0)
			if b.cfg.Readings.LockOnDisable == ReleaseOnDisable {
				b.unlock(trace.ByDisable)
			}
		}
	case v&pctrlEN != 0 && (old^v)>>pctrlGroupLo&31 != 0:
		b.accuse(lockGroupChanged, p.id, uint64(v))
	}
	b.refresh(p)
	b.relock()
	if b.cfg.Readings.OutOfDesc == OutOfDescLevel {
		b.levelOutOfDesc(p)
	}
}

// enable checks what may be set up in any order before P_EN (§7).
func (b *BAM) enable(p *pipe) {
	b.pipeEvent(trace.PipeEnable, p)
	if !b.on || p.rst&1 != 0 {
		b.accuse(regBAMOff, p.id, uint64(p.ctrl))
	}
	if p.ctrl&pctrlSysMode == 0 {
		b.accuse(regBAM2BAM, p.id, uint64(p.ctrl))
	}
	if p.ctrl&pctrlSysStrm != 0 {
		b.accuse(regStreaming, p.id, uint64(p.ctrl))
	}
	if p.fifoLo&7 != 0 {
		b.accuse(fifoBase, p.id, uint64(p.fifoLo))
	}
	if p.sizes&7 != 0 {
		b.accuse(fifoSize, p.id, uint64(p.sizes&0xFFFF))
	}
	if p.ring == 0 {
		b.accuse(fifoEmpty, p.id, 0)
	}
	if p.evnt != 0 {
		b.checkEvnt(p, p.evnt)
	}
	b.startTimer(&p.timer)
}

// resetPipe is P_RST.
func (b *BAM) resetPipe(p *pipe) {
	b.pipeEvent(trace.PipeReset, p)
	release := false
	if b.lock.held && b.lock.owner == p.id {
		b.accuse(lockAtPipeRst, p.id, 0)
		release = b.cfg.Readings.LockOnPipeRst == ReleaseOnPipeRst
	}
	b.clearPipe(p)
	p.rst = 1
	b.refresh(p)
	b.updateLine(int(p.ee))
	if release {
		b.unlock(trace.ByPipeReset)
	}
	b.relock()
	b.periph.Flush(int(p.id))
}

// clearPipe puts registers and state of a pipe back to their defaults (§4, P_RST [D]).
// It is the caller's to refresh the masks.
func (b *BAM) clearPipe(p *pipe) {
	*p = pipe{id: p.id, bit: p.bit, mem: p.mem, ee: p.ee, by: p.by, trust: p.trust, ticket: p.ticket}
	b.unmasked &^= p.bit
}

// die stops a pipe until it is reset.
func (b *BAM) die(p *pipe) {
	p.state = dead
	b.refresh(p)
}
