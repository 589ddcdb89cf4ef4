package vhosttest

import (
	"sync/atomic"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// Packed is the driver of a packed ring.
type Packed struct {
	ram                  *RAM
	size                 uint32
	Ring, Events, Device uint64 // guest addresses: ring, the two event structures
	EventIdx             bool

	next, used         uint16
	nextWrap, usedWrap bool
	before             uint16 // next before the last Publish
	beforeWrap         bool
	pending            []head // chains whose heads are not written yet
	free               []uint16
	slots              map[uint16]uint16
	room               uint32
	fence              atomic.Uint32
}

type head struct {
	at    uint16
	flags uint16
}

// NewPacked lays a ring out in memory.
func NewPacked(ram *RAM, size uint32, eventIdx bool) *Packed {
	p := &Packed{ram: ram, size: size, EventIdx: eventIdx, nextWrap: true, usedWrap: true, beforeWrap: true, slots: map[uint16]uint16{}, room: size}
	p.Ring = ram.Alloc(16*uint64(size), 16)
	p.Events = ram.Alloc(4, 4)
	p.Device = ram.Alloc(4, 4)
	for i := range size {
		p.free = append(p.free, uint16(size-1-i))
	}
	return p
}

// Flags are the available flags of a position with the wrap counter.
func availFlags(wrap bool) uint16 {
	if wrap {
		return 1 << 7
	}
	return 1 << 15
}

// Descriptor writes a descriptor of the ring or of a table, without its flags.
func (p *Packed) Descriptor(table uint64, i uint16, b Buffer, id uint16) {
	d := p.ram.Bytes(table+16*uint64(i), 16)
	order.PutUint64(d, b.Addr)
	order.PutUint32(d[8:], b.Len)
	order.PutUint16(d[12:], id)
}

// SetFlags writes the flags of a descriptor.
func (p *Packed) SetFlags(table uint64, i, flags uint16) {
	order.PutUint16(p.ram.Bytes(table+16*uint64(i)+14, 2), flags)
}

// Add implements Driver.
func (p *Packed) Add(out, in []Buffer, indirect bool) uint16 {
	n := len(out) + len(in)
	if uint32(n) > p.room && !indirect || p.room == 0 {
		panic("vhosttest: ring is full")
	}
	id := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	buffer := func(k int) (Buffer, uint16) {
		if k < len(out) {
			return out[k], 0
		}
		return in[k-len(out)], Write
	}
	if indirect {
		table := p.ram.Alloc(16*uint64(n), 16)
		for k := range n {
			b, flags := buffer(k)
			p.Descriptor(table, uint16(k), b, 0)
			p.SetFlags(table, uint16(k), flags)
		}
		p.Descriptor(p.Ring, p.next, Buffer{table, uint32(16 * n)}, id)
		p.pending = append(p.pending, head{p.next, Indirect | availFlags(p.nextWrap)})
		p.advance()
		p.slots[id] = 1
		p.room--
		return id
	}
	for k := range n {
		b, flags := buffer(k)
		if k+1 < n {
			flags |= Next
		}
		flags |= availFlags(p.nextWrap)
		p.Descriptor(p.Ring, p.next, b, id)
		if k == 0 {
			p.pending = append(p.pending, head{p.next, flags})
		} else {
			p.SetFlags(p.Ring, p.next, flags)
		}
		p.advance()
	}
	p.slots[id] = uint16(n)
	p.room -= uint32(n)
	return id
}

func (p *Packed) advance() {
	if p.next++; uint32(p.next) == p.size {
		p.next, p.nextWrap = 0, !p.nextWrap
	}
}

// Publish implements Driver: the heads' flags are written last, and in order.
func (p *Packed) Publish() {
	p.fence.Add(1)
	if len(p.pending) > 0 {
		p.before = p.pending[0].at
		p.beforeWrap = p.pending[0].flags&(1<<7) != 0
	}
	for _, h := range p.pending {
		p.SetFlags(p.Ring, h.at, h.flags)
		p.fence.Add(1)
	}
	p.pending = p.pending[:0]
}

// NeedsKick implements Driver.
func (p *Packed) NeedsKick() bool {
	e := p.ram.Bytes(p.Device, 4)
	switch order.Uint16(e[2:]) & 3 {
	case 0:
		return true
	case 1:
		return false
	}
	at, wrap := order.Uint16(e)&0x7fff, order.Uint16(e)>>15 != 0
	// Positions as they were counted from the last place before.
	count := func(at uint16, wrap bool) uint32 {
		if wrap != p.beforeWrap {
			return uint32(at) + p.size
		}
		return uint32(at)
	}
	return count(at, wrap) >= uint32(p.before) && count(at, wrap) < count(p.next, p.nextWrap)
}

// Used implements Driver.
func (p *Packed) Used() (id uint16, written uint32, ok bool) {
	d := p.ram.Bytes(p.Ring+16*uint64(p.used), 16)
	flags := order.Uint16(d[14:])
	if flags>>7&1 != flags>>15 || flags>>15 != 0 != p.usedWrap {
		return 0, 0, false
	}
	p.fence.Add(1)
	id, written = order.Uint16(d[12:]), order.Uint32(d[8:])
	n, known := p.slots[id]
	if !known {
		panic("vhosttest: a buffer was used that is not in the ring")
	}
	delete(p.slots, id)
	p.free = append(p.free, id)
	p.room += uint32(n)
	if p.used += n; uint32(p.used) >= p.size {
		p.used, p.usedWrap = p.used-uint16(p.size), !p.usedWrap
	}
	return id, written, true
}

// WantCall implements Driver.
func (p *Packed) WantCall(on bool) {
	e := p.ram.Bytes(p.Events, 4)
	switch {
	case !on:
		order.PutUint16(e[2:], 1)
	case p.EventIdx:
		order.PutUint16(e, position(p.used, p.usedWrap))
		order.PutUint16(e[2:], 2)
	default:
		order.PutUint16(e[2:], 0)
	}
	p.fence.Add(1)
}

func position(at uint16, wrap bool) uint16 {
	if wrap {
		at |= 1 << 15
	}
	return at
}

// Addr implements Driver.
func (p *Packed) Addr(index uint32) wire.VringAddr {
	return wire.VringAddr{Index: index, Descriptor: p.ram.User(p.Ring), Avail: p.ram.User(p.Events), Used: p.ram.User(p.Device)}
}

// Base implements Driver.
func (p *Packed) Base() uint32 { return 0x80008000 }

// Size implements Driver.
func (p *Packed) Size() uint32 { return p.size }
