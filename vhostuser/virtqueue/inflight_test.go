package virtqueue_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// TestKilled kills the device at each of its writes in turn, to the guest's
// memory and to its own, while chains are in flight. The next device must use
// each chain once, and in order.
func TestKilled(t *testing.T) {
	atEach(t, func(cut int, device func(virtqueue.Memory, bus.Memory) error, ram *vhosttest.RAM, store []byte) (done bool) {
		defer func() {
			if e := recover(); e != nil {
				if _, ok := e.(killed); !ok {
					panic(e)
				}
			}
		}()
		if err := device(memory{ram: ram, cut: &cut, base: guestBase}, kept{store, &cut}); err != nil {
			t.Fatal(err)
		}
		return true
	})
}

// TestUnreachable takes the memory away at each access in turn, and again from the
// device that comes after: the ring breaks, and when it is set up again there is
// nothing lost either.
func TestUnreachable(t *testing.T) {
	atEach(t, func(cut int, device func(virtqueue.Memory, bus.Memory) error, ram *vhosttest.RAM, store []byte) (done bool) {
		for life := range 2 {
			gone := &countdown{left: cut}
			err := device(fading{memory{ram: ram, base: guestBase}, gone}, fadingStore{kept{b: store}, gone})
			if gone.reached != (err != nil) {
				t.Errorf("cut %d: memory is gone: %v, error: %v", cut, gone.reached, err)
			}
			if err == nil {
				return life == 0
			}
		}
		return false
	})
}

// atEach lets one device of each kind begin and be cut off at a place, and another
// one end, until first reports that there was nothing left to cut.
func atEach(t *testing.T, first func(cut int, device func(virtqueue.Memory, bus.Memory) error, ram *vhosttest.RAM, store []byte) (done bool)) {
	for _, k := range kinds {
		for _, pending := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v,pending=%d", k, pending), func(t *testing.T) {
				for cut := 0; ; cut++ {
					if done := cutAt(t, k, cut, pending, first); done {
						if cut < 10 {
							t.Errorf("only %d places", cut)
						}
						return
					}
				}
			})
		}
	}
}

// cutAt runs a device that comes to an end at a place, then another one. It
// reports whether the first had nothing left to do before.
func cutAt(t *testing.T, k kind, cut, pending int, first func(int, func(virtqueue.Memory, bus.Memory) error, *vhosttest.RAM, []byte) bool) (done bool) {
	t.Helper()
	const chains = 6
	ram := newRAM(t)
	d := k.driver(ram)
	store := make([]byte, virtqueue.InflightSize(k.packed, k.size))
	var want, got []uint16
	added := 0
	feed := func() {
		for added < chains && added-len(got) < min(4, int(k.size)/2) {
			want = append(want, d.Add([]vhosttest.Buffer{ram.Put([]byte{byte(added)}), ram.Put([]byte("more"))}, nil, k.indirect))
			added++
			d.Publish()
		}
	}
	collect := func() {
		for {
			id, written, ok := d.Used()
			if !ok {
				return
			}
			if written != uint32(len(got)) {
				t.Errorf("cut %d: chain %d was used as the %d., it is the %d.", cut, id, len(got), written)
			}
			got = append(got, id)
		}
	}
	feed()
	base := d.Base()
	device := func(mem virtqueue.Memory, store bus.Memory) error {
		c := k.config(d)
		c.Inflight, c.Base = store, base
		return run(mem, c, pending, func() { collect(); feed() })
	}
	done = first(cut, device, ram, store)
	collect()
	feed()
	if err := device(memory{ram: ram, base: guestBase}, kept{b: store}); err != nil {
		t.Fatalf("cut %d: the next device: %v", cut, err)
	}
	collect()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("cut %d: chains (-added +used):\n%s", cut, diff)
	}
	return done
}

