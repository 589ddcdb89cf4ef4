package checker

import (
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/trace"
)

// TakesRow implements trace.RowSink: the checker takes a row that breaks no
// rule, and that is neither the begin nor the end of anything.
func (c *Checker) TakesRow(r *trace.Row) bool {
	if uint8(r.Pipe) >= bam.MaxPipes || r.Seq+uint64(len(r.Writes))*trace.EventsPerWrite > c.deadline {
		return false
	}
	p := &c.pipes[r.Pipe]
	if p.waits || p.producer || p.data || (p.locker || p.lost) && !p.bare && !c.holds(p.ee) {
		return false
	}
	off := r.Off
	for range r.Writes {
		if p.last(off) {
			return false
		}
		if off = p.next(off); off == p.tail {
			return false
		}
	}
	ee := r.By.EE & (bam.MaxEEs - 1)
	return c.holds(ee) || c.sides[ee].accused || !c.contested(ee)
}

// EmitRow implements trace.RowSink. It leaves what fetch, engineWrite and done
// would leave of each write of the row.
func (c *Checker) EmitRow(r *trace.Row) {
	n := uint32(len(r.Writes))
	c.last = r.Seq + uint64(n)*trace.EventsPerWrite - 1
	p := &c.pipes[r.Pipe]
	p.rd, p.flags, p.ended, p.unlocks = p.next(r.Off+(n-1)*bam.DescriptorSize), r.Flags, false, false

	const write = 2 // RegWrite is the third event of a write
	ee := r.By.EE & (bam.MaxEEs - 1)
	s := &c.sides[ee]
	s.touched = r.Seq + uint64(n-1)*trace.EventsPerWrite + write
	switch {
	case c.op.running && c.op.ee == ee:
	case c.holds(ee):
		s.guarded += n
	default:
		if s.naked == 0 {
			s.first, s.early = r.Seq+write, early{r.By, r.Writes[0].Off}
		}
		s.naked += n
	}
}
