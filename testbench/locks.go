package testbench

import (
	"slices"
	"sync"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/report"
)

// lockBook counts from the event stream what was done with the pipe lock.
type lockBook struct {
	profile *cryptoblock.Profile

	mu    sync.Mutex
	list  []report.LockUse
	since map[int8]moment // when the holder took it, by pipe
}

type moment struct{ time, seq uint64 }

func newLockBook(p *cryptoblock.Profile) *lockBook {
	return &lockBook{profile: p, since: map[int8]moment{}}
}

// Wants implements trace.Selective.
func (b *lockBook) Wants(k trace.Kind) bool {
	return k == trace.Lock || k == trace.Unlock || k == trace.LockWait
}

// Emit implements trace.Sink.
func (b *lockBook) Emit(e *trace.Event) {
	if !b.Wants(e.Kind) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.of(b.owner(e.Pipe))
	switch e.Kind {
	case trace.LockWait:
		u.Waited++
	case trace.Lock:
		u.Held++
		b.since[e.Pipe] = moment{e.Time, e.Seq}
	case trace.Unlock:
		if e.Value != uint64(trace.ByUnlock) {
			u.Forced++
		}
		if at, ok := b.since[e.Pipe]; ok {
			u.Longest = max(u.Longest, e.Time-at.time)
			u.Steps = max(u.Steps, e.Seq-at.seq)
			delete(b.since, e.Pipe)
		}
	}
}

// owner is the execution environment that a pipe belongs to.
func (b *lockBook) owner(pipe int8) int {
	pair := int(pipe) / 2
	for _, place := range b.profile.Places() {
		if place.Pair == pair {
			return place.EE
		}
	}
	if pair == b.profile.PipePair {
		return b.profile.EE
	}
	return b.profile.SecureEE()
}

func (b *lockBook) of(ee int) *report.LockUse {
	i := slices.IndexFunc(b.list, func(u report.LockUse) bool { return u.EE == ee })
	if i < 0 {
		b.list = append(b.list, report.LockUse{EE: ee})
		i = len(b.list) - 1
	}
	return &b.list[i]
}

// uses returns the counts.
func (b *lockBook) uses() []report.LockUse {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(slices.Values(b.list), func(x, y report.LockUse) int { return x.EE - y.EE })
}
