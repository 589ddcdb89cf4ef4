package bam_test

import (
	"slices"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/trace"
)

// Shorthands of the scenarios.
const (
	code = ramBase + 0x20000 // command elements
	data = ramBase + 0x30000 // buffers
	dest = ramBase + 0x50000
)

type (
	desc = bamtest.Descriptor
	elem = bamtest.Element
)

func buf(addr uint64, size, flags uint32) desc { return desc{Addr: addr, Size: size, Flags: flags} }

func write(off, val uint32) elem { return elem{Addr: window + off, Data: val, Mask: ^uint32(0)} }

// scene is a BAM with the consumer pipe 4 and the producer pipe 5 of EE 0.
type scene struct {
	*rig
	rx, tx   *bamtest.Ring
	elements int // used so far
}

func newScene(t *testing.T, cfg bam.Config) *scene {
	s := &scene{rig: newTraced(t, cfg)}
	s.rx, s.tx = s.ring(4, 0, 256), s.ring(5, 0x1000, 256)
	return s
}

// play initialises rx, puts descriptors on it and runs.
func (s *scene) play(ds ...desc) {
	s.rx.Init(0)
	s.more(ds...)
}

// more puts more descriptors on rx and runs.
func (s *scene) more(ds ...desc) {
	s.rx.Push(ds...)
	s.rx.Publish()
	bamtest.Run(s.bam, 10000)
}

// command puts elements to memory and returns their descriptor.
func (s *scene) command(flags uint32, es ...elem) desc {
	at := code + uint64(s.elements%0x800)*bam.ElementSize
	s.elements += len(es)
	s.rx.Elements(at, es...)
	return buf(at, uint32(len(es)*bam.ElementSize), bam.FlagCMD|flags)
}

func (s *scene) global(ee int, r bam.Reg, v uint32) {
	off, _ := s.layout.Offset(r, 0)
	s.bam.Write(trace.CPUOf(ee), off, v)
}

