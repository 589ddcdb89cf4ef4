package bam_test

import (
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/trace"
)

// The tree of §6.1, from the pipe's event to the line, for the pipes of two EEs.
func TestInterruptTree(t *testing.T) {
	for _, l := range []bam.Config{
		{Layout: bam.V13, Revision: 2, Remote: bam.ControlledRemotely},
		{Layout: bam.V14, Revision: 6, Remote: bam.ControlledRemotely},
		{Layout: bam.V17, Revision: 0x27, Remote: bam.ControlledRemotely},
		{Layout: bam.V20, Revision: 0x27, Remote: bam.ControlledRemotely},
	} {
		t.Run(l.Layout.String(), func(t *testing.T) {
			l.Owners = []uint8{2: 1, 3: 1, 4: 0}
			r := newRig(t, l)
			one := r.ringOf(1, 2, 0, 64)
			one.Init(0)
			one.Elements(code, write(0, 1))
			one.Push(buf(code, 16, bam.FlagCMD|bam.FlagINT))
			one.Publish()
			bamtest.Run(r.bam, 10)

			expect := func(when string, stts, unmasked, srcs uint32, level bool) {
				t.Helper()
				for _, c := range []struct {
					reg   bam.Reg
					index int
					want  uint32
				}{{bam.PIRQStts, 2, stts}, {bam.IRQSrcsUnmaskedEE, 1, unmasked}, {bam.IRQSrcsEE, 1, srcs}} {
					if got := r.read(1, c.reg, c.index); got != c.want {
						t.Errorf("%s: %v = %#x, want %#x", when, c.reg, got, c.want)
					}
				}
				if r.lines[1].Level != level {
					t.Errorf("%s: line is %v, want %v", when, r.lines[1].Level, level)
				}
				if r.lines[0].Changes != 0 || r.read(0, bam.IRQSrcsUnmaskedEE, 0) != 0 {
					t.Errorf("%s: EE 0 noticed", when)
				}
			}
			const events = bam.IRQPrcsdDesc | bam.IRQOutOfDesc
			expect("event not enabled", events, 0, 0, false)
			one.Write(bam.PIRQEn, bam.IRQPrcsdDesc)
			expect("enabled", events, 1<<2, 1<<2, true)
			r.write(1, bam.IRQSrcsMskEE, 1, 1<<3)
			expect("masked", events, 1<<2, 0, false)
			r.write(1, bam.IRQSrcsMskEE, 1, 1<<2)
			expect("unmasked", events, 1<<2, 1<<2, true)
			one.Write(bam.PIRQClr, bam.IRQOutOfDesc)
			expect("another bit cleared", bam.IRQPrcsdDesc, 1<<2, 1<<2, true)
			r.write(0, bam.IRQSrcsMsk, 0, 0)
			expect("the global mask does not count", bam.IRQPrcsdDesc, 1<<2, 1<<2, true)
			one.Write(bam.PIRQClr, one.Read(bam.PIRQStts))
			expect("cleared", 0, 0, 0, false)
		})
	}
}

// A new event between the handler's read of the sources and its clearing keeps or
// raises the line again.
func TestEventWhileServed(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.rx.Init(bam.IRQPrcsdDesc)
	s.more(s.command(bam.FlagINT, write(0, 1)))
	s.rx.Write(bam.PIRQClr, s.rx.Read(bam.PIRQStts))
	if s.lines[0].Level {
		t.Fatal("line high with nothing to serve")
	}
	s.more(s.command(bam.FlagINT, write(0, 1)))
	stts := s.rx.Read(bam.PIRQStts)
	s.tx.Init(bam.IRQTrnsfrEnd)
	s.tx.Push(buf(dest, 4, bam.FlagEOT))
	s.tx.Publish()
	s.more(buf(data, 4, bam.FlagEOT))
	s.rx.Write(bam.PIRQClr, stts)
	if !s.lines[0].Level || s.read(0, bam.IRQSrcsEE, 0) != 1<<5 {
		t.Errorf("line %v, sources %#x; want the producer's", s.lines[0].Level, s.read(0, bam.IRQSrcsEE, 0))
	}
}

