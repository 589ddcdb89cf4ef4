package bam

import (
	"bytes"
	"encoding/binary"
)

// Software must not touch a descriptor or its elements from P_EVNT_REG on until the
// descriptor is finished (§5.2 [C]). With Config.InFlight the BAM looks at them twice, at
// both ends of that time, and reports those that are not the same. What it does with
// them does not depend on that. A row of plain register writes is looked at as one, at
// both ends: see publish and plainRow.

// watch is what a pipe's descriptors were when they were published. The slices go by the
// slot in the ring.
type watch struct {
	kinds    []byte   // how the rest is to be read
	descs    []byte   // the descriptor
	elements []byte   // kept: the only element
	sums     []uint64 // summed: what digest said
}

// Kinds of slots.
const (
	unwatched byte = iota
	kept
	summed
)

func newWatch(slots int) *watch {
	return &watch{make([]byte, slots), make([]byte, slots*DescriptorSize), make([]byte, slots*ElementSize), make([]uint64, slots)}
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
	if slots := int(p.ring / DescriptorSize); p.watch == nil || len(p.watch.kinds) != slots {
		p.watch = newWatch(slots)
	}
	left := snapshotMost
	if to < from {
		b.note(p, from, p.ring, &left)
		from = 0
	}
	b.note(p, from, to, &left)
}

// note notes the descriptors of a part of the ring. Left is how much may still be looked
// at. Without Config.ReadAhead it reads one descriptor or element at a time.
func (b *BAM) note(p *pipe, from, to uint32, left *int) {
	w := p.watch
	if b.cfg.ReadAhead && p.mem.Read(p.base+uint64(from), w.descs[from:to]) == nil {
		b.noteRows(p, from, to, left)
		return
	}
	for off := from; off < to; off += DescriptorSize {
		if *left > 0 && p.mem.Read(p.base+uint64(off), w.descs[off:off+DescriptorSize]) == nil {
			b.noteOne(p, off, left)
			continue
		}
		w.kinds[off/DescriptorSize] = unwatched
		*left--
	}
}

// noteRows notes what descriptors command that have been read already. Elements that lie
// directly behind one another it reads at once.
func (b *BAM) noteRows(p *pipe, from, to uint32, left *int) {
	w := p.watch
	for off := from; off < to; {
		n := rowOfElements(w.descs[off:to])
		if n > 1 && !p.producer() && *left >= 2*n {
			elements := w.elements[off/DescriptorSize*ElementSize:][:n*ElementSize]
			if p.mem.Read(b.elementsAt(w.desc(off)), elements) == nil {
				for kinds := w.kinds[off/DescriptorSize:][:n]; len(kinds) > 0; {
					kinds = kinds[copy(kinds, allKept):]
				}
				*left -= 2 * n
				off += uint32(n) * DescriptorSize
				continue
			}
		}
		for range n {
			b.noteOne(p, off, left)
			off += DescriptorSize
		}
	}
}

// rowOfElements is how many of the descriptors, but at least one, are command descriptors
// with one element each, directly behind one another.
func rowOfElements(descs []byte) (n int) {
	const shape = ^uint64(0xFF00 &^ FlagCMD << 48) // all but the flags
	first := binary.LittleEndian.Uint64(descs) & shape
	n = 1
	if !oneElement(first) {
		return n
	}
	most := min(len(descs)/DescriptorSize, 1+int(^uint32(0)-uint32(first))/ElementSize)
	for ; n < most && binary.LittleEndian.Uint64(descs[n*DescriptorSize:])&shape == first+uint64(n*ElementSize); n++ {
	}
	return n
}

// oneElement reports whether a consumer's descriptor has one command element.
func oneElement(desc uint64) bool {
	return desc>>48&FlagCMD != 0 && desc>>32&(0x10000-ElementSize) == ElementSize
}

// elementsAt is where a command descriptor's elements are.
func (b *BAM) elementsAt(desc uint64) uint64 {
	return desc&0xFFFF_FFFF | desc>>48&0xFF&uint64(b.highMask)<<32
}

// noteOne notes what one descriptor commands that has been read already.
func (b *BAM) noteOne(p *pipe, off uint32, left *int) {
	w, i := p.watch, off/DescriptorSize
	desc := w.desc(off)
	w.kinds[i] = unwatched
	if *left--; *left < 0 {
		return
	}
	if !p.producer() && oneElement(desc) {
		if *left--; *left >= 0 && p.mem.Read(b.elementsAt(desc), w.element(i)) == nil {
			w.kinds[i] = kept
		}
		return
	}
	if sum, ok := b.digest(p, desc, left); ok {
		w.kinds[i], w.sums[i] = summed, sum
	}
}

