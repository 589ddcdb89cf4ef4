package bam

import (
	"encoding/binary"
	"math/bits"

	"github.com/qcemu/qcemu/devices/trace"
)

// Run lets pipes make at most n steps, each time the first of those that can, and returns
// how many they were; fewer than n when none can go on. It is what Runnable and Step are
// to a caller that has no choice to make, without asking for each step who can make it.
func (b *BAM) Run(n int) (steps int) {
	for steps < n {
		p := b.next()
		if p == nil {
			break
		}
		if b.cfg.Timers {
			b.touch(p)
		}
		steps += b.proceed(p, n-steps)
	}
	return steps
}

// next is the first pipe that can make a step, nil if there is none.
func (b *BAM) next() *pipe {
	ready := b.exec | b.fetch&^b.lock.barred
	for w := (ready | b.poll) & b.active; w != 0; w &= w - 1 {
		if p := &b.pipes[bits.TrailingZeros32(w)]; ready&p.bit != 0 || b.served(p) {
			return p
		}
	}
	return nil
}

// proceed lets an active pipe make a step, and up to n as long as it surely is the first
// that can make the next one: it needs nothing of the peripheral then, and no pipe before
// it may be able to go on.
func (b *BAM) proceed(p *pipe, n int) (steps int) {
	for {
		switch p.state {
		case idle:
			if b.fetch&^b.lock.barred&p.bit != 0 {
				steps += b.plainWrites(p, n-steps-1)
				b.fetchDescriptor(p)
			}
		case command:
			b.element(p)
		case input:
			b.feed(p)
		case output:
			b.drain(p)
		case acknowledge:
			if !b.periph.NWDAck(int(p.id)) {
				return steps
			}
			b.event(trace.NWDAck, p)
			b.finish(p)
		case closing:
			b.finish(p)
		}
		steps++
		ready := b.exec | b.fetch&^b.lock.barred
		if steps >= n || (ready&p.bit|(ready|b.poll)&(p.bit-1))&b.active != p.bit {
			return steps
		}
	}
}

// readAhead is how many descriptors plainWrites reads at once. The hardware has a cache of
// descriptors too (REVISION.DESC_CACHE_DEPTH); software must not touch what it has
// published (§5.2 [C]).
const readAhead = trace.MaxRow

// plainWrites makes the steps of a row of descriptors that are nothing but one register
// write each, as the series makes some thirty of for a request: fetch, element and end of
// each at once. What it does not know to be such a descriptor it leaves where it is. It
// does nothing where somebody could tell the difference: with a reader of single events,
// with a pipe that may come first, for the last descriptor, whose end is an event, for one
// that has changed in flight, which is to be reported, or with too few steps to make.
func (b *BAM) plainWrites(p *pipe, n int) (steps int) {
	const stepsOfEach = 3
	if n < stepsOfEach || b.rowPeriph == nil || b.sink != nil && b.rowSink == nil || !b.cmdEnable ||
		p.producer() || b.active&(p.bit-1) != 0 || b.lock.waiting&p.bit != 0 {
		return 0
	}
	for {
		row, addr := b.plainRow(p, (n-steps)/stepsOfEach)
		made := b.rowPeriph.WriteRow(p.by, b.plainElements(row))
		if made == 0 {
			return steps
		}
		if b.sink != nil {
			r := &b.rowEvent
			r.Time, r.By, r.Pipe, r.Flags, r.Off, r.Addr, r.Writes = b.now, p.by, p.id, FlagCMD, p.rd, addr, b.writes[:made]
			b.rowSink.EmitRow(r)
		}
		if p.watch != nil {
			p.watch.forget(p.rd, made)
		}
		if p.rd += uint32(made) * DescriptorSize; p.rd >= p.ring {
			p.rd = 0
		}
		steps += made * stepsOfEach
		if made*ElementSize < len(row) {
			return steps
		}
	}
}

// plainElements takes a row of elements apart, up to the first that is more than a write
// of a whole register in the window.
func (b *BAM) plainElements(row []byte) []trace.Write {
	writes, window := &b.writes, b.cfg.Window.Size
	n := 0
	for ; len(row) >= ElementSize && n < len(writes); row = row[ElementSize:] {
		low, high := binary.LittleEndian.Uint64(row), binary.LittleEndian.Uint64(row[8:])
		word := uint32(low)
		off := b.local(word & 0xFFFFFF)
		if word>>24 != CommandWrite || high != 0xFFFF_FFFF || off >= window || off&3 != 0 {
			break
		}
		writes[n] = trace.Write{Elem: word, Off: off, Value: uint32(low >> 32)}
		n++
	}
	return writes[:n]
}

// plainRow returns the elements of at most n descriptors from the next one on, of which
// each is a command descriptor without further flags and has one element, directly behind
// the one before; and the first one's address. The last descriptor that is published is
// never among them, nor is one that is watched and was changed, or is not watched where
// others are.
func (b *BAM) plainRow(p *pipe, n int) (elements []byte, addr uint64) {
	end := p.tail
	if end <= p.rd {
		end = p.ring + p.tail // of the part up to the ring's end, all
	}
	n = min(n, readAhead, int(end-p.rd)/DescriptorSize-1, int(p.ring-p.rd)/DescriptorSize)
	if n <= 0 {
		return nil, 0
	}
	raw := b.row[:n*DescriptorSize]
	if p.mem.Read(p.base+uint64(p.rd), raw) != nil {
		return nil, 0
	}
	first := binary.LittleEndian.Uint64(raw)
	if first>>32 != FlagCMD<<16|ElementSize {
		return nil, 0
	}
	size := ElementSize // of the elements so far, and where the next is from the first
	for raw = raw[DescriptorSize:]; len(raw) > 0 && binary.LittleEndian.Uint64(raw) == first+uint64(size); raw = raw[DescriptorSize:] {
		size += ElementSize
	}
	if p.watch != nil {
		size = p.watch.sameDescs(p.rd, b.row[:size/ElementSize*DescriptorSize]) * ElementSize
		if size == 0 {
			return nil, 0
		}
	}
	elements, addr = b.row[:size], uint64(uint32(first))
	if uint32(first) > ^uint32(0)-uint32(size) || p.mem.Read(addr, elements) != nil {
		return nil, 0
	}
	if p.watch != nil {
		elements = elements[:p.watch.sameElements(p.rd, elements)*ElementSize]
	}
	return elements, addr
}
