package record

import (
	"context"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/trace"
)

// Variant makes a recorded run again with other answers to open questions.
// Where the model then does something else than in the recorded run, the
// guest's reaction is missing: it still does what it did. Memory that was read
// at another time has what the recording last saw there, or the model has
// written since; memory that it never saw reads as zeros.
func Variant(ctx context.Context, r *Reader, c reading.Choice, sinks ...trace.Sink) (*Result, error) {
	s, err := load(ctx, r, 0)
	if err != nil {
		return nil, err
	}
	cfg := s.header.Config
	cfg.Readings = reading.Choice{}
	for _, choice := range []reading.Choice{s.header.Config.Readings, c} {
		for name, value := range choice {
			cfg.Readings[name] = value
		}
	}
	v := newVariant(s, cfg)
	m, err := v.run(ctx, v.all(), model.Options{Sinks: sinks}, func() bool { return false })
	if err != nil {
		return nil, err
	}
	return &Result{Header: s.header, Model: m, Entries: uint64(len(s.items)), Complete: s.ended, Divergence: v.first}, nil
}

// variant runs a session in other ways than it was recorded: with another
// configuration, or without some of its entries.
type variant struct {
	*session
	config model.Config
	base   *image // what was seen first of each byte
	faults map[place]bus.Reason
	first  *Divergence // the first one of the latest run
}

// place is a range of memory.
type place struct {
	addr  uint64
	size  int32
	write bool
}

func newVariant(s *session, c model.Config) *variant {
	c.Oracle = 0 // nobody asks it, and it would be asked for each try
	v := &variant{session: s, config: c, base: newImage(nil), faults: map[place]bus.Reason{}}
	for i := len(s.accesses) - 1; i >= 0; i-- {
		a := &s.accesses[i]
		if a.failed {
			v.faults[place{a.addr, a.size, a.write}] = a.reason
			continue
		}
		v.base.write(a.addr, s.bytes(a))
	}
	return v
}

// all are the indices of all entries.
func (v *variant) all() []int {
	all := make([]int, len(v.items))
	for i := range all {
		all[i] = i
	}
	return all
}

// run makes the entries of a session whose index is in keep, until stop says
// that it is enough.
func (v *variant) run(ctx context.Context, keep []int, o model.Options, stop func() bool) (*model.Model, error) {
	o.Manual, o.Exact = true, true
	m, err := model.New(v.config, o)
	if err != nil {
		return nil, err
	}
	mem := &memory{variant: v, model: m, image: newImage(v.base), budget: 4*len(v.data) + 16<<20}
	for _, ee := range portsOf(m) {
		m.Block.Port(ee).Attach(mem, nil)
	}
	v.first = nil
	next, marks := 0, v.marks
	for _, i := range keep {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for ; len(marks) > 0 && marks[0].index <= i; marks = marks[1:] {
			if len(marks) == 1 || marks[1].index > i { // else nothing is left in between
				m.Begin(marks[0].suite)
			}
		}
		for ; next < i; next++ {
			mem.learn(&v.items[next])
		}
		mem.enter(i)
		next = i + 1
		done := m.Block.Do(v.items[i].entry)
		mem.leave(&done)
		if stop() {
			return m, nil
		}
	}
	if v.ended {
		m.End()
	}
	return m, nil
}

// lookahead is how many of an entry's accesses one can come too early.
const lookahead = 256

// memory is the memory of pipes whose accesses were recorded, for a model that
// may do something else. An access that the recording has in the same entry is
// taken from there. Any other access goes to an image of memory, which learns
// what the recording has seen and what the model writes.
type memory struct {
	*variant
	model  *model.Model
	image  *image
	number int // of the entry that is being made
	item   *item
	at     int    // its first access that was not made yet
	used   []bool // of those that follow
	budget int    // bytes that accesses beside the recording may move
}

// learn takes in what an entry has seen.
func (m *memory) learn(it *item) {
	for i := it.from; i < it.to; i++ {
		if a := &m.accesses[i]; !a.failed {
			m.image.write(a.addr, m.bytes(a))
		}
	}
}

func (m *memory) enter(i int) {
	m.number, m.item = i, &m.items[i]
	m.at = m.item.from
	m.used = append(m.used[:0], make([]bool, m.item.to-m.item.from)...)
	m.learn(m.item)
}

// leave compares what came of the entry.
func (m *memory) leave(done *cryptoblock.Entry) {
	if m.first != nil {
		return
	}
	switch e := &m.item.entry; {
	case e.Kind == cryptoblock.ReadEntry && e.Value != done.Value:
		m.diverge(valuesText(m.model.Profile, e, done.Value, e.Value))
	case m.at < m.item.to:
		m.diverge("the model leaves memory accesses out")
	}
}

func (m *memory) diverge(what string) {
	if m.first == nil {
		e := &m.item.entry
		m.first = &Divergence{Entry: uint64(m.number) + 1, Doing: entryText(m.model.Profile, e), What: what}
	}
}

// recorded finds the access among those of the entry.
func (m *memory) recorded(addr uint64, size int, write bool) *access {
	for i := m.at; i < min(m.item.to, m.at+lookahead); i++ {
		a := &m.accesses[i]
		if m.used[i-m.item.from] || a.addr != addr || int(a.size) != size || a.write != write {
			continue
		}
		m.used[i-m.item.from] = true
		for m.at < m.item.to && m.used[m.at-m.item.from] {
			m.at++
		}
		return a
	}
	return nil
}

// Read implements bus.Memory.
func (m *memory) Read(addr uint64, p []byte) error {
	if a := m.recorded(addr, len(p), false); a != nil {
		if a.failed {
			return &bus.Fault{Addr: addr, Len: len(p), Reason: a.reason}
		}
		copy(p, m.bytes(a))
		return nil
	}
	m.diverge("the model makes memory accesses that the recording does not have here")
	if m.budget -= len(p); m.budget < 0 {
		return &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Injected}
	}
	if !m.image.read(addr, p) {
		if why, ok := m.faults[place{addr, int32(len(p)), false}]; ok {
			return &bus.Fault{Addr: addr, Len: len(p), Reason: why}
		}
	}
	return nil
}

// Write implements bus.Memory.
func (m *memory) Write(addr uint64, p []byte) error {
	if why, ok := m.faults[place{addr, int32(len(p)), true}]; ok && m.recorded(addr, len(p), true) != nil {
		return &bus.Fault{Addr: addr, Len: len(p), Write: true, Reason: why}
	}
	m.image.write(addr, p)
	return nil
}
