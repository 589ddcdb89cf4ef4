package virtqueue_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// TestView reads and writes at any place, forward and back, and never beyond the
// part of the chain that the view shows.
func TestView(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	ram := newRAM(t)
	mem := memory{ram: ram, base: guestBase}
	var segs []virtqueue.Segment
	var flat []byte
	for _, n := range []int{7, 0, 1, 300, 16, 0, 64} {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		b := ram.Put(p)
		ram.Alloc(16, 1)
		segs = append(segs, virtqueue.Segment{Addr: b.Addr, Len: b.Len})
		flat = append(flat, p...)
	}
	all := uint64(len(flat))
	for range 2000 {
		first := rng.Uint64N(all + 1)
		size := rng.Uint64N(all - first + 1)
		part := flat[first:][:size]
		var v virtqueue.View
		v.Reset(segs, first, size)
		for range 4 {
			off, n := rng.Uint64N(size+3), rng.Uint64N(size+3)
			p := make([]byte, n)
			err := v.Read(mem, off, p)
			if off+n > size {
				if _, ok := errors.AsType[*bus.Fault](err); !ok {
					t.Fatalf("read of %d bytes at %d of %d: %v", n, off, size, err)
				}
				if v.Write(mem, off, p) == nil {
					t.Fatalf("write of %d bytes at %d of %d is no error", n, off, size)
				}
				continue
			}
			if err != nil || !bytes.Equal(p, part[off:][:n]) {
				t.Fatalf("read of %d bytes at %d of %d: %x %v, want %x", n, off, size, p, err, part[off:][:n])
			}
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			copy(part[off:], p)
			if err := v.Write(mem, off, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	var v virtqueue.View
	got := make([]byte, all)
	if v.Reset(segs, 0, all); v.Read(mem, 0, got) != nil || !bytes.Equal(got, flat) {
		t.Error("what was written is not in the buffers")
	}
	if v.Reset(segs, 0, all+1); v.Read(mem, 0, make([]byte, all+1)) == nil {
		t.Error("a view longer than its buffers can be read to its end")
	}
}

// TestBrokenLong: the buffers of a chain may lie over each other, and so be longer
// than all of memory.
func TestBrokenLong(t *testing.T) {
	const size = 8192
	broken(t, "more than 4 GiB", kind{size: size}, "chain is longer than 4 GiB", func(_ *vhosttest.RAM, d vhosttest.Driver) {
		s := d.(*vhosttest.Split)
		for i := range uint16(size) {
			flags := uint16(vhosttest.Next)
			if i == size-1 {
				flags = 0
			}
			s.Descriptor(s.Desc, i, vhosttest.Buffer{Addr: guestBase, Len: ramSize}, flags, i+1)
		}
		s.Head(0)
		s.Publish()
	})
}
