package qce_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// script is a fuzzer's input, read in small numbers; it goes on with zeros.
type script struct{ p []byte }

func (s *script) byte() byte {
	if len(s.p) == 0 {
		return 0
	}
	b := s.p[0]
	s.p = s.p[1:]
	return b
}

func (s *script) word() uint32 {
	return uint32(s.byte()) | uint32(s.byte())<<8 | uint32(s.byte())<<16 | uint32(s.byte())<<24
}

// Actions of FuzzPort. A write is followed by the word offset (2 bytes) and the
// value (4 bytes).
const (
	actWrite = iota
	actCommand
	actRead
	actFeed
	actStep
	actDrain
	actFlush
	actFault
	actLock
	actReset
	numActs
)

// scriptOf is a request as FuzzPort reads it.
func scriptOf(r qcetest.Request, act byte) (p []byte) {
	for _, w := range r.Writes(2) {
		p = append(p, act)
		p = binary.LittleEndian.AppendUint16(p, uint16(w.Off/4))
		p = binary.LittleEndian.AppendUint32(p, w.Val)
	}
	return append(p, actFeed, 4, 255, 1, actStep, actDrain, 5, 255)
}

// FuzzPort does anything at all to an engine, in any order. It must never
// crash or spin, and what it computes must be right.
func FuzzPort(f *testing.F) {
	for _, r := range []qcetest.Request{cbcReq, ctrReq, xtsReq, shaReq, hmacReq, ccmReq, gcmReq, desReq, tdesReq, pio{ctrReq}} {
		f.Add(scriptOf(r, actWrite))
		f.Add(append(scriptOf(r, actCommand)[:100], scriptOf(cbcReq, actWrite)...))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		s := &script{p}
		cfg := ideal
		checker := oracle.NewChecker(1 << 12)
		cfg.Observer = checker
		cfg.BufferSize = 64 + int(s.byte())
		cfg.Readings = make([]uint8, len(qce.Readings))
		choice := s.word()
		for i := range cfg.Readings {
			cfg.Readings[i] = uint8(int(choice>>i&1) % len(qce.Readings[i].Values))
		}
		e := qce.New(cfg, &recorder{})
		for len(s.p) > 0 {
			act(t, e, s)
		}
		for n := 0; e.Runnable(); n++ {
			if n > 2 {
				t.Fatal("the engine runs without input")
			}
			e.Step()
		}
		if c := checker.Counts(); c.Wrong != 0 {
			t.Fatal(checker.Mismatches())
		}
	})
}

func act(t *testing.T, e *qce.Engine, s *script) {
	kind := s.byte() % numActs
	switch kind {
	case actWrite, actCommand, actRead:
		off := (uint32(s.byte()) | uint32(s.byte())<<8) * 4
		by := trace.CPUOf(0)
		switch kind {
		case actWrite:
			e.Write(by, off, s.word())
		case actCommand:
			e.WriteReg(trace.Master{Via: trace.Command, EE: 2, Pipe: 4}, off, s.word(), ^uint32(0))
		default:
			e.Read(by, off)
		}
	case actFeed:
		pipe, n, ends := int(s.byte()), int(s.byte()), s.byte()
		space := e.In(pipe)
		n = min(n, len(space))
		for i := range n {
			space[i] = s.byte()
		}
		e.Fed(pipe, n, ends&3 != 0, ends&1 != 0)
	case actStep:
		if e.Step(); e.Runnable() {
			t.Fatal("a step left work that needs nothing new")
		}
	case actDrain:
		pipe := int(s.byte())
		p, eot := e.Out(pipe)
		n := min(int(s.byte()), len(p))
		e.Drained(pipe, n, eot && n == len(p))
	case actFlush:
		e.Flush(int(s.byte()))
	case actFault:
		e.Fault(int(s.byte()))
	case actLock:
		b := s.byte()
		e.SetLock(trace.Master{Via: trace.Command, EE: b >> 1 & 3, Pipe: 4}, b&1 == 1)
	case actReset:
		e.Reset()
	}
}