// ruleTests has for each rule what breaks it, and what comes close and does not.
var ruleTests = []struct {
	id   string
	cfg  bam.Config
	trip func(*scene)
	near func(*scene)
}{
	{"BAM-FIFO-001", bam.Config{}, func(s *scene) { s.rx.Base += 4; s.rx.Init(0) }, func(s *scene) { s.rx.Base += 8; s.rx.Init(0) }},
	{"BAM-FIFO-002", bam.Config{}, func(s *scene) { s.rx.Size = 0xFFC; s.rx.Init(0) }, func(s *scene) { s.rx.Size = 0x7FF8; s.rx.Init(0) }},
	{"BAM-FIFO-003", bam.Config{}, func(s *scene) { s.rx.Size = 0; s.rx.Init(0) }, func(s *scene) { s.rx.Size = 8; s.rx.Init(0) }},
	{"BAM-FIFO-004", bam.Config{}, func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PEvntReg, 256) }, func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PEvntReg, 248) }},
	{"BAM-FIFO-005", bam.Config{}, func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PEvntReg, 12) }, func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PEvntReg, 16) }},
	{"BAM-FIFO-006", bam.Config{},
		func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PEvntReg, 248); s.rx.Write(bam.PEvntReg, 0) },
		func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PEvntReg, 128); s.rx.Write(bam.PEvntReg, 248) }},
	{"BAM-FIFO-007", bam.Config{}, func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PFIFOSizes, 64) }, func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PRst, 1); s.rx.Write(bam.PFIFOSizes, 64) }},
	{"BAM-FIFO-008", bam.Config{},
		func(s *scene) { s.play(buf(data, 16, 0)); s.rx.Publish() },
		func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PHalt, 1); s.more(buf(data, 16, 0)); s.rx.Publish() }},

	{"BAM-DESC-001", bam.Config{}, func(s *scene) { s.play(buf(data, 0, bam.FlagEOT)) }, func(s *scene) { s.play(buf(data, 1, bam.FlagEOT)) }},
	{"BAM-DESC-002", bam.Config{}, func(s *scene) { s.play(buf(data, 16, bam.FlagIMME)) }, func(s *scene) { s.play(buf(data, 16, bam.FlagEOB)) }},
	{"BAM-DESC-003", bam.Config{}, func(s *scene) { s.play(buf(data, 16, bam.FlagNWD)) }, func(s *scene) { s.play(buf(data, 16, bam.FlagNWD|bam.FlagEOT), s.command(bam.FlagNWD, write(0, 1))) }},
	{"BAM-DESC-004", bam.Config{}, func(s *scene) { s.play(buf(data|1<<32, 16, 0)) }, func(s *scene) { s.play(buf(data, 0x8000, 0)) }},
	{"BAM-DESC-005", bam.Config{},
		func(s *scene) {
			s.tx.Init(0)
			s.tx.Push(buf(data, 16, bam.FlagCMD))
			s.tx.Publish()
			bamtest.Run(s.bam, 99)
		},
		func(s *scene) {
			s.tx.Init(0)
			s.tx.Push(buf(data, 16, bam.FlagINT))
			s.tx.Publish()
			bamtest.Run(s.bam, 99)
		}},

	{"BAM-CMD-001", bam.Config{}, func(s *scene) { d := s.command(0, write(0, 1)); d.Size = 20; s.play(d) }, func(s *scene) { s.play(s.command(0, write(0, 1), write(4, 1))) }},
	{"BAM-CMD-002", bam.Config{}, func(s *scene) { s.play(buf(0, 0, bam.FlagCMD)) }, func(s *scene) { s.play(s.command(0, write(0, 1))) }},
	{"BAM-CMD-003", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Command: 2, Addr: window})) }, func(s *scene) { s.play(s.command(0, elem{Command: 4, Addr: window})) }},
	{"BAM-CMD-004", bam.Config{}, func(s *scene) { s.play(s.command(0, write(0x6000, 1))) }, func(s *scene) { s.play(s.command(0, write(0x5FFC, 1))) }},
	{"BAM-CMD-005", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Addr: 0x3000, Mask: ^uint32(0)})) }, func(s *scene) { s.play(s.command(0, write(0x3000, 1))) }},
	{"BAM-CMD-006", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Command: 4, Addr: window, Mask: ^uint32(0)})) }, func(s *scene) { s.play(s.command(0, write(0, 1))) }},
	{"BAM-CMD-007", bam.Config{}, func(s *scene) { s.play(s.command(bam.FlagEOT, write(0, 1))) }, func(s *scene) { s.play(s.command(bam.FlagINT, write(0, 1))) }},
	{"BAM-CMD-008", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Addr: window, Mask: ^uint32(1)})) }, func(s *scene) { s.play(s.command(0, write(0, 1))) }},
	{"BAM-CMD-009", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Addr: window, Mask: ^uint32(0), X: 1})) }, func(s *scene) { s.play(s.command(0, write(0, ^uint32(0)))) }},
	{"BAM-CMD-010", bam.Config{}, func(s *scene) { s.play(s.command(0, write(2, 1))) }, func(s *scene) { s.play(s.command(0, write(4, 1))) }},
	{"BAM-CMD-011", bam.Config{}, func(s *scene) { s.global(0, bam.CnfgBits, 0x07FFF004); s.play(s.command(0, write(0, 1))) }, func(s *scene) { s.global(0, bam.CnfgBits, 0x0FFFF004); s.play(s.command(0, write(0, 1))) }},
	{"BAM-CMD-012", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Command: 1, Addr: window, Data: dest & 0xFFFFFFFF})) }, func(s *scene) { s.play(s.command(0, write(0, 1))) }},
	{"BAM-CMD-013", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Command: 1, Addr: window, Data: dest & 0xFFFFFFFF, Mask: 1})) }, func(s *scene) { s.play(s.command(0, elem{Command: 1, Addr: window, Data: dest & 0xFFFFFFFF})) }},
	{"BAM-CMD-015", bam.Config{}, func(s *scene) { s.play(s.command(0, write(0, 1), elem{})) }, func(s *scene) { s.play(s.command(0, elem{Addr: window}, elem{Addr: 0x3000}, elem{Data: 1})) }},

	{"BAM-LOCK-001", bam.Config{}, func(s *scene) { s.play(buf(data, 16, bam.FlagLOCK)) }, func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))) }},
	{"BAM-LOCK-002", bam.Config{}, func(s *scene) { s.play(s.command(bam.FlagLOCK|bam.FlagUNLOCK, write(0, 1))) }, func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))) }},
	{"BAM-LOCK-003", bam.Config{},
		func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1)), s.command(bam.FlagLOCK, write(0, 1))) },
		func(s *scene) {
			s.play(s.command(bam.FlagLOCK, write(0, 1)), s.command(bam.FlagUNLOCK, write(0, 1)), s.command(bam.FlagLOCK, write(0, 1)))
		}},
	{"BAM-LOCK-004", bam.Config{},
		func(s *scene) {
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
			s.rx = s.ring(6, 0x2000, 256)
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
		},
		func(s *scene) {
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
			s.rx = s.ring(6, 0x2000, 256)
			s.rx.Group = 1
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
		}},
	{"BAM-LOCK-005", bam.Config{}, func(s *scene) { s.play(s.command(bam.FlagUNLOCK, write(0, 1))) }, func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1)), s.command(bam.FlagUNLOCK, write(0, 1))) }},
	{"BAM-LOCK-006", bam.Config{},
		func(s *scene) {
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
			s.rx = s.ring(6, 0x2000, 256)
			s.play(s.command(bam.FlagUNLOCK, write(0, 1)))
		},
		func(s *scene) {
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
			s.more(s.command(bam.FlagUNLOCK, write(0, 1)))
		}},
	{"BAM-LOCK-007", bam.Config{},
		func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))); s.rx.Write(bam.PRst, 1) },
		func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))); s.tx.Write(bam.PRst, 1) }},
	{"BAM-LOCK-008", bam.Config{},
		func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))); s.rx.Write(bam.PCtrl, 0x20) },
		func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))); s.rx.Write(bam.PHalt, 1) }},
	{"BAM-LOCK-009", bam.Config{Layout: bam.V13, Revision: 2, Remote: bam.ControlledRemotely},
		func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))) }, func(s *scene) { s.play(s.command(0, write(0, 1))) }},
	{"BAM-LOCK-010", bam.Config{},
		func(s *scene) { s.play(s.command(bam.FlagLOCK, write(0, 1))); s.global(0, bam.BAMCtrl, 1) },
		func(s *scene) {
			s.play(s.command(bam.FlagLOCK, write(0, 1)), s.command(bam.FlagUNLOCK, write(0, 1)))
			s.global(0, bam.BAMCtrl, 1)
		}},
	{"BAM-LOCK-011", bam.Config{}, func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PCtrl, s.rx.Ctrl()|3<<16) }, func(s *scene) { s.rx.Group = 3; s.rx.Init(0); s.rx.Write(bam.PCtrl, s.rx.Ctrl()) }},

	{"BAM-REG-001", bam.Config{}, func(s *scene) { s.rx.Write(bam.PCtrl, 1) }, func(s *scene) { s.rx.Write(bam.PCtrl, 0x001F0FF8) }},
	{"BAM-REG-002", bam.Config{Owners: []uint8{4: 1}, NumEEs: 2}, func(s *scene) { s.rx.Read(bam.PCtrl) }, func(s *scene) { s.tx.Read(bam.PCtrl); s.rx.Read(bam.PTrustReg) }},
	{"BAM-REG-003", bam.Config{}, func(s *scene) { s.bam.Read(trace.CPUOf(0), 0xF000) }, func(s *scene) { s.bam.Read(trace.CPUOf(0), 0x1000) }},
	{"BAM-REG-004", bam.Config{}, func(s *scene) { s.bam.Read(trace.CPUOf(0), 2) }, func(s *scene) { s.bam.Read(trace.CPUOf(0), 4) }},
	{"BAM-REG-005", bam.Config{}, func(s *scene) { s.rx.Write(bam.PSWOfsts, 0) }, func(s *scene) { s.rx.Write(bam.PIRQClr, 0) }},
	{"BAM-REG-006", bam.Config{ControlEE: 1}, func(s *scene) { s.global(0, bam.CnfgBits, 0) }, func(s *scene) { s.global(1, bam.CnfgBits, 0) }},
	{"BAM-REG-007", bam.Config{}, func(s *scene) { s.global(0, bam.BAMCtrl, 0); s.rx.Init(0) }, func(s *scene) { s.global(0, bam.BAMCtrl, 2); s.rx.Init(0) }},
	{"BAM-REG-008", bam.Config{}, func(s *scene) { s.rx.Write(bam.PCtrl, 0x02) }, func(s *scene) { s.rx.Write(bam.PCtrl, 0x00) }},
	{"BAM-REG-009", bam.Config{}, func(s *scene) { s.rx.Write(bam.PCtrl, 0x32) }, func(s *scene) { s.rx.Write(bam.PCtrl, 0x30) }},
	{"BAM-REG-010", bam.Config{}, func(s *scene) { s.ring(16, 0, 8).Read(bam.PCtrl) }, func(s *scene) { s.ring(15, 0, 8).Read(bam.PCtrl) }},
	{"BAM-REG-011", bam.Config{}, func(s *scene) { s.rx.Write(bam.PTimerCtrl, 7<<29) }, func(s *scene) { s.rx.Write(bam.PTimerCtrl, 6<<29) }},

	{"BAM-BUS-001", bam.Config{}, func(s *scene) {
		s.rx.Init(0)
		s.rx.Write(bam.PDescFIFOAddr, 0x1000)
		s.rx.Write(bam.PEvntReg, 8)
		bamtest.Run(s.bam, 9)
	},
		func(s *scene) { s.rx.Init(0); s.rx.Write(bam.PDescFIFOAddr, 0x1000); bamtest.Run(s.bam, 9) }},
	{"BAM-BUS-002", bam.Config{}, func(s *scene) { s.play(buf(ramBase-16, 16, bam.FlagCMD)) }, func(s *scene) { s.play(buf(ramBase, 16, bam.FlagCMD)) }},
	{"BAM-BUS-003", bam.Config{}, func(s *scene) { s.play(buf(ramBase+ramSize-15, 16, 0)) }, func(s *scene) { s.play(buf(ramBase+ramSize-16, 16, 0)) }},
	{"BAM-BUS-004", bam.Config{}, func(s *scene) { s.loopback(ramBase + ramSize - 15) }, func(s *scene) { s.loopback(ramBase + ramSize - 16) }},
	{"BAM-BUS-005", bam.Config{},
		func(s *scene) {
			s.mem.Fault = func(addr uint64, _ int, write bool) bool { return write && addr == s.tx.Base }
			s.loopback(dest)
		},
		func(s *scene) {
			s.mem.Fault = func(addr uint64, _ int, write bool) bool { return write && addr == s.tx.Base+8 }
			s.loopback(dest)
		}},
	{"BAM-BUS-006", bam.Config{}, func(s *scene) { s.play(s.command(0, elem{Command: 1, Addr: window, Data: 16})) }, func(s *scene) { s.play(s.command(0, elem{Command: 1, Addr: window, Data: dest & 0xFFFFFFFF})) }},
	{"BAM-DESC-007", bam.Config{InFlight: true},
		func(s *scene) {
			s.whileHalted(s.command(0, write(0, 1)), func(d desc) { d.Flags |= bam.FlagINT; s.rx.Tail = 0; s.rx.Push(d) })
		},
		func(s *scene) { s.whileHalted(s.command(0, write(0, 1)), func(d desc) { s.rx.Tail = 0; s.rx.Push(d) }) }},
	{"BAM-CMD-014", bam.Config{InFlight: true},
		func(s *scene) {
			s.whileHalted(s.command(0, write(0, 1), write(4, 1)), func(d desc) { s.rx.Elements(d.Addr+16, write(4, 2)) })
		},
		func(s *scene) {
			s.whileHalted(s.command(0, write(0, 1), write(4, 1)), func(d desc) { s.rx.Elements(d.Addr+32, write(4, 2)) })
		}},
}

