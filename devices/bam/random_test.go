package bam_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
)

// result is what software can see of a producer's descriptor when it is done.
type result struct {
	Size  uint32
	EOT   bool
	Bytes string
}

// reference says what a loopback must leave behind, byte by byte and with nothing that
// the model has: transfers end at EOT, descriptors are filled in order.
func reference(mem *bamtest.Memory, in, out []desc) []result {
	var done []result
	open := ""
	finish := func(eot bool) {
		d := out[len(done)]
		done = append(done, result{uint32(len(open)), eot || d.Flags&bam.FlagEOT != 0, open})
		open = ""
	}
	for _, d := range in {
		for i := range d.Size {
			open += string(mem.Bytes(d.Addr+uint64(i), 1))
			last := d.Flags&bam.FlagEOT != 0 && i == d.Size-1
			if last || uint32(len(open)) == out[len(done)].Size {
				finish(last)
			}
		}
	}
	return done
}

// Two pairs of two EEs with random rings, descriptors, bursts and orders of steps, against
// the reference.
func TestRandomTransfers(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r := newTraced(t, bam.Config{Owners: []uint8{2: 0, 3: 0, 4: 1, 5: 1}, Burst: rng.IntN(70)})
		for i := range r.mem.Data[0x30000:0x40000] {
			r.mem.Data[0x30000+i] = byte(rng.Uint32())
		}
		type pair struct {
			rx, tx  *bamtest.Ring
			in, out []desc
			want    []result
		}
		pairs := []*pair{
			{rx: r.ringOf(0, 2, 0, uint32(64+rng.IntN(60))*8), tx: r.ringOf(0, 3, 0x1000, uint32(260+rng.IntN(60))*8)},
			{rx: r.ringOf(1, 4, 0x2000, uint32(64+rng.IntN(60))*8), tx: r.ringOf(1, 5, 0x3000, uint32(260+rng.IntN(60))*8)},
		}
		for n, p := range pairs {
			p.rx.Group, p.tx.Group = uint32(n), uint32(n)
			p.rx.Init(0)
			p.tx.Init(0)
			for range 1 + rng.IntN(20) {
				flags := uint32(0)
				if rng.IntN(3) == 0 {
					flags = bam.FlagEOT | bam.FlagNWD
				}
				p.in = append(p.in, buf(data+uint64(rng.IntN(0xF000)), uint32(1+rng.IntN(120)), flags))
			}
			for i := range 250 {
				flags := uint32(0)
				if rng.IntN(5) == 0 {
					flags = bam.FlagEOT
				}
				p.out = append(p.out, buf(ramBase+0x40000+uint64(n)*0x8000+uint64(i)*128, uint32(1+rng.IntN(120)), flags))
			}
			p.want = reference(r.mem, p.in, p.out)
			p.tx.Push(p.out...)
		}
		// Everything is published bit by bit, with some steps in between, under locks.
		for i := range 20 {
			for n, p := range pairs {
				p.tx.Publish()
				if i >= len(p.in) {
					continue
				}
				lock := code + uint64(n)*32
				p.rx.Elements(lock, write(0, 0))
				p.rx.Push(buf(lock, 16, bam.FlagCMD|bam.FlagLOCK), p.in[i], buf(lock, 16, bam.FlagCMD|bam.FlagUNLOCK))
				p.rx.Publish()
				bamtest.RunRandom(r.bam, rng, rng.IntN(40))
			}
		}
		bamtest.RunRandom(r.bam, rng, 100000)
		for _, p := range pairs {
			if got := p.rx.Read(bam.PSWOfsts); got != p.rx.Tail {
				t.Fatalf("seed %d: pipe %d stopped at %#x of %#x", seed, p.rx.Pipe, got, p.rx.Tail)
			}
			var got []result
			for i := range p.want {
				d := p.tx.Entry(i)
				if d.Addr != p.out[i].Addr {
					t.Fatalf("seed %d: write-back changed address %d to %#x", seed, i, d.Addr)
				}
				got = append(got, result{d.Size, d.Flags&bam.FlagEOT != 0, string(r.mem.Bytes(d.Addr, int(d.Size)))})
			}
			if diff := cmp.Diff(p.want, got); diff != "" {
				t.Fatalf("seed %d pipe %d (-want +got):\n%s", seed, p.tx.Pipe, diff)
			}
			// What comes next is untouched.
			if d := p.tx.Entry(len(p.want)); d != p.out[len(p.want)] {
				t.Fatalf("seed %d: an open descriptor was written back: %+v", seed, d)
			}
		}
		checkLocks(t, seed, r)
	}
}

// checkLocks lets no pipe of the other pair fetch under a lock.
func checkLocks(t *testing.T, seed uint64, r *rig) {
	t.Helper()
	for _, id := range r.rec.Rules() {
		if id != "BAM-DESC-003" {
			t.Fatalf("seed %d: finding %s", seed, id)
		}
	}
	owner := int8(-1)
	for _, e := range r.rec.Events {
		switch e.Kind.String() {
		case "lock":
			owner = e.Pipe
		case "unlock":
			owner = -1
		case "desc-fetch":
			if owner >= 0 && e.Pipe/2 != owner/2 {
				t.Fatalf("seed %d: pipe %d fetches under the lock of %d", seed, e.Pipe, owner)
			}
		}
	}
}
