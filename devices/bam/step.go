package bam

import (
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/trace"
)

// Flags that ask for a closer look at a descriptor of each kind.
const (
	oddProducer = FlagCMD | FlagLOCK | FlagUNLOCK | FlagIMME
	oddCommand  = FlagEOT | FlagLOCK | FlagUNLOCK | FlagIMME
	oddData     = FlagNWD | FlagLOCK | FlagUNLOCK | FlagIMME
)

// fetchDescriptor copies the next descriptor and decides what it is. Flags that have no
// effect on this kind of pipe or BAM are reported and dropped from the copy.
func (b *BAM) fetchDescriptor(p *pipe) {
	if b.lock.waiting&p.bit != 0 {
		b.dequeue(p)
	}
	raw := b.buf[:DescriptorSize]
	if err := p.mem.Read(p.base+uint64(p.rd), raw); err != nil {
		b.busFault(p, p.base+uint64(p.rd), DescriptorSize, false, busDesc, err)
		return
	}
	desc := binary.LittleEndian.Uint64(raw)
	p.word1 = uint32(desc >> 32)
	high := p.word1 >> 16 & 0xFF
	p.addr = desc&0xFFFF_FFFF | uint64(high&b.highMask)<<32
	p.size = p.word1 & 0xFFFF
	p.flags = uint16(p.word1 >> 16 & 0xFF00)
	p.pos = 0
	p.out = p.producer()
	p.eot = false
	b.fetch &^= p.bit
	if b.sink != nil {
		b.descEvent(trace.DescFetch, p)
	}
	if high&^b.highMask != 0 {
		b.complain(descHighAddr, p, uint64(high))
	}
	switch {
	case p.out:
		b.beginOutput(p)
	case p.flags&FlagCMD != 0:
		b.beginCommand(p)
	default:
		b.beginInput(p)
	}
}

func (b *BAM) beginOutput(p *pipe) {
	if p.flags&oddProducer != 0 {
		if p.flags&FlagCMD != 0 {
			b.complain(descCmdOnProducer, p, 0)
		}
		b.dropDataFlags(p)
	}
	if p.size == 0 {
		b.complain(descZero, p, 0)
		b.become(p, closing)
		return
	}
	b.become(p, output)
}

func (b *BAM) beginInput(p *pipe) {
	if p.flags&oddData != 0 {
		if p.flags&(FlagNWD|FlagEOT) == FlagNWD {
			b.complain(descNWDAlone, p, 0)
		}
		imme := p.flags & FlagIMME
		b.dropDataFlags(p)
		if imme != 0 { // the "buffer" is the command itself; its encoding is unknown (§5.3)
			b.become(p, closing)
			return
		}
	}
	if p.size == 0 {
		b.complain(descZero, p, 0)
		if p.flags&FlagEOT != 0 {
			b.periph.Fed(int(p.id), 0, true, true)
		}
		b.handedOver(p)
		return
	}
	b.become(p, input)
}

// dropDataFlags reports and drops what belongs to command descriptors only.
func (b *BAM) dropDataFlags(p *pipe) {
	if p.flags&(FlagLOCK|FlagUNLOCK) != 0 {
		b.complain(lockOnData, p, 0)
	}
	if p.flags&FlagIMME != 0 {
		b.complain(descImme, p, 0)
	}
	p.flags &^= oddProducer
}

// become changes the state of a running pipe.
func (b *BAM) become(p *pipe, s state) {
	p.state = s
	switch s {
	case command, closing:
		b.exec |= p.bit
		b.poll &^= p.bit
	default:
		b.poll |= p.bit
		b.exec &^= p.bit
	}
}

