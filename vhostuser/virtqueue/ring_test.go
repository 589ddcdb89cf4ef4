package virtqueue_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// TestChains sends random chains through rings of all kinds, many times around.
func TestChains(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			ram := newRAM(t)
			d := k.driver(ram)
			mem := memory{ram: ram, base: guestBase}
			r, err := virtqueue.New(mem, k.config(d))
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(7, 8))
			chain := virtqueue.NewChain(k.size)
			mark := ram.Mark()
			for range 400 {
				ram.Free(mark)
				round(t, k, ram, d, mem, r, chain, rng)
			}
		})
	}
}

type request struct {
	text []byte
	in   []vhosttest.Buffer
}

// round puts as many chains into the ring as fit and lets the device serve them.
func round(t *testing.T, k kind, ram *vhosttest.RAM, d vhosttest.Driver, mem memory, r virtqueue.Ring, chain *virtqueue.Chain, rng *rand.Rand) {
	want := map[uint16]request{}
	var order []uint16
	for room := int(k.size); room > 0; {
		text := make([]byte, 1+rng.IntN(200))
		for i := range text {
			text[i] = byte(rng.Uint32())
		}
		out := pieces(ram, text, 1+rng.IntN(2))
		in := pieces(ram, make([]byte, len(text)), 1+rng.IntN(2))
		indirect := k.indirect && rng.IntN(2) == 0
		need := len(out) + len(in)
		if indirect {
			need = 1
		}
		if room -= need; room < 0 {
			break
		}
		id := d.Add(out, in, indirect)
		want[id] = request{text: text, in: in}
		order = append(order, id)
	}
	d.Publish()
	for _, id := range order {
		ok, err := r.Next(chain)
		if err != nil || !ok {
			t.Fatalf("chain %d: %v %v", id, ok, err)
		}
		if rng.IntN(8) == 0 { // once there and back
			if err := r.Return(chain); err != nil {
				t.Fatal(err)
			}
			if ok, err := r.Next(chain); err != nil || !ok {
				t.Fatalf("chain %d again: %v %v", id, ok, err)
			}
		}
		n, err := invert(mem, chain)
		if err == nil {
			err = r.Use(chain, n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := r.Next(chain); err != nil || ok {
		t.Fatalf("ring should be empty: %v %v", ok, err)
	}
	for _, id := range order {
		got, written, ok := d.Used()
		q := want[got]
		if !ok || got != id || written != uint32(len(q.text)) {
			t.Fatalf("chain %d, %d bytes, %v, want %d, %d bytes", got, written, ok, id, len(q.text))
		}
		var text []byte
		for _, b := range q.in {
			text = append(text, ram.Of(b)...)
		}
		if !bytes.Equal(text, inverted(q.text)) {
			t.Fatalf("chain %d: wrong data", id)
		}
	}
}

// pieces puts data into n buffers, one of which may be empty.
func pieces(ram *vhosttest.RAM, p []byte, n int) (bs []vhosttest.Buffer) {
	for i := range n {
		k := len(p)
		if i+1 < n {
			k = len(p) / 2
		}
		bs = append(bs, ram.Put(p[:k]))
		p = p[k:]
	}
	return bs
}

// TestNotifications checks that neither side is told more often than it asks
// for, and never less.
func TestNotifications(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			ram := newRAM(t)
			d := k.driver(ram)
			mem := memory{ram: ram, base: guestBase}
			c := k.config(d)
			flags, event := ram.Bytes(c.Device, 2), []byte{0xee, 0xee}
			if !k.packed {
				event = ram.Bytes(c.Device+4+8*uint64(k.size), 2)
				copy(event, []byte{0xee, 0xee})
			}
			r, err := virtqueue.New(mem, c)
			if err != nil {
				t.Fatal(err)
			}
			chain := virtqueue.NewChain(k.size)
			serve := func() {
				if ok, err := r.Next(chain); err != nil || !ok {
					t.Fatalf("%v %v", ok, err)
				}
				if err := r.Use(chain, 0); err != nil {
					t.Fatal(err)
				}
			}
			call := func() bool {
				on, err := r.Call()
				if err != nil {
					t.Fatal(err)
				}
				return on
			}
			b := []vhosttest.Buffer{ram.Put([]byte{1})}
			if call() {
				t.Error("call although nothing was used")
			}
			for n := range 50 {
				if more, err := r.Idle(); err != nil || more {
					t.Fatalf("idle: %v %v", more, err)
				}
				want := n%3 != 0
				d.WantCall(want)
				d.Add(b, nil, false)
				d.Publish()
				if !d.NeedsKick() {
					t.Fatal("idle device gets no kick")
				}
				if more, err := r.Idle(); err != nil || !more {
					t.Fatalf("idle with a chain in the ring: %v %v", more, err)
				}
				if err := r.Busy(); err != nil {
					t.Fatal(err)
				}
				d.Add(b, nil, false)
				d.Publish()
				if !k.eventIdx && d.NeedsKick() {
					t.Error("busy device is kicked")
				}
				if k.eventIdx && !k.packed && !bytes.Equal(flags, []byte{0, 0}) {
					t.Errorf("flags of the used ring are %x, with the event index", flags)
				}
				if !k.eventIdx && !bytes.Equal(event, []byte{0xee, 0xee}) {
					t.Error("event index was written, which was not negotiated")
				}
				serve()
				if got := call(); got != want {
					t.Errorf("call is %v, wanted %v", got, want)
				}
				serve()
				call()
				if _, err := r.Idle(); err != nil {
					t.Fatal(err)
				}
				d.Used()
				d.Used()
			}
		})
	}
}

