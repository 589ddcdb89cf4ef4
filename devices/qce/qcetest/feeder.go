package qcetest

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// Feeder is one master of an engine: it has a pipe pair of its own, and plays
// the BAM's part for it.
type Feeder struct {
	Engine    *qce.Engine
	EE        int
	Pair      int
	ByCommand bool // register writes by command elements of the consumer pipe
	// Rand, when set, chooses how the data is cut, and who goes next; otherwise
	// everything moves in the largest pieces.
	Rand *rand.Rand
	// NoEOT leaves the end of the input unmarked.
	NoEOT bool
}

// Result is what came of a request.
type Result struct {
	Out    []byte // output stream, result dump included
	EOT    bool   // the engine ended its output
	Left   int    // bytes of input that it did not take
	Status uint32
	Done   bool // STATUS.OPERATION_DONE
}

// Master is the feeder as the engine sees its register accesses.
func (f *Feeder) Master() trace.Master {
	if f.ByCommand {
		return trace.Master{Via: trace.Command, EE: uint8(f.EE), Pipe: int8(2 * f.Pair)}
	}
	return trace.CPUOf(f.EE)
}

// Set makes register writes.
func (f *Feeder) Set(writes ...Write) {
	m := f.Master()
	for _, w := range writes {
		if f.ByCommand {
			f.Engine.WriteReg(m, w.Off, w.Val, ^uint32(0))
		} else {
			f.Engine.Write(m, w.Off, w.Val)
		}
	}
}

// Run does a whole request.
func (f *Feeder) Run(r Request) Result {
	f.Set(r.Writes(f.Pair)...)
	return f.Move(r.Input())
}

// Move feeds the input and takes the output until nothing moves any more.
func (f *Feeder) Move(in []byte) Result {
	var res Result
	for moved := true; moved; {
		moved = false
		for _, i := range f.order() {
			if f.Rand != nil && f.Rand.IntN(3) == 0 {
				moved = true // this party is late; look again
				continue
			}
			switch i {
			case 0:
				n := f.feed(in)
				in = in[n:]
				moved = moved || n > 0
			case 1:
				if f.Engine.Runnable() {
					f.Engine.Step()
					moved = true
				}
			case 2:
				moved = f.drain(&res) || moved
			}
		}
	}
	res.Left = len(in)
	res.Status = f.Engine.Read(trace.CPUOf(f.EE), qce.Status)
	res.Done = res.Status&qce.OperationDone != 0
	return res
}

var inOrder = []int{0, 1, 2}

func (f *Feeder) order() []int {
	if f.Rand == nil {
		return inOrder
	}
	return f.Rand.Perm(3)
}

// some is a number from 1 to n.
func (f *Feeder) some(n int) int {
	if f.Rand == nil || n == 0 {
		return n
	}
	return 1 + f.Rand.IntN(n)
}

func (f *Feeder) feed(in []byte) int {
	pipe := 2 * f.Pair
	space := f.Engine.In(pipe)
	if len(space) == 0 || len(in) == 0 {
		return 0
	}
	n := f.some(min(len(space), len(in)))
	copy(space, in[:n])
	last := n == len(in)
	f.Engine.Fed(pipe, n, last, last && !f.NoEOT)
	return n
}

func (f *Feeder) drain(res *Result) bool {
	pipe := 2*f.Pair + 1
	p, eot := f.Engine.Out(pipe)
	if len(p) == 0 && !eot {
		return false
	}
	n := f.some(len(p))
	res.Out = append(res.Out, p[:n]...)
	eot = eot && n == len(p)
	f.Engine.Drained(pipe, n, eot)
	res.EOT = res.EOT || eot
	return true
}

// Dump is a result dump (datasheet §17).
type Dump struct {
	AuthIV  [64]byte
	ByteCnt [4]uint32
	IV      [16]byte
	Status  uint32
	Status2 uint32
}

// DumpSize is the size of a result dump in bytes.
const DumpSize = 104

// Split takes the result dump off the end of the output.
func (r Result) Split() (payload []byte, d Dump) {
	if len(r.Out) < DumpSize {
		return r.Out, Dump{}
	}
	n := len(r.Out) - DumpSize
	p := r.Out[n:]
	copy(d.AuthIV[:], p)
	for i := range d.ByteCnt {
		d.ByteCnt[i] = binary.BigEndian.Uint32(p[0x40+4*i:])
	}
	copy(d.IV[:], p[0x50:])
	d.Status = binary.BigEndian.Uint32(p[0x60:])
	d.Status2 = binary.BigEndian.Uint32(p[0x64:])
	return r.Out[:n], d
}
