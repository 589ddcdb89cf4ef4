package oracle

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// operations makes operations by chance, of which every wrongEvery-th gives a
// wrong byte. Bytes of an operation tells which it is.
func operations(k *Checker, n, wrongEvery int) {
	r := rand.New(rand.NewPCG(3, 3))
	for i := range n {
		c := &qce.Latched{EncrSegCfg: 2 | 3<<6 | 1<<10} // AES-XTS
		copy(c.Key[:], random(r, 16))
		copy(c.XTSKey[:], random(r, 16))
		in := random(r, 16*(1+r.IntN(20)))
		c.SegSize, c.EncrSegSize = uint32(len(in)), uint32(len(in))
		want, err := Expect(c, in)
		if err != nil {
			panic(err)
		}
		out := want.Payload
		if i%wrongEvery == 0 {
			out[r.IntN(len(out))] ^= 1
		}
		op := &trace.Op{Bytes: uint32(i)}
		k.Start(op, c)
		k.Input(in[:8])
		k.Input(in[8:])
		k.Output(out)
		clear(in) // they are the engine's
		clear(out)
		k.Done(op)
	}
}

// Whoever judges it, each operation is judged once, and mismatches come in the
// order of the operations.
func TestCheckerIsDeterministic(t *testing.T) {
	const n, every = 1700, 13
	wrong := (n + every - 1) / every
	k := NewChecker(1 << 10)
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for last := uint64(0); last < n; {
				c := k.Counts()
				if c.Checked < last {
					t.Errorf("%d operations are checked after %d", c.Checked, last)
				}
				last = c.Checked
			}
		})
	}
	operations(k, n, every)
	if diff := cmp.Diff(Counts{Checked: n, Wrong: uint64(wrong)}, k.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	readers.Wait()
	var want, got []uint32
	for i := range min(wrong, maxMismatches) {
		want = append(want, uint32(i*every))
	}
	for _, m := range k.Mismatches() {
		got = append(got, m.Op.Bytes)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mismatches (-want +got):\n%s", diff)
	}
}

// A reader waits for the operations that have ended, with or without anybody
// else at work.
func TestCheckerAwaitsVerdicts(t *testing.T) {
	for _, n := range []int{1, Worthwhile - 1, Worthwhile, maxWaiting + 1, 3 * maxWaiting} {
		k := NewChecker(1 << 10)
		operations(k, n, n+1)
		if got := k.Counts(); got.Checked != uint64(n) {
			t.Errorf("of %d operations %d are checked", n, got.Checked)
		}
	}
}

// What is too long or does not end is not judged, and what is not judged does
// not touch what follows.
func TestCheckerLeavesOut(t *testing.T) {
	k := NewChecker(512)
	long := &qce.Latched{SegSize: 513}
	op := &trace.Op{}
	operations(k, 2, 10)
	k.Start(op, long)
	k.Input(make([]byte, 513))
	k.Output(make([]byte, 513))
	k.Done(op)
	k.Start(op, &qce.Latched{SegSize: 16, EncrSegCfg: 2 | 3<<6})
	k.Input(make([]byte, 16))
	k.Abort(op)
	k.Start(op, &qce.Latched{SegSize: 4, EncrSegCfg: 2 | 9<<6}) // no such mode
	k.Input(make([]byte, 4))
	k.Output(make([]byte, 4))
	k.Done(op)
	operations(k, 2, 10)
	if diff := cmp.Diff(Counts{Checked: 4, NotJudged: 2, Wrong: 2}, k.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// Without a limit nothing is judged, not even what has no input.
func TestCheckerWithoutLimit(t *testing.T) {
	k := NewChecker(0)
	for range 2 {
		k.Start(&trace.Op{}, &qce.Latched{})
		k.Done(&trace.Op{})
		k.SetLimit(0)
	}
	if diff := cmp.Diff(Counts{Checked: 1, NotJudged: 1}, k.Counts()); diff != "" {
		t.Errorf("before and after SetLimit (-want +got):\n%s", diff)
	}
}

// Much data at once is not kept for long.
func TestCheckerBoundsMemory(t *testing.T) {
	k := NewChecker(1 << 20)
	op := &trace.Op{}
	big := make([]byte, 1<<20)
	for range 8 {
		k.Start(op, &qce.Latched{SegSize: 1 << 20})
		k.Input(big)
		k.Done(op)
		if k.queue.mu.Lock(); k.queue.bytes > maxBytes {
			t.Errorf("%d bytes wait to be judged", k.queue.bytes)
		}
		k.queue.mu.Unlock()
	}
	if c := k.Counts(); c.Checked != 8 || c.Wrong != 0 {
		t.Errorf("%+v", c)
	}
}