// recording notes what a ring writes and what it logs.
type recording struct {
	memory
	wrote, logged map[uint64]bool
}

func note(set map[uint64]bool, addr, size uint64) {
	for i := range size {
		set[addr+i] = true
	}
}

func (m *recording) Write(addr uint64, p []byte) error {
	note(m.wrote, addr, uint64(len(p)))
	return m.memory.Write(addr, p)
}

// TestLogged: whatever a ring writes is logged, flags and event indexes too.
func TestLogged(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			ram := newRAM(t)
			d := k.driver(ram)
			mem := &recording{memory{ram: ram, base: guestBase}, map[uint64]bool{}, map[uint64]bool{}}
			c := k.config(d)
			c.Log = func(addr, size uint64) { note(mem.logged, addr, size) }
			r, err := virtqueue.New(mem, c)
			if err != nil {
				t.Fatal(err)
			}
			chain := virtqueue.NewChain(k.size)
			for range 3 {
				d.Add([]vhosttest.Buffer{ram.Put([]byte{1})}, nil, false)
				d.Publish()
				if err := r.Busy(); err != nil {
					t.Fatal(err)
				}
				if ok, err := r.Next(chain); err != nil || !ok {
					t.Fatalf("%v %v", ok, err)
				}
				if err := r.Use(chain, 0); err != nil {
					t.Fatal(err)
				}
				d.Used()
				if _, err := r.Idle(); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(mem.wrote, mem.logged); diff != "" {
				t.Errorf("addresses (-written +logged):\n%s", diff)
			}
			if area := mem.wrote[c.Device] || mem.wrote[c.Device+2]; !area {
				t.Error("nothing was written to the device area")
			}
		})
	}
}

// TestWriteFlag: a packed ring says of a chain whether any of it was written,
// which the length, that may be too little, does not tell.
func TestWriteFlag(t *testing.T) {
	for name, writable := range map[string]bool{"readable": false, "writable": true} {
		t.Run(name, func(t *testing.T) {
			ram := newRAM(t)
			k := kind{packed: true, size: 8}
			d := k.driver(ram)
			c := k.config(d)
			r, err := virtqueue.New(memory{ram: ram, base: guestBase}, c)
			if err != nil {
				t.Fatal(err)
			}
			var in []vhosttest.Buffer
			if writable {
				in = append(in, ram.Space(8))
			}
			d.Add([]vhosttest.Buffer{ram.Put([]byte{1})}, in, false)
			d.Publish()
			chain := virtqueue.NewChain(k.size)
			if ok, err := r.Next(chain); err != nil || !ok {
				t.Fatalf("%v %v", ok, err)
			}
			if err := r.Use(chain, 0); err != nil {
				t.Fatal(err)
			}
			if got := ram.Bytes(c.Desc+14, 2)[0]&vhosttest.Write != 0; got != writable {
				t.Errorf("flag is %v", got)
			}
		})
	}
}