// whileHalted publishes a descriptor on rx, does something, and lets the pipe go on.
func (s *scene) whileHalted(d desc, do func(desc)) {
	s.rx.Init(0)
	s.rx.Write(bam.PHalt, 1)
	s.more(d)
	do(d)
	s.rx.Write(bam.PHalt, 0)
	bamtest.Run(s.bam, 10000)
}

// loopback moves 16 bytes from data to dst.
func (s *scene) loopback(dst uint64) {
	s.tx.Init(0)
	s.tx.Push(buf(dst, 16, 0))
	s.tx.Publish()
	s.play(buf(data, 16, bam.FlagEOT))
}

func TestEveryRule(t *testing.T) {
	tested := map[string]bool{}
	for _, tt := range ruleTests {
		t.Run(tt.id, func(t *testing.T) {
			tested[tt.id] = true
			s := newScene(t, tt.cfg)
			tt.trip(s)
			if !slices.Contains(s.rec.Rules(), tt.id) {
				t.Errorf("not reported; seen: %v", s.rec.Rules())
			}
			s = newScene(t, tt.cfg)
			tt.near(s)
			if slices.Contains(s.rec.Rules(), tt.id) {
				t.Errorf("reported where nothing is wrong")
			}
		})
	}
	for _, r := range bam.Rules() {
		if !tested[r.ID] {
			t.Errorf("rule %s has no test", r.ID)
		}
	}
}

