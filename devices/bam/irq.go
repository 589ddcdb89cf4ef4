package bam

import (
	"errors"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/trace"
)

// The interrupt tree (§6.1):
//
//	P_IRQ_STTS & P_IRQ_EN ─► bit of the pipe ──┐
//	BAM_IRQ_STTS & BAM_IRQ_EN ─► bit 31 ───────┴► IRQ_SRCS_UNMASKED_EE & IRQ_SRCS_MSK_EE ─► IRQ_SRCS_EE ─► line
//
// A pipe's bit goes to its owner, bit 31 to the EE in TRUST_REG.BAM_EE.

// raise sets events of a pipe.
func (b *BAM) raise(p *pipe, events uint32) {
	p.irqStts |= events
	if b.sink != nil {
		b.irqEvent(p, events)
	}
	if events&p.irqEn != 0 {
		b.unmasked |= p.bit
		b.updateLine(int(p.ee))
	}
}

// setIRQ follows a change of P_IRQ_STTS or P_IRQ_EN by software.
func (b *BAM) setIRQ(p *pipe) {
	if p.irqStts&p.irqEn != 0 {
		b.unmasked |= p.bit
	} else {
		b.unmasked &^= p.bit
	}
	b.updateLine(int(p.ee))
}

// clearIRQ is a write of P_IRQ_CLR.
func (b *BAM) clearIRQ(p *pipe, v uint32) {
	p.irqStts &^= v
	b.setIRQ(p)
	if b.cfg.Readings.OutOfDesc == OutOfDescLevel {
		b.levelOutOfDesc(p)
	}
}

// levelOutOfDesc is OUT_OF_DESC where it is a level.
func (b *BAM) levelOutOfDesc(p *pipe) {
	empty := p.ctrl&pctrlEN != 0 && p.state == idle && p.rd == p.tail
	switch {
	case empty && p.irqStts&IRQOutOfDesc == 0:
		b.raise(p, IRQOutOfDesc)
	case !empty && p.irqStts&IRQOutOfDesc != 0:
		p.irqStts &^= IRQOutOfDesc
		b.setIRQ(p)
	}
}

// globalEE is the execution environment that gets the global interrupt.
func (b *BAM) globalEE() int { return int(b.trust & 7) }

// sources are the sources of an execution environment before its mask.
func (b *BAM) sources(ee int) uint32 {
	s := b.unmasked & b.ees[ee].owned
	if b.irqStts&b.irqEn != 0 && ee == b.globalEE() {
		s |= globalIRQ
	}
	return s
}

// allSources are the sources of all of them.
func (b *BAM) allSources() uint32 {
	s := b.unmasked
	if b.irqStts&b.irqEn != 0 {
		s |= globalIRQ
	}
	return s
}

// updateLine drives the line of an execution environment.
func (b *BAM) updateLine(ee int) {
	e := &b.ees[ee]
	level := b.sources(ee)&e.mask != 0
	if level == e.level {
		return
	}
	e.level = level
	if b.sink != nil {
		b.lineEvent(ee, level)
	}
	if ee < len(b.lines) && b.lines[ee] != nil {
		b.lines[ee].Set(level)
	}
}

func (b *BAM) updateLines() {
	for i := range b.cfg.NumEEs {
		b.updateLine(i)
	}
}

// busFault reports a failed access of the BAM's master, by the registers that the
// hardware has for it (§10), and stops the pipe. numRules stands for no rule, no err for
// an access that is not one to memory.
func (b *BAM) busFault(p *pipe, addr uint64, size uint32, write bool, r rule, err error) {
	if b.irqStts&bamIRQHresp == 0 {
		const nonSequential, word = 2, 2 << 3
		b.fault.ctrls = nonSequential | word | p.trust>>8&31<<18
		if write {
			b.fault.ctrls |= 1 << 2
		}
		b.fault.addr = addr
	}
	if b.sink != nil {
		b.faultEvent(p, addr, size, b.faultReason(p, addr, size, err))
	}
	if r != numRules {
		b.complain(r, p, addr)
	}
	b.die(p)
	b.irqStts |= bamIRQHresp
	b.updateLine(b.globalEE())
	event := uint32(IRQHrespErr)
	if b.cfg.Layout == V13 {
		event = IRQErr
	}
	b.raise(p, event)
}

// faultReason tells a buffer that ends outside memory from one that lies outside.
func (b *BAM) faultReason(p *pipe, addr uint64, size uint32, err error) trace.FaultReason {
	var f *bus.Fault
	if !errors.As(err, &f) {
		return trace.FaultOther
	}
	switch f.Reason {
	case bus.ReadOnly:
		return trace.FaultReadOnly
	case bus.Unmapped:
		if size > 1 && p.mem.Read(addr, b.buf[:1]) == nil {
			return trace.FaultPartly
		}
		return trace.FaultUnmapped
	}
	return trace.FaultOther
}
