package vhosttest

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

var order = binary.LittleEndian

// Flags of descriptors.
const (
	Next     = 1
	Write    = 2
	Indirect = 4
)

// Split is the driver of a split ring.
type Split struct {
	ram               *RAM
	size              uint32
	Desc, Avail, Ring uint64 // guest addresses: table, available ring, used ring
	EventIdx          bool

	free      []uint16
	chains    map[uint16][]uint16
	avail     uint16 // next available index
	published uint16
	before    uint16 // published before the last Publish
	used      uint16
	fence     atomic.Uint32
}

// NewSplit lays a ring out in memory.
func NewSplit(ram *RAM, size uint32, eventIdx bool) *Split {
	n := uint64(size)
	s := &Split{ram: ram, size: size, EventIdx: eventIdx, chains: map[uint16][]uint16{}}
	s.Desc = ram.Alloc(16*n, 16)
	s.Avail = ram.Alloc(6+2*n, 4)
	s.Ring = ram.Alloc(6+8*n, 4)
	for i := range size {
		s.free = append(s.free, uint16(size-1-i))
	}
	return s
}

// Descriptor writes a descriptor of a table.
func (s *Split) Descriptor(table uint64, i uint16, b Buffer, flags, next uint16) {
	d := s.ram.Bytes(table+16*uint64(i), 16)
	order.PutUint64(d, b.Addr)
	order.PutUint32(d[8:], b.Len)
	order.PutUint16(d[12:], flags)
	order.PutUint16(d[14:], next)
}

// Head makes a chain available by the number of its first descriptor.
func (s *Split) Head(i uint16) {
	order.PutUint16(s.ram.Bytes(s.Avail+4+2*uint64(s.avail%uint16(s.size)), 2), i)
	s.avail++
}

// Add implements Driver.
func (s *Split) Add(out, in []Buffer, indirect bool) uint16 {
	n := len(out) + len(in)
	table := s.Desc
	var ids []uint16
	if indirect {
		ids = s.take(1)
		table = s.ram.Alloc(16*uint64(n), 16)
		s.Descriptor(s.Desc, ids[0], Buffer{table, uint32(16 * n)}, Indirect, 0)
	} else {
		ids = s.take(n)
	}
	for k := range n {
		i, next := uint16(k), uint16(k+1)
		if !indirect {
			i = ids[k]
			if k+1 < n {
				next = ids[k+1]
			}
		}
		var b Buffer
		flags := uint16(0)
		if k < len(out) {
			b = out[k]
		} else {
			b, flags = in[k-len(out)], Write
		}
		if k+1 < n {
			flags |= Next
		}
		s.Descriptor(table, i, b, flags, next)
	}
	s.chains[ids[0]] = ids
	s.Head(ids[0])
	return ids[0]
}

func (s *Split) take(n int) []uint16 {
	if len(s.free) < n {
		panic("vhosttest: ring is full")
	}
	ids := append([]uint16(nil), s.free[len(s.free)-n:]...)
	s.free = s.free[:len(s.free)-n]
	return ids
}

// Publish implements Driver.
func (s *Split) Publish() {
	s.fence.Add(1)
	s.before, s.published = s.published, s.avail
	order.PutUint16(s.ram.Bytes(s.Avail+2, 2), s.avail)
	s.fence.Add(1)
}

// NeedsKick implements Driver.
func (s *Split) NeedsKick() bool {
	if s.EventIdx {
		event := order.Uint16(s.ram.Bytes(s.Ring+4+8*uint64(s.size), 2))
		return s.published-event-1 < s.published-s.before
	}
	return order.Uint16(s.ram.Bytes(s.Ring, 2))&1 == 0
}

// UsedIdx is the index of the used ring.
func (s *Split) UsedIdx() uint16 { return order.Uint16(s.ram.Bytes(s.Ring+2, 2)) }

// Used implements Driver.
func (s *Split) Used() (id uint16, written uint32, ok bool) {
	if s.UsedIdx() == s.used {
		return 0, 0, false
	}
	s.fence.Add(1)
	e := s.ram.Bytes(s.Ring+4+8*uint64(s.used%uint16(s.size)), 8)
	s.used++
	id = uint16(order.Uint32(e))
	ids, known := s.chains[id]
	if !known {
		panic("vhosttest: a chain was used that is not in the ring")
	}
	delete(s.chains, id)
	s.free = append(s.free, ids...)
	return id, order.Uint32(e[4:]), true
}

// WantCall implements Driver.
func (s *Split) WantCall(on bool) {
	switch {
	case s.EventIdx && on:
		order.PutUint16(s.ram.Bytes(s.Avail+4+2*uint64(s.size), 2), s.used)
	case s.EventIdx:
		order.PutUint16(s.ram.Bytes(s.Avail+4+2*uint64(s.size), 2), s.used-1)
	case on:
		order.PutUint16(s.ram.Bytes(s.Avail, 2), 0)
	default:
		order.PutUint16(s.ram.Bytes(s.Avail, 2), 1)
	}
	s.fence.Add(1)
}

// Addr implements Driver.
func (s *Split) Addr(index uint32) wire.VringAddr {
	return wire.VringAddr{Index: index, Descriptor: s.ram.User(s.Desc), Avail: s.ram.User(s.Avail), Used: s.ram.User(s.Ring)}
}

// Base implements Driver.
func (s *Split) Base() uint32 { return 0 }

// Size implements Driver.
func (s *Split) Size() uint32 { return s.size }