// Global sources: the copies that belong to no EE drive no line.
func TestGlobalSources(t *testing.T) {
	r := newRig(t, bam.Config{Owners: []uint8{2: 1, 4: 0}, ControlEE: 1})
	for _, ring := range []*bamtest.Ring{r.ringOf(1, 2, 0, 64), r.ringOf(0, 4, 0x1000, 64)} {
		ring.Init(bam.IRQPrcsdDesc)
		ring.Elements(code, write(0, 1))
		ring.Push(buf(code, 16, bam.FlagCMD|bam.FlagINT))
		ring.Publish()
	}
	bamtest.Run(r.bam, 100)
	r.write(1, bam.IRQSrcsMsk, 0, 1<<4)
	if got := r.read(0, bam.IRQSrcsUnmasked, 0); got != 1<<2|1<<4 {
		t.Errorf("BAM_IRQ_SRCS_UNMASKED = %#x", got)
	}
	if got := r.read(0, bam.IRQSrcs, 0); got != 1<<4 {
		t.Errorf("BAM_IRQ_SRCS = %#x", got)
	}
}

// A bus error sets what the hardware has for it, tells the EE of TRUST_REG.BAM_EE by
// source 31, and stops the pipe until it is reset.
func TestBusErrorRegisters(t *testing.T) {
	cfg := bam.Config{Owners: []uint8{4: 1}, ControlEE: 2, VMIDs: []uint8{4: 9}, AddrBits: 36}
	r := newScripted(t, cfg)
	r.script.Take[4] = 100
	rx := r.ringOf(1, 4, 0, 64)
	rx.Init(bam.IRQHrespErr)
	r.write(2, bam.BAMIRQEn, 0, 2)
	r.write(2, bam.IRQSrcsMskEE, 2, 1<<31)
	rx.Push(buf(0x5_0000_0100, 16, 0), buf(data, 16, 0))
	rx.Publish()
	if n := bamtest.Run(r.bam, 100); n != 2 {
		t.Errorf("%d steps, want the fetch and the fault", n)
	}
	for _, c := range []struct {
		ee    int
		reg   bam.Reg
		index int
		want  uint32
	}{
		{1, bam.PIRQStts, 4, bam.IRQHrespErr},
		{1, bam.PSWOfsts, 4, 0},
		{2, bam.BAMIRQStts, 0, 2},
		{2, bam.IRQSrcsEE, 2, 1 << 31},
		{2, bam.AHBMasterErrAddr, 0, 0x100},
		{2, bam.AHBMasterErrAddrLSB, 0, 0x100},
		{2, bam.AHBMasterErrAddrMSB, 0, 5},
		{2, bam.AHBMasterErrCtrls, 0, 9<<18 | 2<<3 | 2},
		{2, bam.AHBMasterErrData, 0, 0},
	} {
		if got := r.read(c.ee, c.reg, c.index); got != c.want {
			t.Errorf("%v = %#x, want %#x", c.reg, got, c.want)
		}
	}
	if !r.lines[1].Level || !r.lines[2].Level || r.lines[0].Level {
		t.Errorf("lines: %v %v %v, want EE 1 and 2", r.lines[0].Level, r.lines[1].Level, r.lines[2].Level)
	}
	if got := r.script.Log[len(r.script.Log)-1]; got != "pipe 4: fault" {
		t.Errorf("the peripheral's last call: %s", got)
	}
	r.write(2, bam.BAMIRQClr, 0, 2)
	if r.lines[2].Level {
		t.Error("line of EE 2 high after the clear")
	}
	if r.bam.Runnable() != 0 {
		t.Error("the pipe goes on after a bus error")
	}
	rx.Init(0)
	rx.Push(buf(data, 16, 0))
	rx.Publish()
	bamtest.Run(r.bam, 100)
	if got := rx.Read(bam.PSWOfsts); got != 8 {
		t.Errorf("after the reset: P_SW_OFSTS = %#x", got)
	}
}

