package integrity

import (
	"slices"

	"github.com/qcemu/qcemu/devices/trace"
)

// history keeps the last events of each side, so that what the busy one does
// does not push out what the other one did.
type history struct {
	sides [maxEEs]ring
}

// historyLen is how many events of each side are kept.
const historyLen = 32

type ring struct {
	events [historyLen]trace.Event
	ops    [historyLen]trace.Op
	n      uint64
}

// kinds are the events that tell how two sides came into each other's way.
var kinds = [...]trace.Kind{
	trace.RegWrite, trace.Lock, trace.Unlock, trace.LockWait, trace.PipeReset,
	trace.OpStart, trace.OpDone, trace.OpAbort,
}

// Wants implements trace.Selective.
func (m *Monitor) Wants(k trace.Kind) bool { return slices.Contains(kinds[:], k) }

// Emit implements trace.Sink.
func (m *Monitor) Emit(e *trace.Event) {
	if e.Kind == trace.RegWrite && e.Block != trace.QCE {
		return
	}
	r := &m.history.sides[e.By.EE&(maxEEs-1)]
	i := r.n % historyLen
	r.events[i] = *e
	if e.Op != nil {
		r.ops[i] = *e.Op
		r.events[i].Op = &r.ops[i]
	}
	r.n++
}

// render puts the histories of all sides together, in the order of the stream.
func (h *history) render(describe func(*trace.Event) string) []string {
	var all []*trace.Event
	for i := range h.sides {
		r := &h.sides[i]
		for k := range min(r.n, historyLen) {
			all = append(all, &r.events[k])
		}
	}
	slices.SortFunc(all, func(a, b *trace.Event) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = describe(e)
	}
	return lines
}
