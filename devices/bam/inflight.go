package bam

import "encoding/binary"

// Software must not touch a descriptor or its elements from P_EVNT_REG on until the
// descriptor is finished (§5.2 [C]). With Config.InFlight the BAM looks at them twice, at
// both ends of that time, and reports those that are not the same. What it does with
// them does not depend on that.

// published is a descriptor as it was when it was published.
type published struct {
	known bool
	word0 uint32
	word1 uint32
	sum   uint64 // of its command elements
}

// snapshotMost is how many descriptors and command elements are looked at when software
// publishes some: more than any driver has in a ring at a time. What goes beyond is not
// watched, so that a write of P_EVNT_REG is not held up.
const snapshotMost = 1 << 15

// snapshot notes the descriptors between two offsets of the ring.
func (b *BAM) snapshot(p *pipe, from, to uint32) {
	if p.ring == 0 || from >= p.ring {
		return
	}
	if n := int(p.ring / DescriptorSize); len(p.shadow) != n {
		p.shadow = make([]published, n)
	}
	left := snapshotMost
	for off := from; off != to; {
		p.shadow[off/DescriptorSize] = b.look(p, off, &left)
		if off += DescriptorSize; off >= p.ring {
			off = 0
		}
	}
}

// look reads a descriptor and what it commands, if no more than left is to be read.
func (b *BAM) look(p *pipe, off uint32, left *int) published {
	raw := b.buf[:DescriptorSize]
	if *left--; *left < 0 || p.mem.Read(p.base+uint64(off), raw) != nil {
		return published{}
	}
	s := published{known: true, word0: binary.LittleEndian.Uint32(raw), word1: binary.LittleEndian.Uint32(raw[4:])}
	if p.producer() || s.word1>>16&FlagCMD == 0 {
		return s
	}
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	s.sum = offset
	addr := uint64(s.word0) | uint64(s.word1>>16&0xFF&b.highMask)<<32
	element := b.buf[:ElementSize]
	for n := s.word1 & 0xFFFF; n >= ElementSize; n -= ElementSize {
		if *left--; *left < 0 || p.mem.Read(addr, element) != nil {
			return published{}
		}
		for _, c := range element {
			s.sum = (s.sum ^ uint64(c)) * prime
		}
		addr += ElementSize
	}
	return s
}

// compare looks at a descriptor that is about to be finished.
func (b *BAM) compare(p *pipe) {
	i := p.rd / DescriptorSize
	if i >= uint32(len(p.shadow)) || !p.shadow[i].known {
		return
	}
	was := p.shadow[i]
	p.shadow[i] = published{}
	left := snapshotMost
	switch is := b.look(p, p.rd, &left); {
	case !is.known || is == was:
	case is.word0 != was.word0 || is.word1 != was.word1:
		b.complain(descChanged, p, 0)
	default:
		b.complain(cmdChanged, p, 0)
	}
}
