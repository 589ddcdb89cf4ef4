package bam

import (
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/trace"
)

// Commands of an element (§9).
const (
	CommandWrite     = 0
	CommandRead      = 1
	CommandWriteLite = 4 // used by one driver; its difference from a write is unknown
)

// beginCommand looks at a command descriptor's flags and size.
func (b *BAM) beginCommand(p *pipe) {
	if !b.cmdEnable {
		b.complain(cmdDisabled, p, 0)
		switch b.cfg.Readings.CmdDisabled {
		case CmdSkipped:
			p.flags &^= FlagCMD | FlagLOCK | FlagUNLOCK | FlagIMME
			b.become(p, closing)
			return
		case CmdAsData:
			p.flags &^= FlagCMD | FlagLOCK | FlagUNLOCK | FlagIMME
			b.beginInput(p)
			return
		}
	}
	if p.flags&oddCommand != 0 {
		if p.flags&FlagEOT != 0 {
			b.complain(cmdWithEOT, p, 0)
		}
		if p.flags&FlagIMME != 0 {
			b.complain(descImme, p, 0)
			p.flags &^= FlagIMME
		}
		if p.flags&(FlagLOCK|FlagUNLOCK) != 0 {
			b.locksAtFetch(p)
		}
	}
	if p.size&(ElementSize-1) != 0 {
		b.complain(cmdSize, p, 0)
	}
	if p.size < ElementSize {
		if p.size == 0 {
			b.complain(cmdZero, p, 0)
		}
		b.handedOver(p)
		return
	}
	b.become(p, command)
}

// element executes the next command element.
func (b *BAM) element(p *pipe) {
	at := p.addr + uint64(p.pos)
	raw := b.buf[:ElementSize]
	if err := p.mem.Read(at, raw); err != nil {
		b.busFault(p, at, ElementSize, false, busElement, err)
		return
	}
	low, high := binary.LittleEndian.Uint64(raw), binary.LittleEndian.Uint64(raw[8:])
	word, data := uint32(low), uint32(low>>32)
	mask, reserved := uint32(high), uint32(high>>32)
	if reserved != 0 {
		b.complain(cmdReserved, p, 0)
	}
	if low|high == 0 {
		b.complain(cmdEmpty, p, 0)
		b.emptyElement(p)
		b.elementDone(p)
		return
	}
	ok := true
	switch cmd := word >> 24; cmd {
	case CommandWrite:
		ok = b.writeElement(p, word&0xFFFFFF, data, mask)
	case CommandRead:
		ok = b.readElement(p, word&0xFFFFFF, data, mask)
	case CommandWriteLite:
		b.complain(cmdWriteLite, p, uint64(word))
		ok = b.writeElement(p, word&0xFFFFFF, data, mask)
	default:
		b.complain(cmdUnknown, p, uint64(word))
	}
	if ok {
		b.elementDone(p)
	}
}

// elementDone goes on behind an element.
func (b *BAM) elementDone(p *pipe) {
	p.pos += ElementSize
	switch {
	case p.size-p.pos >= ElementSize:
	case p.flags&FlagNWD == 0:
		b.become(p, closing)
	default:
		b.handedOver(p)
	}
}

// local is where in the peripheral's registers an element's 24-bit address lies. Of the
// address only the bits of a local window are decoded (§9).
func (b *BAM) local(addr uint32) uint32 { return addr&b.decode - b.winBase }

// locate finds the register that an element's address names, whatever the address is.
func (b *BAM) locate(p *pipe, addr uint32) (off uint32, found, ok bool) {
	off = b.local(addr)
	if off >= b.cfg.Window.Size {
		if addr >= b.cfg.Window.Size {
			b.complain(cmdOutside, p, uint64(addr))
			if b.cfg.Readings.OutsideWindow == OutsideFails {
				b.busFault(p, uint64(addr), 4, false, numRules, nil)
				return 0, false, false
			}
			return 0, false, true
		}
		b.complain(cmdBareOffset, p, uint64(addr))
		if b.cfg.Readings.BareOffset == BareDropped {
			return 0, false, true
		}
		off = addr
	}
	if off&3 != 0 {
		b.complain(cmdUnaligned, p, uint64(addr))
		off &^= 3
	}
	return off, true, true
}

// writeElement returns false when the pipe died of it.
func (b *BAM) writeElement(p *pipe, addr, val, mask uint32) bool {
	off := b.local(addr)
	if off >= b.cfg.Window.Size || off&3 != 0 {
		var found, ok bool
		if off, found, ok = b.locate(p, addr); !found {
			return ok
		}
	}
	if mask != ^uint32(0) {
		b.complain(cmdPartialMask, p, uint64(mask))
		if b.cfg.Readings.ElementMask == MaskZero {
			val &= mask
			mask = ^uint32(0)
		}
	}
	if b.sink != nil {
		b.elementEvent(p, addr, off, val)
	}
	b.periph.WriteReg(p.by, off, val, mask)
	return true
}

// emptyElement is a write of 0 to a bare offset of 0, and nobody's intention: it is
// executed like any other, but what else is wrong with it is not worth a word.
func (b *BAM) emptyElement(p *pipe) {
	if b.local(0) >= b.cfg.Window.Size && b.cfg.Readings.BareOffset == BareDropped {
		return
	}
	mask := uint32(0)
	if b.cfg.Readings.ElementMask == MaskZero {
		mask = ^mask
	}
	if b.sink != nil {
		b.elementEvent(p, 0, 0, 0)
	}
	b.periph.WriteReg(p.by, 0, 0, mask)
}

// readElement writes a register's value to memory: 4 bytes at data, whose bits above 32
// are in the word that is a mask for a write.
func (b *BAM) readElement(p *pipe, addr, data, upper uint32) bool {
	b.complain(cmdRead, p, uint64(addr))
	reading := b.cfg.Readings.ReadElement
	if p.flags&(FlagLOCK|FlagUNLOCK) != 0 {
		reading = b.cfg.Readings.ReadWithLock
	}
	switch reading {
	case ElementDropped:
		return true
	case ElementFails:
		b.busFault(p, uint64(addr), 4, false, numRules, nil)
		return false
	}
	off, found, ok := b.locate(p, addr)
	if !found {
		return ok
	}
	if upper&^b.highMask != 0 && b.cfg.Layout >= V14 {
		b.complain(cmdHighDest, p, uint64(upper))
	}
	dest := uint64(data) | uint64(upper&b.highMask&0xF)<<32
	val := b.periph.ReadReg(p.by, off)
	binary.LittleEndian.PutUint32(b.buf[:4], val)
	if err := p.mem.Write(dest, b.buf[:4]); err != nil {
		b.busFault(p, dest, 4, true, busReadDest, err)
		return false
	}
	if b.sink != nil {
		b.elementEvent(p, addr, off, val)
		b.moveEvent(trace.DataOut, p, dest, 4)
	}
	return true
}