// TestUnsaid: the device does not know what the driver has negotiated. Either
// driver kicks one that is idle, and finds the flags as it must.
func TestUnsaid(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			ram := newRAM(t)
			d := k.driver(ram)
			c := k.config(d)
			c.EventIdx, c.Unsaid = false, true
			r, err := virtqueue.New(memory{ram: ram, base: guestBase}, c)
			if err != nil {
				t.Fatal(err)
			}
			chain := virtqueue.NewChain(k.size)
			for range 20 {
				if err := r.Busy(); err != nil {
					t.Fatal(err)
				}
				if flags := ram.Bytes(c.Device, 2); !k.packed && !bytes.Equal(flags, []byte{0, 0}) {
					t.Errorf("flags of the used ring are %x", flags)
				}
				if more, err := r.Idle(); err != nil || more {
					t.Fatalf("idle: %v %v", more, err)
				}
				d.Add([]vhosttest.Buffer{ram.Put([]byte{1})}, nil, k.indirect)
				d.Publish()
				if !d.NeedsKick() {
					t.Fatal("idle device gets no kick")
				}
				if ok, err := r.Next(chain); err != nil || !ok {
					t.Fatalf("%v %v", ok, err)
				}
				if err := r.Use(chain, 0); err != nil {
					t.Fatal(err)
				}
				d.Used()
			}
		})
	}
}

// TestKilledBusy: the device before this one has died while it did not want
// kicks. This one does.
func TestKilledBusy(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			ram := newRAM(t)
			d := k.driver(ram)
			mem := memory{ram: ram, base: guestBase}
			cfg := k.config(d)
			for range 2 {
				r, err := virtqueue.New(mem, cfg)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Idle(); err != nil {
					t.Fatal(err)
				}
				d.Add([]vhosttest.Buffer{ram.Put([]byte{1})}, nil, false)
				d.Publish()
				if !d.NeedsKick() {
					t.Error("idle device gets no kick")
				}
				if err := r.Busy(); err != nil {
					t.Fatal(err)
				}
				c := virtqueue.NewChain(k.size)
				if ok, err := r.Next(c); err != nil || !ok {
					t.Fatalf("%v %v", ok, err)
				}
				if err := r.Use(c, 0); err != nil {
					t.Fatal(err)
				}
				d.Used()
				cfg.Base = r.Base()
			}
		})
	}
}

// TestConfig has rings that cannot be.
func TestConfig(t *testing.T) {
	ram := newRAM(t)
	mem := memory{ram: ram, base: guestBase}
	for _, k := range []kind{{size: 8}, {size: 8, packed: true}} {
		good := k.config(k.driver(ram))
		for name, change := range map[string]func(*virtqueue.Config){
			"no size":               func(c *virtqueue.Config) { c.Size = 0 },
			"too large":             func(c *virtqueue.Config) { c.Size = 1 << 16 },
			"table unaligned":       func(c *virtqueue.Config) { c.Desc += 8 },
			"driver area unaligned": func(c *virtqueue.Config) { c.Driver++ },
			"device area unaligned": func(c *virtqueue.Config) { c.Device += 2 },
			"table outside":         func(c *virtqueue.Config) { c.Desc = 0x1000 },
			"table cut off":         func(c *virtqueue.Config) { c.Desc = guestBase + ramSize - 16 },
			"driver area outside":   func(c *virtqueue.Config) { c.Driver = 1 << 63 },
			"device area at the top": func(c *virtqueue.Config) {
				c.Device = ^uint64(3)
			},
		} {
			c := good
			change(&c)
			if _, err := virtqueue.New(mem, c); err == nil {
				t.Errorf("%v: %s: no error", k, name)
			}
		}
		if _, err := virtqueue.New(mem, good); err != nil {
			t.Error(err)
		}
	}
	c := kind{size: 8}.config(vhosttest.NewSplit(ram, 8, false))
	if c.Size = 6; func() bool { _, err := virtqueue.New(mem, c); return err == nil }() {
		t.Error("split ring of 6 descriptors: no error")
	}
	c = kind{size: 8, packed: true}.config(vhosttest.NewPacked(ram, 8, false))
	if c.Base = 0x80088008; func() bool { _, err := virtqueue.New(mem, c); return err == nil }() {
		t.Error("packed ring that begins at descriptor 8 of 8: no error")
	}
}

// broken lets a guest break a ring and wants Next to say so.
func broken(t *testing.T, name string, k kind, rule string, spoil func(ram *vhosttest.RAM, d vhosttest.Driver)) {
	t.Run(name, func(t *testing.T) {
		ram := newRAM(t)
		d := k.driver(ram)
		r, err := virtqueue.New(memory{ram: ram, base: guestBase}, k.config(d))
		if err != nil {
			t.Fatal(err)
		}
		spoil(ram, d)
		_, err = r.Next(virtqueue.NewChain(k.size))
		var b *virtqueue.BrokenError
		if !errors.As(err, &b) || b.Rule != rule {
			t.Errorf("error is %q, want %q", err, rule)
		}
	})
}

