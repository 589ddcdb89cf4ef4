package bam_test

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/trace"
)

// Values that lead somewhere, for the fuzzer to choose from.
var usefulValues = []uint32{0, 1, 2, 8, 16, 64, 0x7FF8, 0x22, 0x2A, 0x1_0022, 0x1_002A, 0x31, 0xFF, 0xFFFF_FFFF, 0x8000_0000,
	ramBase, ramBase + 0x100, ramBase + ramSize - 8}

// FuzzGuest lets a guest write any register of any EE in any order over arbitrary memory.
// Whatever it does: no panic, no access outside memory, every step moves something, the
// lines follow the registers, and a reset brings everything back.
//
// The input is memory, then operations of 8 bytes: what and who, register, index, step
// choice, value. With mode 0x80 operations may be set-ups of pipes that run, and the steps
// may be made by Run, with its rows.
func FuzzGuest(f *testing.F) {
	for layout := range uint8(4) {
		f.Add(layout, seedMemory(), seedOps())
		f.Add(layout|0x60, seedMemory(), seedOps())
		f.Add(layout|0xE0, rowMemory(), liveOps())
	}
	f.Add(uint8(0x16), []byte{0, 1, 0, 0x80, 16, 0, 0, 0x0C}, []byte{})
	f.Fuzz(func(t *testing.T, mode uint8, memory, ops []byte) {
		cfg := bam.Config{Layout: bam.Layout(mode & 3), Revision: 0x27, Remote: bam.ControlledRemotely, Owners: []uint8{2: 1, 3: 1, 4: 0},
			NumPipes: 6, NumEEs: 2, Timers: mode&4 != 0, InFlight: mode&32 != 0, ReadAhead: mode&64 != 0, Window: bam.Window{Base: 0x01DFA000, Size: 0x6000}}
		if mode&8 != 0 && cfg.Layout != bam.V13 {
			cfg.AddrBits = 36
		}
		if mode&16 != 0 { // every other reading
			cfg.Readings = lastReadings(t)
		}
		r := &fuzzRig{rig: &rig{loop: bamtest.NewLoopback(16, 256, 0x6000)}}
		r.build(t, cfg, r.loop, &r.events)
		copy(r.mem.Data, memory)
		now := uint64(0)
		ops = ops[:min(len(ops), 300*8)]
		for ; len(ops) >= 8; ops = ops[8:] {
			by := trace.CPUOf(int(ops[0] >> 4 & 1))
			val := binary.LittleEndian.Uint32(ops[4:])
			if ops[0]&8 != 0 {
				val = usefulValues[int(ops[4])%len(usefulValues)]
			}
			off := uint32(ops[1])<<8 | uint32(ops[2])
			if ops[0]&4 == 0 {
				if o, ok := cfg.Layout.Offset(bam.Reg(ops[1])%64, int(ops[2])%7); ok {
					off = o
				}
			}
			live := mode&128 != 0
			if live && ops[0]&32 != 0 {
				off, val = liveWrite(cfg.Layout, ops)
			}
			switch ops[0] & 3 {
			case 0:
				r.bam.Read(by, off)
			case 3:
				now += uint64(ops[2]) << 16
				r.bam.Advance(now)
			default:
				r.bam.Write(by, off, val)
			}
			steps := int(ops[3])
			if live && ops[0]&64 != 0 {
				if n := r.bam.Run(steps); n > steps {
					t.Fatalf("%d steps were made, at most %d were to be", n, steps)
				}
				steps = 0
			}
			for range steps {
				if !stepAndCheck(t, r, ops[3]) {
					break
				}
			}
			checkLines(t, r)
		}
		r.bam.Reset()
		checkReset(t, r, cfg)
	})
}

