package trace

// Fan hands each event to those of several readers that want it.
type Fan struct {
	all     []Sink
	readers [Anomaly + 1][]Sink // of each kind
	rows    []RowSink           // of the kinds that a Row stands for
	split   bool                // one of those readers can not read rows
}

// Without returns a fan without the first n readers.
func (f *Fan) Without(n int) *Fan { return NewFan(f.all[n:]...) }

// NewFan returns a fan of the readers, in this order.
func NewFan(sinks ...Sink) *Fan {
	f := &Fan{all: sinks}
	for _, s := range sinks {
		for kind := range f.readers {
			if wants(s, Kind(kind)) {
				f.readers[kind] = append(f.readers[kind], s)
			}
		}
		if !wants(s, DescFetch) && !wants(s, Element) && !wants(s, RegWrite) && !wants(s, DescDone) {
			continue
		}
		if r, ok := s.(RowSink); ok {
			f.rows = append(f.rows, r)
		} else {
			f.split = true
		}
	}
	return f
}

func wants(s Sink, k Kind) bool {
	sel, ok := s.(Selective)
	return !ok || sel.Wants(k)
}

// Wants implements Selective.
func (f *Fan) Wants(k Kind) bool { return len(f.readers[k]) != 0 }

// Emit implements Sink.
func (f *Fan) Emit(e *Event) {
	for _, s := range f.readers[e.Kind] {
		s.Emit(e)
	}
}

// TakesRow implements RowSink.
func (f *Fan) TakesRow(r *Row) bool {
	if f.split {
		return false
	}
	for _, s := range f.rows {
		if !s.TakesRow(r) {
			return false
		}
	}
	return true
}

// EmitRow implements RowSink.
func (f *Fan) EmitRow(r *Row) {
	for _, s := range f.rows {
		s.EmitRow(r)
	}
}