func TestBusErrorOnOldLayout(t *testing.T) {
	s := newScene(t, bam.Config{Layout: bam.V13, Revision: 2, Remote: bam.ControlledRemotely})
	s.play(buf(16, 16, 0))
	if got := s.rx.Read(bam.PIRQStts); got != bam.IRQErr {
		t.Errorf("P_IRQ_STTS = %#x, want ERR: v1.3 has no HRESP_ERR", got)
	}
}

func TestOutOfDesc(t *testing.T) {
	for _, tt := range []struct {
		reading bam.Answer
		idle    uint32 // after the first descriptor
		cleared uint32 // after clearing it
	}{{bam.OutOfDescEdge, bam.IRQOutOfDesc, 0}, {bam.OutOfDescLevel, bam.IRQOutOfDesc, bam.IRQOutOfDesc}} {
		s := newScene(t, bam.Config{Readings: bam.Readings{OutOfDesc: tt.reading}})
		s.play(s.command(0, write(0, 1)))
		if got := s.rx.Read(bam.PIRQStts); got != tt.idle {
			t.Errorf("reading %d: P_IRQ_STTS = %#x, want %#x", tt.reading, got, tt.idle)
		}
		s.rx.Write(bam.PIRQClr, bam.IRQOutOfDesc)
		if got := s.rx.Read(bam.PIRQStts); got != tt.cleared {
			t.Errorf("reading %d: cleared, P_IRQ_STTS = %#x, want %#x", tt.reading, got, tt.cleared)
		}
		if tt.reading == bam.OutOfDescLevel {
			s.rx.Write(bam.PEvntReg, 16)
			if got := s.rx.Read(bam.PIRQStts); got != 0 {
				t.Errorf("level with descriptors: P_IRQ_STTS = %#x", got)
			}
		}
	}
}

func TestInactivityTimers(t *testing.T) {
	const ms = 1_000_000
	s := newScene(t, bam.Config{Timers: true})
	s.rx.Init(bam.IRQTimer)
	if _, ok := s.bam.Deadline(); ok {
		t.Error("a deadline without a timer")
	}
	s.bam.Advance(5 * ms)
	s.rx.Write(bam.PTimerCtrl, 1<<31|1<<30|16) // 2 ms
	s.write(0, bam.BAMTimerCtrl, 0, 1<<31|1<<30|80)
	if at, ok := s.bam.Deadline(); !ok || at != 7*ms {
		t.Errorf("deadline %d %v, want 7 ms", at, ok)
	}
	s.bam.Advance(6 * ms)
	if got := s.rx.Read(bam.PTimer); got != 8 {
		t.Errorf("P_TIMER = %d, want 8 eighths of a millisecond", got)
	}
	s.more(s.command(0, write(0, 1)))
	s.bam.Advance(7*ms + ms/2)
	if s.lines[0].Level {
		t.Error("fired although the pipe was active")
	}
	s.bam.Advance(8 * ms)
	if !s.lines[0].Level || s.rx.Read(bam.PIRQStts)&bam.IRQTimer == 0 {
		t.Error("did not fire")
	}
	s.rx.Write(bam.PIRQClr, bam.IRQTimer)
	s.bam.Advance(9 * ms)
	if s.lines[0].Level {
		t.Error("a one-shot timer fired twice")
	}
	s.write(0, bam.BAMIRQEn, 0, 1<<4)
	s.write(0, bam.IRQSrcsMskEE, 0, 1<<31)
	s.bam.Advance(16 * ms)
	if !s.lines[0].Level || s.read(0, bam.BAMIRQStts, 0) != 1<<4 {
		t.Error("the global timer did not fire")
	}
	if _, ok := s.bam.Deadline(); ok {
		t.Error("a deadline after all timers fired")
	}
	// Without timers the registers are there and nothing happens.
	s = newScene(t, bam.Config{})
	s.rx.Init(bam.IRQTimer)
	s.rx.Write(bam.PTimerCtrl, 1<<31|1<<30|16)
	s.bam.Advance(50 * ms)
	if s.lines[0].Level {
		t.Error("fired on a BAM without timers")
	}
	for _, e := range s.rec.Events {
		if e.Kind == trace.PipeIRQ {
			t.Error("an event on a BAM without timers")
		}
	}
}