// FuzzConfig runs whole operations with random, often sensible configurations,
// and compares the results with the oracle's.
func FuzzConfig(f *testing.F) {
	for i := range uint64(20) {
		f.Add(i, uint32(0x442), uint32(0x34241), uint16(100), uint16(16), uint16(64), uint16(0), uint16(80))
		f.Add(i, uint32(0x4d2), uint32(0x30201), uint16(300), uint16(4), uint16(200+i), uint16(3), uint16(280))
		f.Add(i, uint32(0x2502), uint32(0x431e02), uint16(100), uint16(16), uint16(64), uint16(0), uint16(80))
		f.Add(i, uint32(0x2182), uint32(0x437e82), uint16(100), uint16(16), uint16(84), uint16(0), uint16(80))
	}
	f.Fuzz(func(t *testing.T, seed uint64, encr, auth uint32, seg, encStart, encSize, authStart, authSize uint16) {
		randomOp(t, oracle.NewChecker(1<<17), seed, encr, auth, seg, encStart, encSize, authStart, authSize)
	})
}

// TestRandomConfigs is FuzzConfig with a choice of configuration words that the
// engine mostly accepts, and short segments.
func TestRandomConfigs(t *testing.T) {
	encr := []uint32{0, 0x442, 0x042, 0x452, 0x482, 0x4d2, 0x0c2, 0x2502, 0x2102, 0x2582, 0x2182, 0x401, 0x449, 0x051}
	auth := []uint32{0, 0x34241, 0x30241, 0x30201, 0x10201, 0x00241, 0x20041, 0x431e02, 0x435e12, 0x43de82, 0x439e82, 0x31e42, 0x1031e42, 0x30601, 0x34641}
	r := rand.New(rand.NewPCG(13, 13))
	checker := oracle.NewChecker(1 << 17)
	short := func(n int) uint16 { return uint16(r.IntN(n)) }
	for range 2000 {
		randomOp(t, checker, r.Uint64(), one(r, encr...), one(r, auth...), short(400), short(100), short(400), short(100), short(400))
	}
	if c := checker.Counts(); c.Checked < 800 || c.NotJudged > 100 {
		t.Errorf("the test looks at too little: %+v", c)
	}
}

// randomOp runs one operation and has its result checked.
func randomOp(t *testing.T, checker *oracle.Checker, seed uint64, encr, auth uint32, seg, encStart, encSize, authStart, authSize uint16) {
	r := rand.New(rand.NewPCG(seed, 0))
	cfg := ideal
	cfg.Observer = checker
	cfg.BufferSize = 64 + r.IntN(300)
	cfg.Readings = make([]uint8, len(qce.Readings))
	for i := range cfg.Readings {
		cfg.Readings[i] = uint8(r.IntN(len(qce.Readings[i].Values)))
	}
	fd := feeder(cfg, nil)
	fd.Rand = r
	seg %= 2048
	set := func(off uint32, val uint32) { fd.Set(qcetest.Write{Off: off, Val: val}) }
	for _, b := range qce.Registers {
		if b.String || b.Register.Name == "AUTH_BYTECNT" {
			for i := range b.Count {
				set(b.Off+4*uint32(i), r.Uint32())
			}
		}
	}
	for _, off := range []uint32{qce.CntrMask, qce.CntrMask0, qce.CntrMask1, qce.CntrMask2} {
		set(off, one(r, 0, ^uint32(0), ^uint32(0), r.Uint32()))
	}
	set(qce.GCMIVLength, r.Uint32()%20)
	set(qce.EncrXTSDUSize, one(r, 0, uint32(encSize), 16, 512, r.Uint32()%600))
	set(qce.ConfigReg, 0xe004b|uint32(seed&1)<<9)
	set(qce.EncrSegCfg, encr&^(3<<14|1<<20))
	set(qce.AuthSegCfg, auth&^(3<<18|1<<30))
	set(qce.SegSize, uint32(seg))
	set(qce.EncrSegStart, uint32(encStart))
	set(qce.EncrSegSize, uint32(encSize))
	set(qce.AuthSegStart, uint32(authStart))
	set(qce.AuthSegSize, uint32(authSize))
	set(qce.GoProc, qce.Go|one[uint32](r, 0, qce.ResultsDump))
	started := fd.Engine.Busy()
	res := fd.Move(random(r, int(seg)))
	if started && (!res.Done || res.Left != 0) {
		t.Fatalf("not done: %d left, STATUS %#x", res.Left, res.Status)
	}
	if c := checker.Counts(); c.Wrong != 0 {
		t.Fatal(checker.Mismatches())
	}
}