// feed moves a chunk from memory to the peripheral.
func (b *BAM) feed(p *pipe) {
	space := b.periph.In(int(p.id))
	if len(space) == 0 {
		return
	}
	n := min(p.size-p.pos, b.burst)
	if uint64(len(space)) < uint64(n) {
		n = uint32(len(space))
	}
	addr := p.addr + uint64(p.pos)
	if err := p.mem.Read(addr, space[:n]); err != nil {
		b.busFault(p, addr, n, false, busDataRead, err)
		b.periph.Fault(int(p.id))
		return
	}
	p.pos += n
	last := p.pos == p.size
	b.periph.Fed(int(p.id), int(n), last, last && p.flags&FlagEOT != 0)
	if b.sink != nil {
		b.moveEvent(trace.DataIn, p, addr, n)
	}
	if last {
		b.handedOver(p)
	}
}

// handedOver follows the last byte or element of a consumer's descriptor.
func (b *BAM) handedOver(p *pipe) {
	if p.flags&FlagNWD != 0 && !(b.cfg.Readings.NWDScope == NWDLast && p.flags&(FlagEOT|FlagCMD) == 0) {
		b.become(p, acknowledge)
		b.event(trace.NWDWait, p)
		return
	}
	b.become(p, closing)
}

// drain moves a chunk from the peripheral to memory.
func (b *BAM) drain(p *pipe) {
	out, eot := b.periph.Out(int(p.id))
	if len(out) == 0 && !eot {
		return
	}
	n := min(p.size-p.pos, b.burst)
	if uint64(len(out)) <= uint64(n) {
		n = uint32(len(out))
	} else {
		eot = false // more is to come
	}
	if n != 0 {
		addr := p.addr + uint64(p.pos)
		if err := p.mem.Write(addr, out[:n]); err != nil {
			b.busFault(p, addr, n, true, busDataWrite, err)
			b.periph.Fault(int(p.id))
			return
		}
		p.pos += n
		if b.sink != nil {
			b.moveEvent(trace.DataOut, p, addr, n)
		}
	}
	b.periph.Drained(int(p.id), int(n), eot)
	if eot || p.pos == p.size {
		p.eot = eot
		b.become(p, closing)
	}
}

// finish completes the current descriptor. What software can see changes in this order:
// the descriptor in memory, the lock, the offset, the status bits, the line (§6.2, Part E.7).
func (b *BAM) finish(p *pipe) {
	flags := p.flags
	if p.watch != nil {
		b.compare(p)
	}
	if p.out {
		if !b.writeBack(p) {
			return
		}
		if p.eot {
			flags |= FlagEOT
		}
	} else if flags&(FlagLOCK|FlagUNLOCK) != 0 {
		b.locksAtEnd(p)
	}
	if b.sink != nil {
		b.descEvent(trace.DescDone, p)
	}
	p.pos = 0
	p.state = idle
	p.rd += DescriptorSize
	if p.rd >= p.ring {
		p.rd = 0
	}
	b.exec &^= p.bit
	b.poll &^= p.bit
	var events uint32
	if p.rd != p.tail {
		b.fetch |= p.bit
		if b.lock.blocked&p.bit != 0 {
			b.queue(p)
		}
	} else {
		events = IRQOutOfDesc
	}
	if flags&FlagINT != 0 {
		events |= IRQPrcsdDesc
	}
	if flags&FlagEOT != 0 {
		events |= IRQTrnsfrEnd
	}
	if events != 0 {
		b.raise(p, events)
	}
}

// writeBack writes what a producer's descriptor became: its byte count, and EOT where the
// peripheral ended the transfer. It touches these 8 bytes and no other (§5.2 [C]).
func (b *BAM) writeBack(p *pipe) bool {
	p.word1 = p.word1&^0xFFFF | p.pos
	if p.eot {
		p.word1 |= FlagEOT << 16
	}
	raw := b.buf[:DescriptorSize]
	binary.LittleEndian.PutUint32(raw, uint32(p.addr))
	binary.LittleEndian.PutUint32(raw[4:], p.word1)
	at := p.base + uint64(p.rd)
	if err := p.mem.Write(at, raw); err != nil {
		b.busFault(p, at, DescriptorSize, true, busWriteBack, err)
		return false
	}
	if b.sink != nil {
		b.writeBackEvent(p)
	}
	return true
}
