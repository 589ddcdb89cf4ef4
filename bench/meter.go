package bench

import (
	"slices"
	"sync"
	"time"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
)

// cost is what came to the device for one request.
type cost struct {
	wall       time.Duration // since the request before
	model      time.Duration // spent in the model
	reads      int           // of registers
	writes     int
	interrupts int
}

// meter stands between the server and the model, and takes the time of each
// access. As a reader of the model's events it knows when an operation is over:
// from there to the end of the next of the same kind is what a request costs.
type meter struct {
	vfiouser.Device

	mu    sync.Mutex
	done  *trace.Op // the operation that the access in progress ended; a copy
	last  trace.Op  // the one before
	since time.Time
	now   cost
	line  time.Duration // of the access in progress, spent on telling QEMU of interrupts
	costs map[kind][]cost
}

// kind tells requests apart.
type kind struct {
	alg   string
	bytes uint32
}

func newMeter(d vfiouser.Device) *meter { return &meter{Device: d, costs: map[kind][]cost{}} }

// Wants implements trace.Selective.
func (m *meter) Wants(k trace.Kind) bool { return k == trace.OpDone }

// Emit implements trace.Sink. It is called in the middle of an access.
func (m *meter) Emit(e *trace.Event) {
	if e.Kind != trace.OpDone || e.Op == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	op := *e.Op
	m.done = &op
}

// Attach implements vfiouser.Device.
func (m *meter) Attach(mem bus.Memory, line bus.Line) { m.Device.Attach(mem, meteredLine{line, m}) }

// meteredLine counts interrupts. Its time is not the model's: it wakes QEMU.
type meteredLine struct {
	bus.Line
	m *meter
}

func (l meteredLine) Set(asserted bool) {
	start := time.Now()
	l.Line.Set(asserted)
	took := time.Since(start)
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.line += took
	if asserted {
		l.m.now.interrupts++
	}
}

// ReadRegion implements vfiouser.Device.
func (m *meter) ReadRegion(off uint64, p []byte) error {
	start := time.Now()
	err := m.Device.ReadRegion(off, p)
	m.access(start, 1, 0)
	return err
}

// WriteRegion implements vfiouser.Device.
func (m *meter) WriteRegion(off uint64, p []byte) error {
	start := time.Now()
	err := m.Device.WriteRegion(off, p)
	m.access(start, 0, 1)
	return err
}

// access books an access that has been made.
func (m *meter) access(start time.Time, reads, writes int) {
	end := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.model += max(end.Sub(start)-m.line, 0)
	m.line = 0
	m.now.reads += reads
	m.now.writes += writes
	if m.done == nil {
		return
	}
	op := m.done
	if !m.since.IsZero() && op.Alg == m.last.Alg && op.Bytes == m.last.Bytes {
		m.now.wall = end.Sub(m.since)
		k := kind{op.Alg, op.Bytes}
		m.costs[k] = append(m.costs[k], m.now)
	}
	m.last, m.done, m.since, m.now = *op, nil, end, cost{}
}

// typical is the median of each part of what requests of a kind cost, and how
// many they were.
func (m *meter) typical(alg string, bytes uint32) (cost, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.costs[kind{alg, bytes}]
	if len(all) == 0 {
		return cost{}, 0
	}
	return cost{
		wall:       median(all, func(c cost) time.Duration { return c.wall }),
		model:      median(all, func(c cost) time.Duration { return c.model }),
		reads:      median(all, func(c cost) int { return c.reads }),
		writes:     median(all, func(c cost) int { return c.writes }),
		interrupts: median(all, func(c cost) int { return c.interrupts }),
	}, len(all)
}

func median[T time.Duration | int](all []cost, of func(cost) T) T {
	values := make([]T, len(all))
	for i, c := range all {
		values[i] = of(c)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
