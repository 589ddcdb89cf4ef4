package bench

import (
	"context"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// samples are times in nanoseconds, sorted.
type samples []float64

// quantile is the value below which a share q of the samples lies.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func (s samples) p50() float64 { return s.quantile(0.50) }
func (s samples) p99() float64 { return s.quantile(0.99) }

// turns says how pieces of work are timed by turns.
type turns struct {
	rounds int // of each piece
	batch  int // repetitions in a sample; a sample is their mean
	// clock tells the time; nil: that on the wall.
	clock func() time.Duration
	// between is done after each sample, and not timed; nil: nothing.
	between func()
}

var start = time.Now()

func wall() time.Duration { return time.Since(start) }

// processorTime is what all threads of the process have used so far.
func processorTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has that clock
	}
	return time.Duration(t.Nano())
}

// with does something between samples.
func (t turns) with(between func()) turns {
	t.between = between
	return t
}

// run times the pieces by turns, so that whatever else the machine does meets
// all of them alike.
func (t turns) run(ctx context.Context, work ...func()) []samples {
	clock := t.clock
	if clock == nil {
		clock = wall
	}
	times := make([]samples, len(work))
	for i, f := range work {
		times[i] = make(samples, 0, t.rounds)
		f() // caches, and memory that is allocated once
	}
	for range t.rounds {
		if ctx.Err() != nil {
			break
		}
		for i, f := range work {
			began := clock()
			for range t.batch {
				f()
			}
			times[i] = append(times[i], float64(clock()-began)/float64(t.batch))
			if t.between != nil {
				t.between()
			}
		}
	}
	for _, s := range times {
		slices.Sort(s)
	}
	return times
}

// allocations is how often a piece of work allocates, on the average of n
// runs. Nothing else may run meanwhile that does.
func allocations(n int, work func()) float64 {
	work()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		work()
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / uint64(n)) // what is less than one a run is the runtime's own
}
