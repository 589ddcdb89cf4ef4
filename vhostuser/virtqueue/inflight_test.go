package virtqueue_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// TestKilled kills the device at each of its writes in turn, to the guest's
// memory and to its own, while chains are in flight. The next device must use
// each chain once, and in order.
func TestKilled(t *testing.T) {
	for _, k := range kinds {
		for _, pending := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v,pending=%d", k, pending), func(t *testing.T) {
				for cut := 0; ; cut++ {
					if done := killAt(t, k, cut, pending); done {
						if cut < 10 {
							t.Errorf("only %d writes", cut)
						}
						return
					}
				}
			})
		}
	}
}

// killAt runs a device that dies at its cut-th write, then another one. It
// reports whether the first had nothing left to do before.
func killAt(t *testing.T, k kind, cut, pending int) (done bool) {
	t.Helper()
	const chains = 6
	ram := newRAM(t)
	d := k.driver(ram)
	store := kept{b: make([]byte, virtqueue.InflightSize(k.packed, k.size))}
	var want, got []uint16
	added := 0
	feed := func() {
		for added < chains && added-len(got) < min(4, int(k.size)-1) {
			want = append(want, d.Add([]vhosttest.Buffer{ram.Put([]byte{byte(added)})}, nil, k.indirect))
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
				t.Errorf("killed at write %d: chain %d was used as the %d., it is the %d.", cut, id, len(got), written)
			}
			got = append(got, id)
		}
	}
	feed()
	countdown := cut
	base := d.Base()
	func() {
		defer func() {
			if e := recover(); e != nil {
				if _, ok := e.(killed); !ok {
					panic(e)
				}
				done = false
			}
		}()
		done = true
		run(t, k, ram, d, store, &countdown, pending, base, func() { collect(); feed() })
	}()
	collect()
	feed()
	run(t, k, ram, d, store, nil, pending, base, func() { collect(); feed() })
	collect()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("killed at write %d: chains (-added +used):\n%s", cut, diff)
	}
	return done
}

// run is a device that holds up to pending chains and uses them in order. It
// tells by the length of a used chain which one it was. For a split ring only
// the used ring tells where to begin; for a packed one the in-flight memory.
func run(t *testing.T, k kind, ram *vhosttest.RAM, d vhosttest.Driver, store kept, cut *int, pending int, base uint32, idle func()) {
	t.Helper()
	store.cut = cut
	mem := memory{ram: ram, cut: cut, base: guestBase}
	c := k.config(d)
	c.Inflight, c.Base = store, base
	r, err := virtqueue.New(mem, c)
	if err != nil {
		t.Fatal(err)
	}
	var held []*virtqueue.Chain
	for {
		for len(held) < pending {
			chain := virtqueue.NewChain(k.size)
			ok, err := r.Next(chain)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			held = append(held, chain)
		}
		if len(held) == 0 {
			if more, err := r.Idle(); err != nil {
				t.Fatal(err)
			} else if !more {
				return
			}
			continue
		}
		b := []byte{0}
		v, _ := all(held[0].Out)
		if err := v.Read(mem, 0, b); err != nil {
			t.Fatal(err)
		}
		if err := r.Use(held[0], uint32(b[0])); err != nil {
			t.Fatal(err)
		}
		held = slices.Delete(held, 0, 1)
		idle()
	}
}

// TestHostileInflight has in-flight memory that a peer has tampered with: an
// error or a ring, never a crash.
func TestHostileInflight(t *testing.T) {
	for _, k := range []kind{{size: 8}, {size: 8, packed: true}} {
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
		for range 3 {
			if ok, err := r.Next(chain); !ok || err != nil {
				t.Fatal(ok, err)
			}
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
