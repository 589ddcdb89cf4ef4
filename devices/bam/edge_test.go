package bam_test

import (
	"slices"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/bus"
)

// An offset outside the ring publishes nothing, before and after it becomes one.
func TestEvntOutsideRing(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.rx.Init(0)
	s.rx.Push(s.command(0, write(0, 1)), s.command(0, write(0, 2)))
	s.rx.Write(bam.PEvntReg, 256)
	if s.bam.Runnable() != 0 {
		t.Error("runs to an offset outside the ring")
	}
	if got := s.rx.Read(bam.PEvntReg); got != 256 {
		t.Errorf("P_EVNT_REG = %#x, want what was written", got)
	}
	s.rx.Write(bam.PFIFOSizes, 8)
	s.rx.Write(bam.PEvntReg, 8)
	if s.bam.Runnable() != 0 {
		t.Error("runs on a ring of one entry")
	}
	s.rx.Write(bam.PFIFOSizes, 256)
	if n := bamtest.Run(s.bam, 100); n != 3 || s.rx.Read(bam.PSWOfsts) != 8 {
		t.Errorf("%d steps, P_SW_OFSTS = %#x; want one descriptor", n, s.rx.Read(bam.PSWOfsts))
	}
}

// A ring made smaller under a running pipe: the offset is back inside at once.
func TestRingShrinks(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.play(slices.Repeat([]desc{s.command(0, write(0, 1))}, 20)...)
	s.rx.Write(bam.PFIFOSizes, 64)
	if got := s.rx.Read(bam.PSWOfsts); got != 0 {
		t.Errorf("P_SW_OFSTS = %#x in a ring of 64 bytes", got)
	}
	if s.bam.Runnable() != 0 {
		t.Error("runs to an offset outside the ring")
	}
}

// The registers keep the first bus error until it is cleared.
func TestFirstBusErrorIsKept(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.play(buf(0x10, 16, 0))
	s.play(buf(0x20, 16, 0))
	if got := s.read(0, bam.AHBMasterErrAddr, 0); got != 0x10 {
		t.Errorf("error address %#x, want the first", got)
	}
	s.write(0, bam.BAMIRQClr, 0, 2)
	s.play(buf(0x30, 16, 0))
	if got := s.read(0, bam.AHBMasterErrAddr, 0); got != 0x30 {
		t.Errorf("error address %#x, want the one after the clear", got)
	}
}

// A reset of the BAM drops what the peripheral holds of every pipe.
func TestBAMResetFlushes(t *testing.T) {
	for name, reset := range map[string]func(*scene){
		"SW_RST":   func(s *scene) { s.global(0, bam.BAMCtrl, 1) },
		"power-on": func(s *scene) { s.bam.Reset() },
	} {
		s := newScene(t, bam.Config{})
		s.play(buf(data, 16, 0))
		if len(s.loop.In(4)) != 4096-16 {
			t.Fatal("nothing fed")
		}
		reset(s)
		if len(s.loop.In(4)) != 4096 {
			t.Errorf("%s: the peripheral still holds bytes", name)
		}
	}
}

func TestProducerDescriptorOfSizeZero(t *testing.T) {
	s := newScriptedScene(t, bam.Config{})
	s.script.Give[5] = []bamtest.Chunk{{Data: []byte{1, 2, 3}, EOT: true}}
	s.tx.Init(0)
	s.tx.Push(buf(dest, 0, bam.FlagINT), buf(dest, 8, 0))
	s.tx.Publish()
	bamtest.Run(s.bam, 100)
	if got := s.tx.Entry(1); got.Size != 3 || got.Flags != bam.FlagEOT {
		t.Errorf("the bytes went to %+v", got)
	}
	if got := s.tx.Read(bam.PIRQStts); got&bam.IRQPrcsdDesc == 0 {
		t.Errorf("P_IRQ_STTS = %#x, want PRCSD_DESC for the empty one", got)
	}
}

// What debug registers and P_HALT show of an open descriptor.
func TestDebugRegisters(t *testing.T) {
	s := newScriptedScene(t, bam.Config{AddrBits: 40})
	s.script.Take[4] = 5
	s.play(s.command(0, write(0, 0)), buf(data, 16, bam.FlagINT))
	for reg, want := range map[bam.Reg]uint32{
		bam.PPSMCntxt2: 3<<30 | 16, bam.PPSMCntxt3: data & 0xFFFFFFFF, bam.PPSMCntxt3LSB: data & 0xFFFFFFFF, bam.PPSMCntxt3MSB: 0,
		bam.PPSMCntxt4: 8 << 16, bam.PPSMCntxt5: 5, bam.PRetrCntxt: 8<<16 | 5, bam.PSICntxt: 8, bam.PSWOfsts: 5<<16 | 8, bam.PHalt: 0,
	} {
		if got := s.rx.Read(reg); got != want {
			t.Errorf("%v = %#x, want %#x", reg, got, want)
		}
	}
	s.tx.Init(0)
	s.tx.Write(bam.PHalt, 1)
	if got := s.tx.Read(bam.PHalt); got != 1|2|8 {
		t.Errorf("P_HALT of a halted, empty producer = %#x", got)
	}
	if got := s.tx.Read(bam.PPSMCntxt2); got != 0 {
		t.Errorf("P_PSM_CNTXT_2 of an idle pipe = %#x", got)
	}
}

// A pipe without memory faults; it does not crash.
func TestPipeWithoutMemory(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.bam.SetPipeMemory(4, nil)
	s.play(s.command(0, write(0, 1)))
	if got := s.rx.Read(bam.PIRQStts); got != bam.IRQHrespErr {
		t.Errorf("P_IRQ_STTS = %#x", got)
	}
	s.bam.SetPipeMemory(4, bus.None)
	s.bam.Step(99)
	s.bam.Step(-1)
}
