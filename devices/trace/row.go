package trace

// Row is a row of command descriptors of one pipe, which lie one behind the
// other in the FIFO. Each has one element, which lies directly behind the one
// before, and writes one register of the engine without any further effect: a
// request of the series has some thirty of them. For each of them a Row stands
// for EventsPerWrite events: DescFetch, Element, RegWrite and DescDone.
type Row struct {
	Seq    uint64 // of the first of all its events
	Time   uint64 // of all
	By     Master
	Pipe   int8
	Flags  uint16  // of each descriptor
	Off    uint32  // of the first descriptor in the FIFO
	Addr   uint64  // of the first element
	Writes []Write // at most MaxRow; valid during the call of EmitRow only

	event Event // scratch
}

const (
	EventsPerWrite = 4
	MaxRow         = 16
)

// Write is one register write of a Row.
type Write struct {
	Elem  uint32 // the element's 24-bit address
	Off   uint32 // of the register
	Value uint32 // 0 for a secret register
}

// Sizes of a descriptor and of an element in bytes (datasheet §5, §9).
const (
	descriptorSize = 8
	elementSize    = 16
)

// RowSink is a Sink that can read a Row as a whole.
type RowSink interface {
	Sink
	// TakesRow reports whether that gives the same as its single events would.
	// It changes nothing.
	TakesRow(r *Row) bool
	// EmitRow hands over a row that TakesRow has just been true of.
	EmitRow(r *Row)
}

// Split emits the single events of a row.
func (r *Row) Split(to Sink) {
	for i := range r.Writes {
		for k := range uint64(EventsPerWrite) {
			r.Event(&r.event, i, k)
			to.Emit(&r.event)
		}
	}
}

// Event sets e to event k of write i.
func (r *Row) Event(e *Event, i int, k uint64) {
	w := &r.Writes[i]
	*e = Event{Seq: r.Seq + uint64(i)*EventsPerWrite + k, Time: r.Time, By: r.By, Pipe: r.Pipe, Flags: r.Flags, Off: r.Off + uint32(i)*descriptorSize}
	switch k {
	case 0, 3:
		e.Kind = DescFetch
		if k == 3 {
			e.Kind = DescDone
		}
		e.Addr, e.Size = r.Addr+uint64(i)*elementSize, elementSize
	case 1:
		e.Kind, e.Off, e.Value = Element, w.Elem, uint64(w.Value)
	case 2:
		e.Kind, e.Block, e.Pipe, e.Flags, e.Off, e.Value = RegWrite, QCE, -1, 0, w.Off, uint64(w.Value)
	}
}
