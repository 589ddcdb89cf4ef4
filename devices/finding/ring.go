package finding

import (
	"slices"

	"github.com/qcemu/qcemu/devices/trace"
)

// ring keeps the latest events of a side.
type ring struct {
	slots [historyLen]slot
	ops   [historyLen]trace.Op
	rules [historyLen]*trace.Rule
	rows  [historyLen][trace.MaxRow]trace.Write
	n     uint64 // slots filled so far
}

// slot is a trace.Event without its pointers: that makes the copy cheap which
// each event of the stream costs. Or it is a trace.Row.
type slot struct {
	seq, time, addr, value uint64
	off, size              uint32
	flags                  uint16
	kind                   trace.Kind // aRow: size is the number of its writes
	block                  trace.Block
	by                     trace.Master
	pipe                   int8
	op                     bool
}

// aRow is the kind of a slot that has a trace.Row.
const aRow trace.Kind = 0

func (r *ring) keep(e *trace.Event) {
	i := r.n % historyLen
	k := &r.slots[i] // field by field: that is cheaper than a copy of the whole
	k.seq, k.time, k.addr, k.value = e.Seq, e.Time, e.Addr, e.Value
	k.off, k.size, k.flags = e.Off, e.Size, e.Flags
	k.kind, k.block, k.by, k.pipe, k.op = e.Kind, e.Block, e.By, e.Pipe, e.Op != nil
	if k.op {
		r.ops[i] = *e.Op
	}
	if e.Kind == trace.Anomaly {
		r.rules[i] = e.Rule
	}
	r.n++
}

func (r *ring) keepRow(row *trace.Row) {
	i := r.n % historyLen
	k := &r.slots[i]
	k.seq, k.time, k.addr, k.off, k.flags, k.by, k.pipe = row.Seq, row.Time, row.Addr, row.Off, row.Flags, row.By, row.Pipe
	k.kind, k.size = aRow, uint32(copy(r.rows[i][:], row.Writes))
	r.n++
}

// events restores what is in a slot, oldest first.
func (r *ring) events(i uint64) []*trace.Event {
	k := &r.slots[i]
	if k.kind == aRow {
		return r.row(i)
	}
	e := &trace.Event{
		Seq: k.seq, Time: k.time, Addr: k.addr, Value: k.value, Off: k.off, Size: k.size, Flags: k.flags,
		Kind: k.kind, Block: k.block, By: k.by, Pipe: k.pipe,
	}
	if k.op {
		e.Op = &r.ops[i]
	}
	if k.kind == trace.Anomaly {
		e.Rule = r.rules[i]
	}
	return []*trace.Event{e}
}

func (r *ring) row(i uint64) (list []*trace.Event) {
	k := &r.slots[i]
	row := trace.Row{Seq: k.seq, Time: k.time, By: k.by, Pipe: k.pipe, Flags: k.flags, Off: k.off, Addr: k.addr, Writes: r.rows[i][:k.size]}
	row.Split(collector(func(e *trace.Event) {
		if e.Kind != trace.Element { // as Log.Wants
			c := *e
			list = append(list, &c)
		}
	}))
	return list
}

// collector is a trace.Sink.
type collector func(e *trace.Event)

func (f collector) Emit(e *trace.Event) { f(e) }

// newest returns the latest event, nil if there is none.
func (r *ring) newest() *trace.Event {
	if r.n == 0 {
		return nil
	}
	list := r.events((r.n - 1) % historyLen)
	return list[len(list)-1]
}

// all returns the latest events, oldest first.
func (r *ring) all() []*trace.Event {
	var newest []*trace.Event // first
	for n := r.n; n > 0 && r.n-n < historyLen && len(newest) < historyLen; n-- {
		list := r.events((n - 1) % historyLen)
		slices.Reverse(list)
		newest = append(newest, list...)
	}
	newest = newest[:min(len(newest), historyLen)]
	slices.Reverse(newest)
	return newest
}