// liveWrite is a write of a register that a pipe is set up with, of a value that is right
// now and then.
func liveWrite(l bam.Layout, op []byte) (off, val uint32) {
	off, _ = l.Offset([]bam.Reg{bam.PFIFOSizes, bam.PEvntReg, bam.PCtrl, bam.PDescFIFOAddr, bam.PRst}[op[1]%5], int(op[2])%6)
	n := uint32(op[4])
	switch op[1] % 5 {
	case 0, 1:
		return off, n << 3
	case 2:
		return off, 0x20 | n&0x0B // system mode; enabled, and the direction
	case 3:
		return off, ramBase + n&15<<3
	}
	return off, n & 1
}

// lastReadings has the last value of every reading.
func lastReadings(t *testing.T) bam.Readings {
	c := reading.Choice{}
	for _, rd := range bam.ReadingTable() {
		c[rd.Name] = rd.Values[len(rd.Values)-1].Name
	}
	r, err := bam.ResolveReadings(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type fuzzRig struct {
	*rig
	events counter
}

// stepAndCheck lets one runnable pipe step, and sees that it moved.
func stepAndCheck(t *testing.T, r *fuzzRig, choice byte) bool {
	m := r.bam.Runnable()
	if m == 0 {
		return false
	}
	n := int(choice) % bits.OnesCount32(m)
	for range n {
		m &= m - 1
	}
	pipe := bits.TrailingZeros32(m)
	before := progress(r, pipe)
	r.bam.Step(pipe)
	if after := progress(r, pipe); after == before {
		t.Fatalf("pipe %d is runnable and does not move: %v", pipe, after)
	}
	return true
}

// progress is what a step of a pipe changes.
func progress(r *fuzzRig, pipe int) (p [5]uint32) {
	model := trace.Master{Via: trace.Model, Pipe: -1}
	for i, reg := range []bam.Reg{bam.PSWOfsts, bam.PCnsmrSdbnd, bam.PPSMCntxt2} {
		off, _ := r.layout.Offset(reg, pipe)
		p[i] = r.bam.Read(model, off)
	}
	p[3] = uint32(r.mem.Reads + r.mem.Writes + r.loop.Moves)
	p[4] = uint32(r.events.n)
	return p
}

// counter counts what happens, reads of registers apart.
type counter struct{ n int }

func (c *counter) Emit(e *trace.Event) {
	if e.Kind != trace.RegRead {
		c.n++
	}
}

// TakesRow and EmitRow make it a reader of rows.
func (c *counter) TakesRow(*trace.Row) bool { return true }
func (c *counter) EmitRow(r *trace.Row)     { r.Split(c) }

func checkLines(t *testing.T, r *fuzzRig) {
	model := trace.Master{Via: trace.Model, Pipe: -1}
	for ee := range 2 {
		off, _ := r.layout.Offset(bam.IRQSrcsEE, ee)
		if srcs := r.bam.Read(model, off); r.lines[ee].Level != (srcs != 0) {
			t.Fatalf("line of EE %d is %v with sources %#x", ee, r.lines[ee].Level, srcs)
		}
	}
	if _, held := r.bam.Lock(); held != r.loop.Held {
		t.Fatalf("lock held: %v, the peripheral was told %v", held, r.loop.Held)
	}
}

// checkReset compares a BAM after a reset with a new one, register by register, and sees
// that it works.
func checkReset(t *testing.T, r *fuzzRig, cfg bam.Config) {
	fresh := newRig(t, cfg)
	model := trace.Master{Via: trace.Model, Pipe: -1}
	for reg := bam.None + 1; reg.String() != "?"; reg++ {
		if reg == bam.BAMTimer || reg == bam.PTimer {
			continue
		}
		for i := range cfg.NumPipes {
			off, ok := cfg.Layout.Offset(reg, i)
			if !ok {
				break
			}
			if got, want := r.bam.Read(model, off), fresh.bam.Read(model, off); got != want {
				t.Fatalf("after a reset %s = %#x, want %#x", cfg.Layout.Name(off), got, want)
			}
		}
	}
	if m := r.bam.Runnable(); m != 0 {
		t.Fatalf("after a reset pipes %#x are runnable", m)
	}
	rx := r.ringOf(0, 0, 0, 64)
	rx.Init(0)
	rx.Elements(code, write(0x10, 0x77))
	rx.Push(buf(code, 16, bam.FlagCMD))
	rx.Publish()
	bamtest.Run(r.bam, 10)
	if r.loop.Regs[4] != 0x77 {
		t.Fatalf("after a reset a command is not executed")
	}
}

// seedMemory has a FIFO at 0 with descriptors of every kind, and elements behind it.
func seedMemory() []byte {
	r := &bamtest.Ring{Mem: bamtest.NewMemory(ramBase, 0x400), Base: ramBase, Size: 0x100}
	r.Elements(ramBase+0x100, write(0x100, 1), elem{Command: 1, Addr: window, Data: ramBase + 0x300}, elem{Command: 4, Addr: 0x100, Mask: 3}, elem{Command: 7, X: 1})
	r.Push(buf(ramBase+0x100, 64, bam.FlagCMD|bam.FlagLOCK), buf(ramBase+0x200, 32, bam.FlagEOT|bam.FlagNWD), buf(ramBase+0x100, 16, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT),
		buf(0, 0, bam.FlagEOT), buf(ramBase, 7, bam.FlagIMME), buf(16, 8, 0), buf(ramBase+0x100, 5, bam.FlagCMD|bam.FlagNWD|bam.FlagEOT))
	return r.Mem.Data
}

// rowMemory has a FIFO at 0 that is one row of register writes.
func rowMemory() []byte {
	const slots = 0x40
	r := &bamtest.Ring{Mem: bamtest.NewMemory(ramBase, slots*24), Base: ramBase, Size: slots * 8}
	for i := range uint64(slots) {
		at := ramBase + slots*8 + i*16
		r.Elements(at, write(uint32(i)*4, uint32(i)))
		r.Push(buf(at, 16, bam.FlagCMD))
	}
	return r.Mem.Data
}

// liveOps has Run make a row, after which the FIFO grows, moves, changes its direction and
// shrinks.
func liveOps() []byte {
	var ops []byte
	live := func(reg, val, steps byte) { ops = append(ops, 1|32|64, reg, 0, steps, val, 0, 0, 0) }
	for _, v := range [][3]byte{{4, 1, 0}, {4, 0, 0}, {3, 0, 0}, {0, 8, 0}, {2, 2, 0}, {1, 7, 30}, {1, 0x30, 0}, {0, 0x40, 100}, {1, 0x3F, 10}, {3, 1, 10}, {2, 10, 10}, {2, 2, 0}, {1, 5, 20}, {0, 4, 50}} {
		live(v[0], v[1], v[2])
	}
	return ops
}

// seedOps sets up pipe 0 and 1 and publishes descriptors.
func seedOps() []byte {
	var ops []byte
	op := func(reg bam.Reg, pipe, steps byte, val uint32) {
		ops = binary.LittleEndian.AppendUint32(append(ops, 1, byte(reg), pipe, steps), val)
	}
	for pipe := range byte(2) {
		op(bam.PRst, pipe, 0, 1)
		op(bam.PRst, pipe, 0, 0)
		op(bam.PDescFIFOAddr, pipe, 0, ramBase)
		op(bam.PFIFOSizes, pipe, 0, 0x100)
		op(bam.PIRQEn, pipe, 0, 0xFF)
		op(bam.IRQSrcsMskEE, 0, 0, 3)
		op(bam.PCtrl, pipe, 0, 0x22|uint32(pipe)<<3)
	}
	op(bam.PEvntReg, 1, 3, 16)
	op(bam.PEvntReg, 0, 40, 40)
	op(bam.PIRQClr, 0, 0, 0xFF)
	op(bam.PEvntReg, 0, 40, 56)
	op(bam.BAMCtrl, 0, 5, 1)
	op(bam.BAMCtrl, 0, 5, 2)
	return ops
}
