package bamtest

import (
	"slices"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/trace"
)

// Memory is one range of RAM.
type Memory struct {
	Base uint64
	Data []byte
	// Fault, when set, may refuse an access.
	Fault func(addr uint64, n int, write bool) bool

	Reads, Writes int // accesses that were made, failed ones included
}

// NewMemory returns size bytes of zeros at base.
func NewMemory(base uint64, size int) *Memory { return &Memory{Base: base, Data: make([]byte, size)} }

// Read implements bus.Memory.
func (m *Memory) Read(addr uint64, p []byte) error {
	m.Reads++
	at, err := m.at(addr, len(p), false)
	if err != nil {
		return err
	}
	copy(p, m.Data[at:])
	return nil
}

// Write implements bus.Memory.
func (m *Memory) Write(addr uint64, p []byte) error {
	m.Writes++
	at, err := m.at(addr, len(p), true)
	if err != nil {
		return err
	}
	copy(m.Data[at:], p)
	return nil
}

func (m *Memory) at(addr uint64, n int, write bool) (uint64, error) {
	size := uint64(len(m.Data))
	if addr < m.Base || addr-m.Base > size || uint64(n) > size-(addr-m.Base) {
		return 0, &bus.Fault{Addr: addr, Len: n, Write: write, Reason: bus.Unmapped}
	}
	if m.Fault != nil && m.Fault(addr, n, write) {
		return 0, &bus.Fault{Addr: addr, Len: n, Write: write, Reason: bus.Injected}
	}
	return addr - m.Base, nil
}

// Bytes returns n bytes at addr, which must be inside.
func (m *Memory) Bytes(addr uint64, n int) []byte { return m.Data[addr-m.Base:][:n] }

// Line is an interrupt line that remembers.
type Line struct {
	Level   bool
	Changes int
}

// Set implements bus.Line.
func (l *Line) Set(level bool) {
	l.Level = level
	l.Changes++
}

// Recorder is a sink that keeps all events.
type Recorder struct {
	Events []trace.Event
}

// Emit implements trace.Sink.
func (r *Recorder) Emit(e *trace.Event) { r.Events = append(r.Events, *e) }

// Rules returns the ids of the broken rules, in order of first appearance.
func (r *Recorder) Rules() []string {
	var ids []string
	for i := range r.Events {
		if e := &r.Events[i]; e.Kind == trace.Anomaly && !slices.Contains(ids, e.Rule.ID) {
			ids = append(ids, e.Rule.ID)
		}
	}
	return ids
}

// Count returns how many events of a kind there were.
func (r *Recorder) Count(k trace.Kind) int {
	n := 0
	for i := range r.Events {
		if r.Events[i].Kind == k {
			n++
		}
	}
	return n
}

// Kinds returns the kinds of all events, without register accesses.
func (r *Recorder) Kinds() []trace.Kind {
	var kinds []trace.Kind
	for i := range r.Events {
		if k := r.Events[i].Kind; k != trace.RegRead && k != trace.RegWrite {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
