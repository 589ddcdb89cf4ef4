package bench

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantiles(t *testing.T) {
	var s samples
	for i := range 100 {
		s = append(s, float64(i))
	}
	got := []float64{s.p50(), s.p99(), s.quantile(0), s.quantile(1), samples(nil).p50(), samples{7}.p99()}
	if diff := cmp.Diff([]float64{50, 99, 0, 99, 0, 7}, got); diff != "" {
		t.Errorf("p50, p99, least, greatest, none, one (-want +got):\n%s", diff)
	}
}

func TestTurns(t *testing.T) {
	var order string
	got := turns{rounds: 2, batch: 2}.run(context.Background(), func() { order += "a" }, func() { order += "b" })
	if want := "ab" + "aabb" + "aabb"; order != want {
		t.Errorf("work was done in the order %s, want %s: once each to warm up, then by turns", order, want)
	}
	if len(got) != 2 || len(got[0]) != 2 || len(got[1]) != 2 {
		t.Errorf("got %v, want two samples of each", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := (turns{rounds: 9, batch: 1}).run(ctx, func() {}); len(got[0]) != 0 {
		t.Errorf("%d samples after the end of the context, want none", len(got[0]))
	}
}

func TestTurnsByAnotherClock(t *testing.T) {
	now, between := time.Duration(0), 0
	clock := turns{rounds: 3, batch: 2, clock: func() time.Duration { return now }}
	got := clock.with(func() { between++; now += time.Hour }).run(context.Background(), func() { now += 5 })
	if diff := cmp.Diff([]samples{{5, 5, 5}}, got); diff != "" || between != 3 {
		t.Errorf("between the samples was %d times; samples (-want +got):\n%s", between, diff)
	}
}

func TestProcessorTime(t *testing.T) {
	before := processorTime()
	for processorTime() == before {
	}
}

var sink []byte

func TestAllocations(t *testing.T) {
	if got := allocations(100, func() {}); got != 0 {
		t.Errorf("nothing allocates %v times", got)
	}
	if got := allocations(100, func() { sink = make([]byte, 100); sink = make([]byte, 100) }); got != 2 {
		t.Errorf("two allocations are counted as %v", got)
	}
}
