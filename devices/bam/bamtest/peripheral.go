package bamtest

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/trace"
)

// Loopback is a peripheral that gives what it takes from consumer pipe 2n to producer
// pipe 2n+1. An EOT ends the transfer on the other side too. NWD is acknowledged when
// everything is out again.
type Loopback struct {
	Regs   []uint32 // a window of plain registers
	Held   bool     // the BAM's pipe lock
	Faults int      // calls of Fault
	Moves  int      // calls of Fed and Drained
	pairs  []fifo
}

// fifo is what one pair holds. What was fed up to end is one transfer when eot is set;
// nothing more is taken until it is out.
type fifo struct {
	buf     []byte
	out, in int
	eot     bool
}

// NewLoopback returns a peripheral with the given number of pipe pairs, of depth bytes
// each, and a register window of size bytes.
func NewLoopback(pairs, depth, size int) *Loopback {
	l := &Loopback{Regs: make([]uint32, size/4), pairs: make([]fifo, pairs)}
	for i := range l.pairs {
		l.pairs[i].buf = make([]byte, depth)
	}
	return l
}

// WriteReg implements bam.Peripheral.
func (l *Loopback) WriteReg(_ trace.Master, off, val, mask uint32) {
	l.Regs[off/4] = l.Regs[off/4]&^mask | val&mask
}

// WriteRow implements bam.RowPeripheral: all registers are plain.
func (l *Loopback) WriteRow(_ trace.Master, row []trace.Write) int {
	for _, w := range row {
		l.Regs[w.Off/4] = w.Value
	}
	return len(row)
}

// ReadReg implements bam.Peripheral.
func (l *Loopback) ReadReg(_ trace.Master, off uint32) uint32 { return l.Regs[off/4] }

func (l *Loopback) pair(pipe int) *fifo { return &l.pairs[pipe/2] }

// In implements bam.Peripheral.
func (l *Loopback) In(pipe int) []byte {
	f := l.pair(pipe)
	if pipe&1 != 0 || f.eot {
		return nil
	}
	return f.buf[f.in:]
}

// Fed implements bam.Peripheral.
func (l *Loopback) Fed(pipe, n int, _, eot bool) {
	f := l.pair(pipe)
	l.Moves++
	f.in += n
	f.eot = f.eot || eot
}

// Out implements bam.Peripheral.
func (l *Loopback) Out(pipe int) ([]byte, bool) {
	if pipe&1 == 0 {
		return nil, false
	}
	f := l.pair(pipe)
	return f.buf[f.out:f.in], f.eot
}

// Drained implements bam.Peripheral.
func (l *Loopback) Drained(pipe, n int, eot bool) {
	f := l.pair(pipe)
	l.Moves++
	f.out += n
	if eot {
		f.eot = false
	}
	if f.out == f.in {
		f.out, f.in = 0, 0
	}
}

// NWDAck implements bam.Peripheral.
func (l *Loopback) NWDAck(pipe int) bool {
	f := l.pair(pipe)
	return f.in == 0 && !f.eot
}

// SetLock implements bam.Peripheral.
func (l *Loopback) SetLock(_ trace.Master, held bool) { l.Held = held }

// Fault implements bam.Peripheral.
func (l *Loopback) Fault(int) { l.Faults++ }

// Flush implements bam.Peripheral.
func (l *Loopback) Flush(pipe int) {
	f := l.pair(pipe)
	f.in, f.out, f.eot = 0, 0, false
}

// Scripted is a peripheral that does what a test sets up, and writes down what the BAM
// does to it.
type Scripted struct {
	Take map[int]int     // bytes that each consumer pipe still takes
	Give map[int][]Chunk // what each producer pipe has to give
	Ack  map[int]bool    // whether NWD is acknowledged
	Regs map[uint32]uint32

	Got map[int][]byte // what each consumer pipe brought
	Log []string       // calls that change something, in order
	buf [256]byte
}

// Chunk is a piece of output.
type Chunk struct {
	Data []byte
	EOT  bool // ends the transfer
}

// NewScripted returns a peripheral that takes and gives nothing.
func NewScripted() *Scripted {
	return &Scripted{Take: map[int]int{}, Give: map[int][]Chunk{}, Ack: map[int]bool{}, Regs: map[uint32]uint32{}, Got: map[int][]byte{}}
}

func (s *Scripted) logf(format string, args ...any) {
	s.Log = append(s.Log, fmt.Sprintf(format, args...))
}

// WriteReg implements bam.Peripheral.
func (s *Scripted) WriteReg(by trace.Master, off, val, mask uint32) {
	s.Regs[off] = s.Regs[off]&^mask | val&mask
	s.logf("%v: %#x = %#x & %#x", by, off, val, mask)
}

// ReadReg implements bam.Peripheral.
func (s *Scripted) ReadReg(by trace.Master, off uint32) uint32 {
	s.logf("%v: read %#x", by, off)
	return s.Regs[off]
}

// In implements bam.Peripheral.
func (s *Scripted) In(pipe int) []byte { return s.buf[:min(s.Take[pipe], len(s.buf))] }

// Fed implements bam.Peripheral.
func (s *Scripted) Fed(pipe, n int, _, eot bool) {
	s.Got[pipe] = append(s.Got[pipe], s.buf[:n]...)
	s.Take[pipe] -= n
	s.logf("pipe %d: fed %d eot=%v", pipe, n, eot)
}

// Out implements bam.Peripheral.
func (s *Scripted) Out(pipe int) ([]byte, bool) {
	if len(s.Give[pipe]) == 0 {
		return nil, false
	}
	return s.Give[pipe][0].Data, s.Give[pipe][0].EOT
}

// Drained implements bam.Peripheral.
func (s *Scripted) Drained(pipe, n int, eot bool) {
	c := &s.Give[pipe][0]
	c.Data = c.Data[n:]
	if len(c.Data) == 0 && eot == c.EOT {
		s.Give[pipe] = s.Give[pipe][1:]
	}
	s.logf("pipe %d: drained %d eot=%v", pipe, n, eot)
}

// NWDAck implements bam.Peripheral.
func (s *Scripted) NWDAck(pipe int) bool { return s.Ack[pipe] }

// SetLock implements bam.Peripheral.
func (s *Scripted) SetLock(owner trace.Master, held bool) { s.logf("%v: lock %v", owner, held) }

// Fault implements bam.Peripheral.
func (s *Scripted) Fault(pipe int) { s.logf("pipe %d: fault", pipe) }

// Flush implements bam.Peripheral.
func (s *Scripted) Flush(pipe int) { s.logf("pipe %d: flush", pipe) }