func TestBrokenSplit(t *testing.T) {
	k := kind{size: 8, indirect: true}
	ok := vhosttest.Buffer{Addr: guestBase, Len: 16}
	one := func(b vhosttest.Buffer, flags, next uint16) func(*vhosttest.RAM, vhosttest.Driver) {
		return func(_ *vhosttest.RAM, d vhosttest.Driver) {
			s := d.(*vhosttest.Split)
			s.Descriptor(s.Desc, 0, b, flags, next)
			s.Head(0)
			s.Publish()
		}
	}
	table := func(size uint32, fill func(s *vhosttest.Split, table uint64)) func(*vhosttest.RAM, vhosttest.Driver) {
		return func(ram *vhosttest.RAM, d vhosttest.Driver) {
			s := d.(*vhosttest.Split)
			at := ram.Alloc(16*64, 16)
			fill(s, at)
			s.Descriptor(s.Desc, 0, vhosttest.Buffer{Addr: at, Len: size}, vhosttest.Indirect, 0)
			s.Head(0)
			s.Publish()
		}
	}
	broken(t, "head beyond the table", k, "available ring names a descriptor that does not exist", func(_ *vhosttest.RAM, d vhosttest.Driver) {
		d.(*vhosttest.Split).Head(8)
		d.Publish()
	})
	broken(t, "available index runs away", k, "available index is further ahead than the ring is long", func(_ *vhosttest.RAM, d vhosttest.Driver) {
		for range 9 {
			d.(*vhosttest.Split).Head(0)
		}
		d.Publish()
	})
	broken(t, "next beyond the table", k, "next descriptor does not exist", one(ok, vhosttest.Next, 8))
	broken(t, "loop", k, "chain has a loop", one(ok, vhosttest.Next, 0))
	broken(t, "buffer outside memory", k, "buffer is not in the guest's memory", one(vhosttest.Buffer{Addr: 0x1000, Len: 4}, 0, 0))
	broken(t, "buffer at the end of the address space", k, "buffer is not in the guest's memory", one(vhosttest.Buffer{Addr: ^uint64(0) - 1, Len: 4}, 0, 0))
	broken(t, "buffer partly outside", k, "buffer is not in the guest's memory", one(vhosttest.Buffer{Addr: guestBase + ramSize - 4, Len: 8}, 0, 0))
	broken(t, "readable after writable", k, "readable buffer after a writable one", func(_ *vhosttest.RAM, d vhosttest.Driver) {
		s := d.(*vhosttest.Split)
		s.Descriptor(s.Desc, 0, ok, vhosttest.Write|vhosttest.Next, 1)
		s.Descriptor(s.Desc, 1, ok, 0, 0)
		s.Head(0)
		s.Publish()
	})
	broken(t, "indirect with next", k, "indirect descriptor with a next one", one(ok, vhosttest.Indirect|vhosttest.Next, 1))
	broken(t, "indirect of no size", k, "indirect table is not a whole number of descriptors", one(vhosttest.Buffer{Addr: guestBase}, vhosttest.Indirect, 0))
	broken(t, "indirect of odd size", k, "indirect table is not a whole number of descriptors", one(vhosttest.Buffer{Addr: guestBase, Len: 24}, vhosttest.Indirect, 0))
	broken(t, "indirect outside memory", k, "indirect table is not in the guest's memory", one(vhosttest.Buffer{Addr: 0x1000, Len: 16}, vhosttest.Indirect, 0))
	broken(t, "indirect not negotiated", kind{size: 8}, "indirect descriptor without VIRTIO_F_INDIRECT_DESC", one(ok, vhosttest.Indirect, 0))
	broken(t, "indirect in indirect", k, "indirect descriptor in an indirect table", table(16, func(s *vhosttest.Split, at uint64) {
		s.Descriptor(at, 0, ok, vhosttest.Indirect, 0)
	}))
	broken(t, "next beyond the indirect table", k, "next descriptor does not exist", table(16, func(s *vhosttest.Split, at uint64) {
		s.Descriptor(at, 0, ok, vhosttest.Next, 1)
	}))
	broken(t, "loop in an indirect table", k, "chain has a loop", table(32, func(s *vhosttest.Split, at uint64) {
		s.Descriptor(at, 0, ok, vhosttest.Next, 1)
		s.Descriptor(at, 1, ok, vhosttest.Next, 0)
	}))
	broken(t, "indirect chain longer than the ring", k, "chain is longer than the ring", table(16*16, func(s *vhosttest.Split, at uint64) {
		for i := range uint16(16) {
			s.Descriptor(at, i, ok, vhosttest.Next, i+1)
		}
	}))
	broken(t, "buffer of 4 GiB", k, "buffer is not in the guest's memory", one(vhosttest.Buffer{Addr: guestBase, Len: ^uint32(0)}, 0, 0))
}