// run is a device that holds up to pending chains and uses them in order. It
// tells by the length of a used chain which one it was. For a split ring only
// the used ring tells where to begin; for a packed one the in-flight memory.
func run(mem virtqueue.Memory, c virtqueue.Config, pending int, idle func()) error {
	r, err := virtqueue.New(mem, c)
	if err != nil {
		return err
	}
	var held []*virtqueue.Chain
	for {
		for len(held) < pending {
			chain := virtqueue.NewChain(c.Size)
			ok, err := r.Next(chain)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			held = append(held, chain)
		}
		if len(held) == 0 {
			if more, err := r.Idle(); err != nil || !more {
				return err
			}
			continue
		}
		b := []byte{0}
		v, _ := all(held[0].Out)
		if err := v.Read(mem, 0, b); err != nil {
			return err
		}
		if err := r.Use(held[0], uint32(b[0])); err != nil {
			return err
		}
		held = slices.Delete(held, 0, 1)
		idle()
	}
}

// TestReturned: a chain that is given back comes again, in its place, to the same
// device and to the next.
func TestReturned(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			ram := newRAM(t)
			d := k.driver(ram)
			mem := memory{ram: ram, base: guestBase}
			c := k.config(d)
			c.Inflight = kept{b: make([]byte, virtqueue.InflightSize(k.packed, k.size))}
			var ids []uint16
			for range 3 {
				ids = append(ids, d.Add([]vhosttest.Buffer{ram.Put([]byte{1})}, nil, k.indirect))
			}
			d.Publish()
			chain := virtqueue.NewChain(k.size)
			for life := range 3 { // the first device takes the chains from the ring, the next from what was in flight
				r, err := virtqueue.New(mem, c)
				if err != nil {
					t.Fatal(err)
				}
				next := func() {
					if ok, err := r.Next(chain); err != nil || !ok {
						t.Fatalf("life %d: %v %v", life, ok, err)
					}
				}
				if next(); life < 2 {
					next()
				}
				for range 3 {
					if err := r.Return(chain); err != nil {
						t.Fatal(err)
					}
					if more, err := r.Idle(); err != nil || !more {
						t.Errorf("life %d: idle with a chain that was given back: %v %v", life, more, err)
					}
					next()
				}
				if life == 0 {
					if err := r.Return(chain); err != nil {
						t.Fatal(err)
					}
				}
				if life == 2 {
					for range ids {
						if err := r.Use(chain, 0); err != nil {
							t.Fatal(err)
						}
						r.Next(chain)
					}
				}
			}
			var used []uint16
			for id, _, ok := d.Used(); ok; id, _, ok = d.Used() {
				used = append(used, id)
			}
			if diff := cmp.Diff(ids, used); diff != "" {
				t.Errorf("chains (-added +used):\n%s", diff)
			}
		})
	}
}

// TestHostileInflight has in-flight memory that a peer has tampered with, also
// while a used chain was not noted yet: an error or a ring, never a crash.
func TestHostileInflight(t *testing.T) {
	for _, k := range []kind{{size: 8}, {size: 8, packed: true}} {
		for _, behind := range []bool{false, true} {
			ram := newRAM(t)
			d := k.driver(ram)
			size := virtqueue.InflightSize(k.packed, k.size)
			good := kept{b: make([]byte, size)}
			c := k.config(d)
			c.Inflight = good
			mem := memory{ram: ram, base: guestBase}
			r, err := virtqueue.New(mem, c)
			if err != nil {
				t.Fatal(err)
			}
			chain := virtqueue.NewChain(k.size)
			for range 3 {
				d.Add([]vhosttest.Buffer{ram.Put([]byte{1})}, nil, false)
			}
			d.Publish()
			next := func() {
				if ok, err := r.Next(chain); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			next()
			if behind {
				before := slices.Clone(good.b)
				if err := r.Use(chain, 0); err != nil {
					t.Fatal(err)
				}
				copy(good.b, before)
			} else {
				next()
				next()
			}
			for at := range size {
				for _, v := range []byte{0, 1, 7, 8, 0x7f, 0xff} {
					bad := kept{b: slices.Clone(good.b)}
					bad.b[at] = v
					c.Inflight = bad
					r, err := virtqueue.New(mem, c)
					if err != nil {
						continue
					}
					for range 20 {
						if ok, err := r.Next(chain); err != nil || !ok {
							break
						}
						r.Use(chain, 0)
					}
				}
			}
		}
	}
}
