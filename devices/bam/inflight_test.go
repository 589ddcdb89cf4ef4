package bam_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/trace"
)

// newRows makes a rig whose reader of events takes rows.
func newRows(tb testing.TB, cfg bam.Config) (*rig, *rows) {
	r := &rig{loop: bamtest.NewLoopback(16, 4096, 0x6000), rec: &bamtest.Recorder{}}
	s := &rows{Recorder: r.rec}
	r.build(tb, cfg, r.loop, s)
	return r, s
}

// finding is a broken rule at a descriptor.
type finding struct {
	Rule string
	Off  uint32
}

func findings(r *bamtest.Recorder) (all []finding) {
	for _, e := range r.Events {
		if e.Kind == trace.Anomaly {
			all = append(all, finding{e.Rule.ID, e.Off})
		}
	}
	return all
}

// What changes in flight is reported at the descriptor that it befell, once, and the rest
// of the row is made as before.
func TestInFlightInARow(t *testing.T) {
	const n = 12
	// Register writes until the ring has gone round, so that the row crosses its end.
	start := func(t *testing.T, ahead bool) (*rig, *rows, *bamtest.Ring) {
		r, s := newRows(t, bam.Config{InFlight: true, ReadAhead: ahead})
		rx := r.ring(2, 0, (n+2)*8)
		rx.Init(0)
		for range 5 {
			rx.Push(buf(data, 4, 0))
		}
		rx.Publish()
		r.bam.Run(1000)
		for i := range uint64(n) {
			rx.Elements(code+i*16, write(uint32(i)*4, uint32(i)+1))
			rx.Push(buf(code+i*16, 16, bam.FlagCMD))
		}
		rx.Publish()
		return r, s, rx
	}
	off := func(i int) uint32 { return uint32(5+i) % (n + 2) * 8 }
	// From descriptor i on, but for the last, they name a copy of their elements: a row
	// as good as the one before.
	move := func(r *rig, rx *bamtest.Ring, i int) {
		copy(r.mem.Bytes(code+0x1000, n*16), r.mem.Bytes(code, n*16))
		for ; i < n-1; i++ {
			r.mem.Bytes(rx.Base+uint64(off(i)), 8)[1] ^= 0x10
		}
	}
	moved := func(i int) (all []finding) {
		for ; i < n-1; i++ {
			all = append(all, finding{"BAM-DESC-007", off(i)})
		}
		return all
	}
	tests := map[string]struct {
		rows   bool // most of the writes are made in rows whatever has changed
		change func(*rig, *bamtest.Ring, int)
		want   func(i int) []finding
	}{
		"nothing": {true, func(*rig, *bamtest.Ring, int) {}, func(int) []finding { return nil }},
		"element": {
			true, func(r *rig, _ *bamtest.Ring, i int) { r.mem.Bytes(code+uint64(i)*16, 16)[4] ^= 0x80 },
			func(i int) []finding { return []finding{{"BAM-CMD-014", off(i)}} },
		},
		"descriptor": {
			true, func(r *rig, rx *bamtest.Ring, i int) { r.mem.Bytes(rx.Base+uint64(off(i)), 8)[0] ^= 0x10 },
			func(i int) []finding { return []finding{{"BAM-DESC-007", off(i)}} },
		},
		"flag": {
			true, func(r *rig, rx *bamtest.Ring, i int) { r.mem.Bytes(rx.Base+uint64(off(i)), 8)[7] ^= 0x80 },
			func(i int) []finding { return []finding{{"BAM-DESC-007", off(i)}} },
		},
		"descriptors, to a row of the same": {false, move, moved},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range n {
				var regs [2]string
				for k, ahead := range []bool{false, true} {
					r, s, rx := start(t, ahead)
					tt.change(r, rx, i)
					r.rec.Events = nil
					r.bam.Run(1000)
					if diff := cmp.Diff(tt.want(i), findings(r.rec)); diff != "" {
						t.Errorf("change %d, read ahead %v: findings (-want +got):\n%s", i, ahead, diff)
					}
					if pos := rx.Read(bam.PSWOfsts); pos != rx.Tail {
						t.Errorf("change %d, read ahead %v: the pipe is at %#x, want %#x", i, ahead, pos, rx.Tail)
					}
					if made := s.made > n/2; made != ahead && (made || tt.rows) {
						t.Errorf("change %d, read ahead %v: %d of %d writes were made in rows", i, ahead, s.made, n)
					}
					regs[k] = fmt.Sprint(r.loop.Regs[:n+4])
				}
				if regs[0] != regs[1] {
					t.Errorf("change %d: registers are %s, with read ahead %s", i, regs[0], regs[1])
				}
			}
		})
	}
}

