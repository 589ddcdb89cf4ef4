package virtqueue_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

const (
	guestBase = 0x40000000
	userBase  = 0x7f0000000000
	ramSize   = 1 << 20
)

// memory is guest memory as the device sees it. It can fail at the n-th write,
// as if the process were killed there.
type memory struct {
	ram  *vhosttest.RAM
	cut  *int // nil: never
	base uint64
}

type killed struct{}

// write counts down to the end.
func write(cut *int) {
	if cut == nil {
		return
	}
	if *cut == 0 {
		panic(killed{})
	}
	*cut--
}

func (m memory) Covers(addr, size uint64, _ bool) bool {
	return size > 0 && addr >= m.base && addr-m.base < ramSize && size <= ramSize-(addr-m.base)
}

func (m memory) Read(addr uint64, p []byte) error {
	if !m.Covers(addr, uint64(len(p)), false) {
		return &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Unmapped}
	}
	copy(p, m.ram.Bytes(addr, uint64(len(p))))
	return nil
}

func (m memory) Write(addr uint64, p []byte) error {
	if !m.Covers(addr, uint64(len(p)), true) {
		return &bus.Fault{Addr: addr, Len: len(p), Write: true, Reason: bus.Unmapped}
	}
	write(m.cut)
	copy(m.ram.Bytes(addr, uint64(len(p))), p)
	return nil
}

// kept is memory that outlives the process.
type kept struct {
	b   []byte
	cut *int
}

func (k kept) Read(addr uint64, p []byte) error {
	copy(p, k.b[addr:])
	return nil
}

func (k kept) Write(addr uint64, p []byte) error {
	write(k.cut)
	copy(k.b[addr:], p)
	return nil
}

// countdown is the number of accesses after which memory cannot be reached.
type countdown struct {
	left    int
	reached bool
}

func (c *countdown) check() error {
	if c.left == 0 {
		c.reached = true
		return &bus.Fault{Reason: bus.Unmapped}
	}
	c.left--
	return nil
}

// fading is guest memory that is taken away at some access, fadingStore the
// memory that outlives the process.
type (
	fading struct {
		memory
		gone *countdown
	}
	fadingStore struct {
		kept
		gone *countdown
	}
)

func (f fading) Read(addr uint64, p []byte) error {
	if err := f.gone.check(); err != nil {
		return err
	}
	return f.memory.Read(addr, p)
}

func (f fading) Write(addr uint64, p []byte) error {
	if err := f.gone.check(); err != nil {
		return err
	}
	return f.memory.Write(addr, p)
}

func (f fadingStore) Read(addr uint64, p []byte) error {
	if err := f.gone.check(); err != nil {
		return err
	}
	return f.kept.Read(addr, p)
}

func (f fadingStore) Write(addr uint64, p []byte) error {
	if err := f.gone.check(); err != nil {
		return err
	}
	return f.kept.Write(addr, p)
}

// kind is a kind of ring.
type kind struct {
	packed, eventIdx, indirect bool
	size                       uint32
}

func (k kind) String() string {
	return fmt.Sprintf("packed=%v,event=%v,indirect=%v,size=%d", k.packed, k.eventIdx, k.indirect, k.size)
}

var kinds = []kind{
	{size: 8}, {size: 8, eventIdx: true}, {size: 8, indirect: true}, {size: 16, eventIdx: true, indirect: true},
	{packed: true, size: 8}, {packed: true, size: 7, eventIdx: true}, {packed: true, size: 5, indirect: true},
	{packed: true, size: 16, eventIdx: true, indirect: true},
}

func (k kind) driver(ram *vhosttest.RAM) vhosttest.Driver {
	if k.packed {
		return vhosttest.NewPacked(ram, k.size, k.eventIdx)
	}
	return vhosttest.NewSplit(ram, k.size, k.eventIdx)
}

// config describes the ring that a driver has laid out.
func (k kind) config(d vhosttest.Driver) virtqueue.Config {
	a := d.Addr(0)
	guest := func(user uint64) uint64 { return user - userBase + guestBase }
	return virtqueue.Config{
		Packed: k.packed, Size: k.size, Base: d.Base(), Indirect: k.indirect, EventIdx: k.eventIdx,
		Desc: guest(a.Descriptor), Driver: guest(a.Avail), Device: guest(a.Used),
	}
}

func newRAM(tb testing.TB) *vhosttest.RAM { return vhosttest.NewRAM(tb, guestBase, userBase, ramSize) }

// all reads or writes all of a chain's buffers of one kind.
func all(segs []virtqueue.Segment) (v virtqueue.View, size uint64) {
	for _, s := range segs {
		size += uint64(s.Len)
	}
	v.Reset(segs, 0, size)
	return v, size
}

// invert is the device of these tests: it puts out what it takes in, inverted.
func invert(mem bus.Memory, c *virtqueue.Chain) (uint32, error) {
	out, n := all(c.Out)
	p := make([]byte, n)
	if err := out.Read(mem, 0, p); err != nil {
		return 0, err
	}
	for i := range p {
		p[i] ^= 0xff
	}
	in, room := all(c.In)
	p = p[:min(n, room)]
	return uint32(len(p)), in.Write(mem, 0, p)
}

func inverted(p []byte) []byte {
	q := bytes.Clone(p)
	for i := range q {
		q[i] ^= 0xff
	}
	return q
}