// digest reads the elements of a descriptor, if no more than left are to be read, and
// sums them up. What commands nothing has the sum 0.
func (b *BAM) digest(p *pipe, desc uint64, left *int) (sum uint64, ok bool) {
	if p.producer() || desc>>48&FlagCMD == 0 {
		return 0, true
	}
	sum = emptySum
	piece := ElementSize
	if b.cfg.ReadAhead {
		piece = len(b.row)
	}
	addr := b.elementsAt(desc)
	for size := int(desc >> 32 & (0x10000 - ElementSize)); size > 0; size -= piece {
		raw := b.row[:min(size, piece)]
		if *left -= len(raw) / ElementSize; *left < 0 || p.mem.Read(addr, raw) != nil {
			return 0, false
		}
		sum = addUp(sum, raw)
		addr += uint64(len(raw))
	}
	return sum, true
}

// The sum of elements is that of FNV-1a, but over words of 64 bits.
const emptySum = 14695981039346656037

func addUp(sum uint64, elements []byte) uint64 {
	const prime = 1099511628211
	for ; len(elements) >= 8; elements = elements[8:] {
		sum = (sum ^ binary.LittleEndian.Uint64(elements)) * prime
		sum ^= sum >> 32 // the product's upper bits alone depend on all of the word
	}
	return sum
}

// compare looks at a descriptor that is about to be finished.
func (b *BAM) compare(p *pipe) {
	w, i := p.watch, p.rd/DescriptorSize
	if i >= uint32(len(w.kinds)) || w.kinds[i] == unwatched {
		return
	}
	raw := b.buf[:DescriptorSize]
	if err := p.mem.Read(p.base+uint64(p.rd), raw); err == nil {
		b.compareWith(p, i, binary.LittleEndian.Uint64(raw))
	}
	w.kinds[i] = unwatched
}

// compareWith compares slot i as it was with the descriptor that it is.
func (b *BAM) compareWith(p *pipe, i uint32, desc uint64) {
	w, was := p.watch, p.watch.desc(p.rd)
	if desc == was && w.kinds[i] == kept && !p.producer() {
		raw := b.row[:ElementSize]
		if p.mem.Read(b.elementsAt(desc), raw) == nil && !bytes.Equal(raw, w.element(i)) {
			b.complain(cmdChanged, p, 0)
		}
		return
	}
	left := snapshotMost
	switch is, ok := b.digest(p, desc, &left); {
	case !ok:
	case desc != was:
		b.complain(descChanged, p, 0)
	case is != w.sum(i):
		b.complain(cmdChanged, p, 0)
	}
}

// desc is the descriptor at an offset of the ring.
func (w *watch) desc(off uint32) uint64 { return binary.LittleEndian.Uint64(w.descs[off:]) }

// element is the element of a slot that is kept.
func (w *watch) element(i uint32) []byte { return w.elements[i*ElementSize:][:ElementSize] }

// sum is what digest would have said of a slot that is watched.
func (w *watch) sum(i uint32) uint64 {
	if w.kinds[i] == kept {
		return addUp(emptySum, w.element(i))
	}
	return w.sums[i]
}

// allKept are the kinds of a row, and of more.
var allKept = bytes.Repeat([]byte{kept}, 2*readAhead)

// sameDescs is how many of the descriptors from an offset of the ring on are kept, and
// as they were.
func (w *watch) sameDescs(off uint32, descs []byte) int {
	i := int(off / DescriptorSize)
	if i >= len(w.kinds) {
		return 0
	}
	n := min(len(descs)/DescriptorSize, len(w.kinds)-i)
	n = alike(w.kinds[i:][:n], allKept, 1)
	return alike(descs[:n*DescriptorSize], w.descs[off:], DescriptorSize)
}

// sameElements is how many of the elements of kept descriptors from an offset of the ring
// on are as they were.
func (w *watch) sameElements(off uint32, elements []byte) int {
	return alike(elements, w.elements[off/DescriptorSize*ElementSize:], ElementSize)
}

// forget ends the watch over n descriptors from an offset of the ring on.
func (w *watch) forget(off uint32, n int) { clear(w.kinds[off/DescriptorSize:][:n]) }

// alike is how many pieces of a, up to the first that is different, are those of b, which
// is as long or longer.
func alike(a, b []byte, piece int) (n int) {
	if bytes.Equal(a, b[:len(a)]) {
		return len(a) / piece
	}
	for bytes.Equal(a[:piece], b[:piece]) {
		a, b = a[piece:], b[piece:]
		n++
	}
	return n
}