// What cannot be read when it is published is not watched, and what lies beside it is.
func TestInFlightUnreadable(t *testing.T) {
	tests := map[string]struct {
		hidden uint64 // begin of what cannot be read when it is published
		size   uint64
		want   []uint32 // which descriptors are found to have changed elements
	}{
		"nothing":      {0, 0, []uint32{0, 8, 16}},
		"a descriptor": {ramBase + 8, 8, []uint32{0, 16}},
		"an element":   {code + 16, 16, []uint32{0, 16}},
		"the ring":     {ramBase, 0x100, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, ahead := range []bool{false, true} {
				r, _ := newRows(t, bam.Config{InFlight: true, ReadAhead: ahead})
				rx := r.ring(2, 0, 0x100)
				rx.Init(0)
				for i := range uint64(3) {
					rx.Elements(code+i*16, write(uint32(i)*4, 1))
					rx.Push(buf(code+i*16, 16, bam.FlagCMD))
				}
				r.mem.Fault = func(addr uint64, n int, _ bool) bool {
					return addr < tt.hidden+tt.size && tt.hidden < addr+uint64(n)
				}
				rx.Publish()
				r.mem.Fault = nil
				for i := range uint64(3) {
					rx.Elements(code+i*16, write(uint32(i)*4, 2))
				}
				r.bam.Run(100)
				var want []finding
				for _, off := range tt.want {
					want = append(want, finding{"BAM-CMD-014", off})
				}
				if diff := cmp.Diff(want, findings(r.rec)); diff != "" {
					t.Errorf("read ahead %v: findings (-want +got):\n%s", ahead, diff)
				}
			}
		})
	}
}

// A descriptor that is fetched again without being published is not watched any more.
func TestInFlightEnds(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		r, s := newRows(t, bam.Config{InFlight: true, ReadAhead: ahead})
		rx := r.ring(2, 0, 0x100)
		rx.Init(0)
		for range 8 {
			rx.Push(r.plain(code, 1))
		}
		rx.Publish()
		r.bam.Run(1000)
		r.plain(code, 2)
		rx.Write(bam.PFIFOSizes, 0) // takes the pipe back to the ring's begin
		rx.Write(bam.PFIFOSizes, 0x100)
		if got := r.bam.Run(1000); got != 8*3 {
			t.Errorf("read ahead %v: %d steps were made again, want %d", ahead, got, 8*3)
		}
		for _, f := range findings(s.Recorder) {
			if f.Rule == "BAM-CMD-014" || f.Rule == "BAM-DESC-007" {
				t.Errorf("read ahead %v: %s at %#x, which nobody has published", ahead, f.Rule, f.Off)
			}
		}
	}
}

