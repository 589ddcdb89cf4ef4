package virtqueue

import (
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/bus"
)

// order is the byte order of virtio's structures.
var order = binary.LittleEndian

const descSize = 16

// Flags of a descriptor (virtio §2.7.5, §2.8.1).
const (
	flagNext     = 1 << 0
	flagWrite    = 1 << 1
	flagIndirect = 1 << 2
	flagAvail    = 1 << 7  // packed
	flagUsed     = 1 << 15 // packed
)

// Segment is a run of guest memory.
type Segment struct {
	Addr uint64
	Len  uint32
}

// Chain is a chain of buffers. The device reads Out and writes In.
type Chain struct {
	Out, In       []Segment
	OutLen, InLen uint64

	id    uint16 // index of the head descriptor, or the packed buffer ID
	slots uint16 // packed: descriptors that it takes in the ring
	entry uint16 // packed: its entry in the in-flight region
	again bool   // it was in flight before
}

// NewChain returns a chain for rings of at most size descriptors.
func NewChain(size uint32) *Chain {
	return &Chain{Out: make([]Segment, 0, size), In: make([]Segment, 0, size)}
}

func (c *Chain) reset() {
	*c = Chain{Out: c.Out[:0], In: c.In[:0]}
}

func (c *Chain) len() int { return len(c.Out) + len(c.In) }

// descriptor is a copy of a descriptor of either kind of ring.
type descriptor struct {
	addr  uint64
	size  uint32
	flags uint16
	last  uint16 // split: next descriptor; packed: the two are swapped
}

func getDescriptor(p []byte) descriptor {
	return descriptor{addr: order.Uint64(p), size: order.Uint32(p[8:]), flags: order.Uint16(p[12:]), last: order.Uint16(p[14:])}
}

// getPacked reads a descriptor that has the buffer ID before the flags.
func getPacked(p []byte) descriptor {
	d := getDescriptor(p)
	d.flags, d.last = d.last, d.flags
	return d
}

// add appends the buffer of a descriptor.
func (c *Chain) add(mem Memory, d *descriptor, limit uint32) error {
	if uint32(c.len()) >= limit {
		return broken("chain is longer than the ring", uint64(limit))
	}
	write := d.flags&flagWrite != 0
	if !write && len(c.In) > 0 {
		return broken("readable buffer after a writable one", d.addr)
	}
	if d.size > 0 && !mem.Covers(d.addr, uint64(d.size), write) {
		return broken("buffer is not in the guest's memory", d.addr)
	}
	s := Segment{Addr: d.addr, Len: d.size}
	if write {
		c.In = append(c.In, s)
		c.InLen += uint64(d.size)
	} else {
		c.Out = append(c.Out, s)
		c.OutLen += uint64(d.size)
	}
	if c.InLen+c.OutLen > 1<<32 {
		return broken("chain is longer than 4 GiB", c.InLen+c.OutLen)
	}
	return nil
}

// table checks a descriptor that points to an indirect table and returns the
// number of descriptors there.
func (d *descriptor) table(mem Memory, allowed bool) (uint32, error) {
	switch {
	case !allowed:
		return 0, broken("indirect descriptor without VIRTIO_F_INDIRECT_DESC", uint64(d.flags))
	case d.flags&flagNext != 0:
		return 0, broken("indirect descriptor with a next one", uint64(d.flags))
	case d.size == 0 || d.size%descSize != 0:
		return 0, broken("indirect table is not a whole number of descriptors", uint64(d.size))
	case !mem.Covers(d.addr, uint64(d.size), false):
		return 0, broken("indirect table is not in the guest's memory", d.addr)
	}
	return d.size / descSize, nil
}

// View is a part of a chain's readable or writable buffers as one stream of
// bytes. It is fast for accesses that go forward.
type View struct {
	segs  []Segment
	first uint64 // where the view begins in segs
	size  uint64
	i     int    // segs[i] begins at at
	at    uint64 // of the stream of segs
}

// Reset makes the view show size bytes of segs from off on.
func (v *View) Reset(segs []Segment, off, size uint64) {
	*v = View{segs: segs, first: off, size: size}
}

// Read fills p from offset off on. It fails with a *bus.Fault, also past the
// end.
func (v *View) Read(mem bus.Memory, off uint64, p []byte) error { return v.move(mem, off, p, false) }

// Write puts p to offset off.
func (v *View) Write(mem bus.Memory, off uint64, p []byte) error { return v.move(mem, off, p, true) }

func (v *View) move(mem bus.Memory, off uint64, p []byte, write bool) error {
	if off > v.size || uint64(len(p)) > v.size-off {
		return &bus.Fault{Addr: off, Len: len(p), Write: write, Reason: bus.Unmapped}
	}
	pos := v.first + off
	if pos < v.at {
		v.i, v.at = 0, 0
	}
	for len(p) > 0 {
		if v.i >= len(v.segs) {
			return &bus.Fault{Addr: off, Len: len(p), Write: write, Reason: bus.Unmapped}
		}
		s := &v.segs[v.i]
		in := pos - v.at
		if in >= uint64(s.Len) {
			v.at += uint64(s.Len)
			v.i++
			continue
		}
		n := int(min(uint64(len(p)), uint64(s.Len)-in))
		var err error
		if write {
			err = mem.Write(s.Addr+in, p[:n])
		} else {
			err = mem.Read(s.Addr+in, p[:n])
		}
		if err != nil {
			return err
		}
		p, pos = p[n:], pos+uint64(n)
	}
	return nil
}
