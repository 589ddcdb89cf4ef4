package virtqueue_test

import (
	"testing"

	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// FuzzRing lets the fuzzer write the guest's memory: the descriptors, the
// driver's area and tables. Whatever is there, a chain that comes out lies in
// memory and is no longer than the ring, and the device comes to an end.
func FuzzRing(f *testing.F) {
	const size = 8
	for _, packed := range []bool{false, true} {
		k := kind{packed: packed, size: size, indirect: true, eventIdx: true}
		ram := vhosttest.NewRAM(f, guestBase, userBase, ramSize)
		d := k.driver(ram)
		b := ram.Put([]byte("text"))
		d.Add([]vhosttest.Buffer{b, b}, []vhosttest.Buffer{b}, false)
		d.Add([]vhosttest.Buffer{b}, []vhosttest.Buffer{b}, true)
		d.Publish()
		f.Add(packed, uint8(3), ram.Bytes(guestBase, ram.Mark()))
	}
	ram := vhosttest.NewRAM(f, guestBase, userBase, ramSize)
	splitAt := vhosttest.NewSplit(ram, size, true)
	ram.Free(0)
	packedAt := vhosttest.NewPacked(ram, size, true)
	f.Fuzz(func(t *testing.T, packed bool, flags uint8, image []byte) {
		clear(ram.Bytes(guestBase, 4096))
		copy(ram.Bytes(guestBase, 4096), image)
		k := kind{packed: packed, size: size, indirect: flags&1 != 0, eventIdx: flags&2 != 0}
		var d vhosttest.Driver = splitAt
		if packed {
			d = packedAt
		}
		mem := memory{ram: ram, base: guestBase}
		r, err := virtqueue.New(mem, k.config(d))
		if err != nil {
			t.Skip()
		}
		chain := virtqueue.NewChain(size)
		for range 100 {
			if _, err := r.Idle(); err != nil {
				return
			}
			ok, err := r.Next(chain)
			if err != nil || !ok {
				return
			}
			if len(chain.In)+len(chain.Out) > size {
				t.Fatalf("chain of %d and %d buffers", len(chain.Out), len(chain.In))
			}
			for _, s := range append(append([]virtqueue.Segment(nil), chain.In...), chain.Out...) {
				if s.Len > 0 && !mem.Covers(s.Addr, uint64(s.Len), true) {
					t.Fatalf("buffer of %d bytes at %#x", s.Len, s.Addr)
				}
			}
			if err := r.Use(chain, 1); err != nil {
				return
			}
			r.Call()
		}
	})
}