func TestBrokenPacked(t *testing.T) {
	k := kind{size: 8, packed: true, indirect: true}
	const avail = 1 << 7
	ok := vhosttest.Buffer{Addr: guestBase, Len: 16}
	one := func(b vhosttest.Buffer, flags, id uint16) func(*vhosttest.RAM, vhosttest.Driver) {
		return func(_ *vhosttest.RAM, d vhosttest.Driver) {
			p := d.(*vhosttest.Packed)
			p.Descriptor(p.Ring, 0, b, id)
			p.SetFlags(p.Ring, 0, flags|avail)
		}
	}
	broken(t, "chain around the ring", k, "chain is longer than the ring", func(_ *vhosttest.RAM, d vhosttest.Driver) {
		p := d.(*vhosttest.Packed)
		for i := range uint16(8) {
			p.Descriptor(p.Ring, i, ok, 0)
			p.SetFlags(p.Ring, i, vhosttest.Next|avail)
		}
	})
	broken(t, "ID beyond the ring", k, "buffer ID is beyond the ring", one(ok, 0, 8))
	broken(t, "buffer outside memory", k, "buffer is not in the guest's memory", one(vhosttest.Buffer{Addr: 0x1000, Len: 4}, 0, 0))
	broken(t, "readable after writable", k, "readable buffer after a writable one", func(_ *vhosttest.RAM, d vhosttest.Driver) {
		p := d.(*vhosttest.Packed)
		p.Descriptor(p.Ring, 0, ok, 0)
		p.SetFlags(p.Ring, 0, vhosttest.Next|vhosttest.Write|avail)
		p.Descriptor(p.Ring, 1, ok, 0)
		p.SetFlags(p.Ring, 1, avail)
	})
	broken(t, "indirect with next", k, "indirect descriptor with a next one", one(ok, vhosttest.Indirect|vhosttest.Next, 0))
	broken(t, "indirect of odd size", k, "indirect table is not a whole number of descriptors", one(vhosttest.Buffer{Addr: guestBase, Len: 17}, vhosttest.Indirect, 0))
	broken(t, "indirect not negotiated", kind{size: 8, packed: true}, "indirect descriptor without VIRTIO_F_INDIRECT_DESC", one(ok, vhosttest.Indirect, 0))
	broken(t, "indirect longer than the ring", k, "chain is longer than the ring", func(ram *vhosttest.RAM, d vhosttest.Driver) {
		p := d.(*vhosttest.Packed)
		at := ram.Alloc(16*9, 16)
		for i := range uint16(9) {
			p.Descriptor(at, i, ok, 0)
		}
		one(vhosttest.Buffer{Addr: at, Len: 16 * 9}, vhosttest.Indirect, 0)(ram, d)
	})
	broken(t, "indirect in indirect", k, "indirect descriptor in an indirect table", func(ram *vhosttest.RAM, d vhosttest.Driver) {
		p := d.(*vhosttest.Packed)
		at := ram.Alloc(16, 16)
		p.Descriptor(at, 0, ok, 0)
		p.SetFlags(at, 0, vhosttest.Indirect)
		one(vhosttest.Buffer{Addr: at, Len: 16}, vhosttest.Indirect, 0)(ram, d)
	})
}

// TestAllocations: nothing is allocated for a chain.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, k := range kinds {
		ram := newRAM(t)
		d := k.driver(ram)
		mem := memory{ram: ram, base: guestBase}
		c := k.config(d)
		c.Inflight = kept{b: make([]byte, virtqueue.InflightSize(k.packed, k.size))}
		r, err := virtqueue.New(mem, c)
		if err != nil {
			t.Fatal(err)
		}
		chain := virtqueue.NewChain(k.size)
		b := []vhosttest.Buffer{ram.Put([]byte{1})}
		device := func() {
			r.Busy()
			if ok, err := r.Next(chain); !ok || err != nil {
				t.Fatal(ok, err)
			}
			r.Use(chain, 0)
			r.Call()
			r.Idle()
		}
		for range k.size {
			d.Add(b, nil, k.indirect)
		}
		d.Publish()
		total := testing.AllocsPerRun(int(k.size)-1, device) // and once to warm up
		if total != 0 {
			t.Errorf("%v: %v allocations", k, total)
		}
	}
}