// What becomes of a pipe's FIFO and direction under way ends the watch over what was
// published before: nothing is reported that nobody has changed, and what lies beyond the
// ring that was watched is executed as any other.
func TestInFlightPipeChanges(t *testing.T) {
	const slots = 64
	type act func(*rig, *bamtest.Ring)
	set := func(reg bam.Reg, val uint32) act { return func(_ *rig, rx *bamtest.Ring) { rx.Write(reg, val) } }
	run := func(n int) act { return func(r *rig, _ *bamtest.Ring) { r.bam.Run(n) } }
	const consumer, producer, disabled = 1<<1 | 1<<5, 1<<1 | 1<<3 | 1<<5, 1 << 5
	tests := map[string][]act{
		"an offset outside becomes one inside": {set(bam.PEvntReg, 0x180), set(bam.PFIFOSizes, slots*8)},
		"grows":                                {set(bam.PFIFOSizes, slots*8), set(bam.PEvntReg, 0x180)},
		"grows while a descriptor is executed": {run(1), set(bam.PFIFOSizes, slots*8), set(bam.PEvntReg, 0x180)},
		"shrinks":                              {set(bam.PFIFOSizes, 32), set(bam.PEvntReg, 24)},
		"shrinks to nothing and grows":         {set(bam.PFIFOSizes, 0), set(bam.PFIFOSizes, slots*8), set(bam.PEvntReg, 0x180)},
		"shrinks under what is executed":       {run(4), set(bam.PFIFOSizes, 8), set(bam.PFIFOSizes, slots*8), set(bam.PEvntReg, 0x180)},
		"moves":                                {set(bam.PDescFIFOAddr, ramBase+8)},
		"moves while a descriptor is executed": {run(1), set(bam.PDescFIFOAddr, ramBase+8)},
		"there and back":                       {set(bam.PDescFIFOAddr, ramBase+8), run(3), set(bam.PDescFIFOAddr, ramBase)},
		"the other direction":                  {set(bam.PCtrl, producer), run(1), set(bam.PCtrl, consumer)},
		"the other direction at the end":       {run(2), set(bam.PCtrl, producer)},
		"published in the other direction":     {set(bam.PCtrl, producer), set(bam.PEvntReg, 56), set(bam.PCtrl, consumer)},
		"disabled":                             {run(4), set(bam.PCtrl, disabled), set(bam.PFIFOSizes, slots*8), set(bam.PEvntReg, 0x180), set(bam.PCtrl, consumer)},
		"reset":                                {run(4), set(bam.PRst, 1), set(bam.PRst, 0), set(bam.PDescFIFOAddr, ramBase), set(bam.PEvntReg, 0x180), set(bam.PFIFOSizes, slots*8), set(bam.PCtrl, consumer)},
	}
	for name, acts := range tests {
		t.Run(name, func(t *testing.T) {
			var regs [2]string
			for k, ahead := range []bool{false, true} {
				r, _ := newRows(t, bam.Config{InFlight: true, ReadAhead: ahead})
				rx := r.ring(2, 0, slots*8)
				for i := range uint64(slots) {
					rx.Elements(code+i*16, write(uint32(i)*4, uint32(i)+1))
					rx.Push(buf(code+i*16, 16, bam.FlagCMD))
				}
				rx.Size = 64
				rx.Init(0)
				rx.Write(bam.PEvntReg, 56)
				for _, act := range acts {
					act(r, rx)
				}
				if n := r.bam.Run(10000); n == 10000 {
					t.Fatalf("read ahead %v: the pipe does not come to an end", ahead)
				}
				for _, f := range findings(r.rec) {
					if f.Rule == "BAM-CMD-014" || f.Rule == "BAM-DESC-007" {
						t.Errorf("read ahead %v: %s at %#x, where nothing has changed", ahead, f.Rule, f.Off)
					}
				}
				regs[k] = fmt.Sprint(r.loop.Regs[:slots], rx.Read(bam.PSWOfsts))
			}
			if regs[0] != regs[1] {
				t.Errorf("registers are %s, with read ahead %s", regs[0], regs[1])
			}
		})
	}
}

// plain puts a register write to memory and returns its descriptor.
func (r *rig) plain(at uint64, val uint32) desc {
	(&bamtest.Ring{Mem: r.mem}).Elements(at, write(0, val))
	return buf(at, 16, bam.FlagCMD)
}

// both is memory on both sides of 4 GiB, and at 0.
type both struct{ low, high *bamtest.Memory }

func (m both) Read(addr uint64, p []byte) error {
	if addr < m.high.Base {
		return m.low.Read(addr, p)
	}
	return m.high.Read(addr, p)
}

func (m both) Write(uint64, []byte) error { panic("nothing is to be written") }

// The elements of a descriptor at address 0 are not those behind 4 GiB, even where its
// size makes up for the carry.
func TestInFlightAtTheEndOfAddresses(t *testing.T) {
	const first = 0xffff_fff0
	m := both{bamtest.NewMemory(0, 0x1000), bamtest.NewMemory(first, 0x20)}
	r, s := newRows(t, bam.Config{InFlight: true, ReadAhead: true})
	r.bam.SetPipeMemory(2, m)
	rx := &bamtest.Ring{B: r.bam, Mem: m.low, Layout: r.layout, By: trace.CPUOf(0), Pipe: 2, Base: 0x100, Size: 0x100}
	rx.Elements(0, write(0, 1))
	(&bamtest.Ring{Mem: m.high}).Elements(first, write(4, 2), write(8, 3))
	rx.Init(0)
	rx.Push(buf(first, 16, bam.FlagCMD), buf(0, 17, bam.FlagCMD))
	rx.Publish()
	r.bam.Run(100)
	if diff := cmp.Diff([]finding{{"BAM-CMD-001", 8}}, findings(s.Recorder)); diff != "" { // its size
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint32{1, 2, 0}, r.loop.Regs[:3]); diff != "" {
		t.Errorf("registers (-want +got):\n%s", diff)
	}
}