// A producer's descriptor changes by its write-back, which is no fault of software's, and
// slots are used again by the next round.
func TestInFlightIsQuiet(t *testing.T) {
	s := newScene(t, bam.Config{InFlight: true})
	s.tx.Init(0)
	s.rx.Init(0)
	for range 100 {
		s.tx.Push(buf(dest, 64, bam.FlagEOT))
		s.tx.Publish()
		s.more(s.command(0, write(4, 1), write(8, 2)), buf(data, 32, bam.FlagEOT))
	}
	if got, want := s.tx.Read(bam.PSWOfsts), s.tx.Tail; got != want {
		t.Errorf("tx stopped at %#x, want %#x", got, want)
	}
	if ids := s.rec.Rules(); len(ids) != 0 {
		t.Errorf("findings: %v", ids)
	}
}

// What Linux does, stock or with the series, breaks no rule.
func TestLinuxBreaksNoRule(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.rx.Size, s.tx.Size = 0x7FF8, 0x7FF8
	s.tx.Base = ramBase + 0x8000
	s.rx.Init(0x31)
	s.tx.Init(0x31)
	for range 1000 {
		s.tx.Push(buf(dest, 64, 0), buf(dest+64, 128, bam.FlagEOT))
		s.tx.Publish()
		s.more(s.command(bam.FlagLOCK, write(0, 0)), s.command(0, write(0x120, 5)), buf(data, 64, 0), buf(data, 40, bam.FlagEOT|bam.FlagNWD), s.command(bam.FlagUNLOCK|bam.FlagINT, write(0, 0)))
		s.rx.Write(bam.PIRQClr, s.rx.Read(bam.PIRQStts))
		s.tx.Write(bam.PIRQClr, s.tx.Read(bam.PIRQStts))
	}
	if got, want := s.rx.Read(bam.PSWOfsts), s.rx.Tail; got != want {
		t.Errorf("rx stopped at %#x, want %#x", got, want)
	}
	if got, want := s.tx.Read(bam.PSWOfsts), s.tx.Tail; got != want {
		t.Errorf("tx stopped at %#x, want %#x", got, want)
	}
	if ids := s.rec.Rules(); len(ids) != 0 {
		t.Errorf("findings: %v", ids)
	}
}
