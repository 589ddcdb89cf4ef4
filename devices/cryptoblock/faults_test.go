package cryptoblock_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// Each fault befalls when it is asked for, shows its effect, and is counted;
// the same seed draws the same ones.
func TestFaults(t *testing.T) {
	type result struct {
		counts  cryptoblock.FaultCounts
		hung    int
		failed  int
		faults  int // bus faults in the event stream
		changes int // of the line
	}
	run := func(f cryptoblock.Faults) (r result) {
		f.Seed = 5
		seen := newEvents()
		l := newLinux(t, cryptoblock.Options{Faults: &f, Sinks: []trace.Sink{seen}})
		for range 4 {
			for _, q := range someRequests {
				got := l.Series(q)
				switch {
				case got.Hung:
					r.hung++
				case got.Failed():
					r.failed++
				}
			}
		}
		r.counts, r.faults, r.changes = l.Block.FaultCounts(), seen.count(trace.BusFault), l.Line.Changes
		return r
	}
	plain := run(cryptoblock.Faults{Buffer: 64})
	if diff := cmp.Diff(cryptoblock.FaultCounts{}, plain.counts); diff != "" || plain.hung+plain.failed+plain.faults > 0 {
		t.Fatalf("a small buffer alone: %+v", plain)
	}
	for name, test := range map[string]struct {
		faults cryptoblock.Faults
		count  func(c *cryptoblock.FaultCounts) uint64
		check  func(r *result) bool
	}{
		"lost": {cryptoblock.Faults{LostInterrupt: 0.1}, func(c *cryptoblock.FaultCounts) uint64 { return c.Lost },
			func(r *result) bool { return r.hung > 0 && r.faults == 0 }},
		"late": {cryptoblock.Faults{LateInterrupt: 0.5}, func(c *cryptoblock.FaultCounts) uint64 { return c.Late },
			func(r *result) bool { return r.hung+r.failed+r.faults == 0 }},
		"duplicate": {cryptoblock.Faults{DuplicateInterrupt: 0.5}, func(c *cryptoblock.FaultCounts) uint64 { return c.Duplicate },
			func(r *result) bool { return r.hung+r.failed+r.faults == 0 && r.changes > plain.changes }},
		"spurious": {cryptoblock.Faults{SpuriousInterrupt: 0.1}, func(c *cryptoblock.FaultCounts) uint64 { return c.Spurious },
			func(r *result) bool { return r.hung+r.failed+r.faults == 0 && r.changes > plain.changes }},
		"descriptor": {cryptoblock.Faults{DescriptorError: 0.01}, func(c *cryptoblock.FaultCounts) uint64 { return c.Descriptor },
			func(r *result) bool { return r.hung > 0 && r.faults == int(r.counts.Descriptor) }},
		"element": {cryptoblock.Faults{ElementError: 0.01}, func(c *cryptoblock.FaultCounts) uint64 { return c.Element },
			func(r *result) bool { return r.hung > 0 && r.faults == int(r.counts.Element) }},
		"data": {cryptoblock.Faults{DataError: 0.1}, func(c *cryptoblock.FaultCounts) uint64 { return c.Data },
			func(r *result) bool { return r.hung > 0 && r.faults == int(r.counts.Data) }},
		"stall": {cryptoblock.Faults{StalledEngine: 0.3}, func(c *cryptoblock.FaultCounts) uint64 { return c.Stalls },
			func(r *result) bool { return r.hung+r.failed+r.faults == 0 }},
	} {
		r := run(test.faults)
		if n := test.count(&r.counts); n == 0 || !test.check(&r) {
			t.Errorf("%s: %+v", name, r)
		}
		if again := run(test.faults); again != r {
			t.Errorf("%s: the same seed gives %+v and %+v", name, r, again)
		}
	}
}

// A fault on Linux's side leaves the engine usable: its pipes are reset, and
// the next request works.
func TestRecoversFromFaults(t *testing.T) {
	l := newLinux(t, cryptoblock.Options{Faults: &cryptoblock.Faults{Seed: 1, DataError: 0.2}})
	good := 0
	for range 40 {
		if got := l.Series(someRequests[0]); !got.Hung {
			if msg := wrong(t, someRequests[0], got); msg != "" {
				t.Errorf("%s", msg)
			}
			good++
		}
	}
	if good == 0 || good == 40 {
		t.Errorf("%d of 40 requests came through", good)
	}
	if v := l.Block.Port(0).Read(profile(t).QCEOffset + qce.Version); v == 0 {
		t.Errorf("VERSION is 0")
	}
}
