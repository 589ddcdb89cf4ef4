package bam_test

import (
	"bytes"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
)

// stops are the ways to stop a transfer in the middle. after checks what must hold then.
var stops = []struct {
	name string
	do   func(*scene)
	lost bool // the state is gone: no further access, no lock, no line
	on   func(*scene)
}{
	{"P_RST of both", func(s *scene) { s.rx.Write(bam.PRst, 1); s.tx.Write(bam.PRst, 1) }, true, nil},
	{"P_RST pulse", func(s *scene) {
		for _, r := range []*bamtest.Ring{s.rx, s.tx} {
			r.Write(bam.PRst, 1)
			r.Write(bam.PRst, 0)
		}
	}, true, nil},
	{"SW_RST", func(s *scene) { s.global(0, bam.BAMCtrl, 1); s.global(0, bam.BAMCtrl, 0); s.global(0, bam.BAMCtrl, 2) }, true, nil},
	{"power-on", func(s *scene) { s.bam.Reset() }, true, nil},
	{"disable", func(s *scene) { s.rx.Write(bam.PCtrl, s.rx.Ctrl()&^2); s.tx.Write(bam.PCtrl, s.tx.Ctrl()&^2) }, false,
		func(s *scene) { s.rx.Write(bam.PCtrl, s.rx.Ctrl()); s.tx.Write(bam.PCtrl, s.tx.Ctrl()) }},
	{"halt", func(s *scene) { s.rx.Write(bam.PHalt, 1); s.tx.Write(bam.PHalt, 1) }, false,
		func(s *scene) { s.rx.Write(bam.PHalt, 0); s.tx.Write(bam.PHalt, 0) }},
	{"BAM disable", func(s *scene) { s.global(0, bam.BAMCtrl, 0) }, false, func(s *scene) { s.global(0, bam.BAMCtrl, 2) }},
}

// begin starts a request of every kind of step: LOCK, commands, data in chunks with NWD,
// UNLOCK, and output with write-back.
func begin(s *scene) {
	s.rx.Init(bam.IRQPrcsdDesc | bam.IRQTrnsfrEnd)
	s.tx.Init(bam.IRQTrnsfrEnd)
	s.tx.Push(buf(dest, 100, 0), buf(dest+0x100, 200, bam.FlagEOT))
	s.tx.Publish()
	s.rx.Push(s.command(bam.FlagLOCK, write(0, 1)), s.command(bam.FlagINT, write(4, 2), write(8, 3)),
		buf(data, 100, 0), buf(data+100, 60, bam.FlagEOT|bam.FlagNWD), s.command(bam.FlagUNLOCK|bam.FlagINT, write(0, 4)))
	s.rx.Publish()
}

// Whatever the moment at which a transfer is stopped: nothing moves any more, and what is
// lost is lost completely, so that the next transfer is right.
func TestStopAtEveryStep(t *testing.T) {
	cfg := bam.Config{Burst: 16}
	s := newScene(t, cfg)
	begin(s)
	total := bamtest.Run(s.bam, 10000)
	if s.rx.Read(bam.PSWOfsts) != s.rx.Tail || total < 30 {
		t.Fatalf("the request does not end; %d steps", total)
	}
	for _, stop := range stops {
		t.Run(stop.name, func(t *testing.T) {
			for at := range total + 1 {
				s := newScene(t, cfg)
				want := s.fill(data, 160)
				begin(s)
				bamtest.Run(s.bam, at)
				stop.do(s)
				stopped(t, s, at, stop.lost)
				if stop.on != nil {
					stop.on(s)
				} else {
					s.rx.Write(bam.PRst, 0)
					s.tx.Write(bam.PRst, 0)
					s.global(0, bam.BAMCtrl, 2)
					s.global(0, bam.CnfgBits, 0xFFFF_F004)
					clear(s.mem.Bytes(dest, 0x200))
					begin(s)
				}
				bamtest.Run(s.bam, 10000)
				got := append(bytes.Clone(s.mem.Bytes(dest, 100)), s.mem.Bytes(dest+0x100, 60)...)
				if !bytes.Equal(got, want) {
					t.Fatalf("stopped at step %d: the output after it is wrong", at)
				}
				if a, b := s.rx.Read(bam.PSWOfsts), s.tx.Read(bam.PSWOfsts); a != s.rx.Tail || b != s.tx.Tail {
					t.Fatalf("stopped at step %d: offsets %#x, %#x afterwards", at, a, b)
				}
				if _, held := s.bam.Lock(); held {
					t.Fatalf("stopped at step %d: locked afterwards", at)
				}
			}
		})
	}
}

// stopped checks that nothing moves.
func stopped(t *testing.T, s *scene, at int, lost bool) {
	t.Helper()
	reads, writes := s.mem.Reads, s.mem.Writes
	if m := s.bam.Runnable(); m != 0 {
		t.Fatalf("stopped at step %d: pipes %#x are runnable", at, m)
	}
	for p := range 16 {
		s.bam.Step(p)
	}
	if s.mem.Reads != reads || s.mem.Writes != writes {
		t.Fatalf("stopped at step %d: memory was accessed afterwards", at)
	}
	if !lost {
		return
	}
	if _, held := s.bam.Lock(); held || s.loop.Held {
		t.Fatalf("stopped at step %d: the lock is held", at)
	}
	if s.lines[0].Level {
		t.Fatalf("stopped at step %d: the line is high", at)
	}
	for _, r := range []*bamtest.Ring{s.rx, s.tx} {
		for _, reg := range []bam.Reg{bam.PCtrl, bam.PSWOfsts, bam.PEvntReg, bam.PIRQStts, bam.PIRQEn, bam.PFIFOSizes, bam.PDescFIFOAddr} {
			if got := r.Read(reg); got != 0 {
				t.Fatalf("stopped at step %d: %v = %#x", at, reg, got)
			}
		}
	}
}

// Nothing runs while a reset bit stands, whatever else is written.
func TestHeldInReset(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.rx.Write(bam.PRst, 1)
	s.rx.Write(bam.PDescFIFOAddr, uint32(s.rx.Base))
	s.rx.Write(bam.PFIFOSizes, s.rx.Size)
	s.rx.Write(bam.PCtrl, s.rx.Ctrl())
	s.rx.Push(s.command(0, write(0, 1)))
	s.rx.Publish()
	if s.bam.Runnable() != 0 {
		t.Error("runs under P_RST")
	}
	s.rx.Write(bam.PRst, 0)
	if s.bam.Runnable() == 0 {
		t.Error("does not run after P_RST")
	}
	s.global(0, bam.BAMCtrl, 1)
	s.rx.Init(0)
	s.rx.Push(s.command(0, write(0, 1)))
	s.rx.Publish()
	if s.bam.Runnable() != 0 {
		t.Error("runs under SW_RST")
	}
}
