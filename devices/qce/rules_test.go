package qce_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// recorder keeps the events.
type recorder struct {
	events []trace.Event
	ops    []trace.Op
}

func (r *recorder) Emit(e *trace.Event) {
	r.events = append(r.events, *e)
	if e.Op != nil {
		r.ops = append(r.ops, *e.Op)
	}
}

// rules are the IDs of the broken rules, each once, sorted.
func (r *recorder) rules() []string {
	var ids []string
	for _, e := range r.events {
		if e.Kind == trace.Anomaly {
			ids = append(ids, e.Rule.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// bench is an engine with a recorder and two masters: Linux, and the other
// side's EE with its own pipe pair.
type bench struct {
	*qcetest.Feeder
	other *qcetest.Feeder
	rec   *recorder
}

func newBench(cfg qce.Config) *bench {
	rec := &recorder{}
	f := feeder(cfg, rec)
	return &bench{Feeder: f, other: &qcetest.Feeder{Engine: f.Engine, EE: 2, Pair: 1, ByCommand: true}, rec: rec}
}

var (
	key16 = unhex("2b7e151628aed2a6abf7158809cf4f3c")
	key32 = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	iv16  = unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
	data  = make([]byte, 64)

	cbcReq  = qcetest.Cipher{Mode: qcetest.CBCAES, Key: key16, IV: iv16, Encrypt: true, Data: data}
	ctrReq  = qcetest.Cipher{Mode: qcetest.CTRAES, Key: key16, IV: iv16, Encrypt: true, Data: data}
	xtsReq  = qcetest.Cipher{Mode: qcetest.XTSAES, Key: append(slices.Clone(key32), slices.Repeat(key16, 2)...), IV: iv16, Encrypt: true, Data: data}
	shaReq  = qcetest.Digest{Hash: qcetest.SHA256, Data: data}
	hmacReq = qcetest.Digest{Hash: qcetest.SHA256, HMAC: true, Key: key16, Data: data}
	ccmReq  = qcetest.CCM{Key: key16, Nonce: iv16[:12], Text: data, TagLen: 8, Encrypt: true}
	gcmReq  = qcetest.GCM{Key: key16, IV: iv16[:12], Text: data, TagLen: 16, Encrypt: true}
	desReq  = qcetest.Cipher{Mode: qcetest.CBCDES, Key: key16[:8], IV: iv16[:8], Encrypt: true, Data: data}
	tdesReq = qcetest.Cipher{Mode: qcetest.CBC3DES, Key: key32[:24], IV: iv16[:8], Encrypt: true, Data: data}
)

// edited is a request with some register values changed on the way. A changed
// value is set wherever the register is written.
type edited struct {
	qcetest.Request
	set   map[uint32]uint32
	extra []qcetest.Write // before the last write, GOPROC
	in    []byte          // instead of the input, when not nil
}

func (e edited) Writes(pair int) []qcetest.Write {
	w := slices.Clone(e.Request.Writes(pair))
	for i := range w {
		if v, ok := e.set[w[i].Off]; ok {
			w[i].Val = v
		}
	}
	return slices.Insert(w, len(w)-1, e.extra...)
}

func (e edited) Input() []byte {
	if e.in != nil {
		return e.in
	}
	return e.Request.Input()
}

func set(r qcetest.Request, kv ...uint32) edited {
	e := edited{Request: r, set: map[uint32]uint32{}}
	for i := 0; i < len(kv); i += 2 {
		e.set[kv[i]] = kv[i+1]
	}
	return e
}

// TestRules: each rule has something that trips it and something close that
// does not.
func TestRules(t *testing.T) {
	run := func(r qcetest.Request) func(*bench) { return func(b *bench) { b.Run(r) } }
	write := func(off, val uint32) func(*bench) {
		return func(b *bench) { b.Set(qcetest.Write{Off: off, Val: val}) }
	}
	cpu := trace.CPUOf(0)
	lock := trace.Master{Via: trace.Command, EE: 2, Pipe: 2}
	// start brings a request to where it waits for input.
	start := func(b *bench, r qcetest.Request) { b.Set(r.Writes(b.Pair)...) }
	tests := []struct {
		rule string
		trip func(*bench)
		near func(*bench)
	}{
		{"QCE-CFG-001", func(b *bench) { start(b, cbcReq); b.Set(qcetest.Write{Off: qce.Version}) },
			func(b *bench) { start(b, cbcReq); b.Engine.Read(cpu, qce.Status); b.Engine.Read(cpu, qce.EncrSegCfg) }},
		{"QCE-CFG-002", func(b *bench) { start(b, cbcReq); b.Set(qcetest.Write{Off: qce.GoProc, Val: 1}) },
			func(b *bench) { b.Run(cbcReq); b.Run(cbcReq) }},
		{"QCE-CFG-003", run(set(shaReq, qce.AuthSegCfg, 0x30200)), run(shaReq)},
		{"QCE-CFG-004", run(set(cbcReq, qce.EncrSegCfg, 0x44a)), run(set(cbcReq, qce.EncrSegCfg, 0x452))},
		{"QCE-CFG-005", run(set(cbcReq, qce.EncrSegSize, 80)), run(set(cbcReq, qce.EncrSegSize, 48))},
		{"QCE-CFG-006", run(set(shaReq, qce.AuthSegStart, 1)), run(set(shaReq, qce.AuthSegStart, 1, qce.AuthSegSize, 63))},
		{"QCE-CFG-007", run(set(cbcReq, qce.EncrSegSize, 40)), run(set(ctrReq, qce.EncrSegSize, 40))},
		{"QCE-CFG-008", run(set(shaReq, qce.AuthSegCfg, 0x20201, qce.AuthSegSize, 63)), run(set(shaReq, qce.AuthSegSize, 63))},
		{"QCE-CFG-009", run(set(xtsReq, qce.EncrXTSDUSize, 24)), run(set(xtsReq, qce.EncrXTSDUSize, 32))},
		{"QCE-CFG-010", run(set(ctrReq, qce.CntrMask1, 0)), run(set(cbcReq, qce.CntrMask1, 0))},
		{"QCE-CFG-011", func(b *bench) {
			b.Set(qcetest.Write{Off: qce.Status, Val: 0})
			b.other.Set(qcetest.Write{Off: qce.EncrKey0, Val: 1})
			b.Run(cbcReq)
		}, func(b *bench) { // the other one's dummy write, and its parking of the engine before this one begins
			b.Run(cbcReq)
			b.other.Run(cbcReq)
			b.other.Set(qcetest.Write{Off: qce.ConfigReg, Val: 0xe01ef})
			b.Set(qcetest.Write{Off: qce.Status, Val: 0})
			b.other.Set(qcetest.Write{Off: qce.Version, Val: 0})
			b.Run(cbcReq)
		}},
		{"QCE-CFG-012", func(b *bench) {
			b.other.Run(ctrReq)
			b.Run(qcetest.Request(edited{Request: cbcReq, set: map[uint32]uint32{qce.EncrSegCfg: 0x482}})) // CTR, without the masks
		}, func(b *bench) { b.other.Run(ctrReq); b.Run(ctrReq) }},
		{"QCE-CFG-013", run(set(cbcReq, qce.ConfigReg, 0xe004b)), run(cbcReq)},
		{"QCE-CFG-014", run(set(cbcReq, qce.SegSize, 0, qce.EncrSegSize, 0)), run(set(cbcReq, qce.EncrSegSize, 0))},
		{"QCE-CFG-015", run(set(ccmReq, qce.AuthSegCfg, 0x030e02)), run(ccmReq)},
		{"QCE-CFG-016", run(set(ccmReq, qce.EncrSegCfg, 0x2102, qce.EncrSegSize, 7)), run(set(ccmReq, qce.EncrSegCfg, 0x2102, qce.EncrSegSize, 8))},
		{"QCE-CFG-017", run(set(shaReq, qce.AuthIV0, 1)), run(set(shaReq, qce.AuthIV0, 1, qce.AuthByteCnt0, 64))},
		{"QCE-DATA-001", func(b *bench) { start(b, cbcReq); b.Move(make([]byte, 65)) }, run(cbcReq)},
		{"QCE-DATA-010", func(b *bench) {
			b.NoEOT = true
			b.Run(cbcReq)
			b.NoEOT = false
			b.Run(cbcReq)
		}, run(cbcReq)},
		{"QCE-DATA-002", func(b *bench) { start(b, cbcReq); b.Move(make([]byte, 63)) },
			func(b *bench) {
				start(b, cbcReq)
				b.NoEOT = true
				b.Move(make([]byte, 63))
				b.NoEOT = false
				b.Move(make([]byte, 1))
			}},
		{"QCE-DATA-003", func(b *bench) { start(b, cbcReq); b.Move(make([]byte, 65)); b.Run(cbcReq) },
			func(b *bench) { start(b, cbcReq); b.Move(make([]byte, 65)); b.Engine.Flush(2 * b.Pair); b.Run(cbcReq) }},
		{"QCE-DATA-004", func(b *bench) { start(b, cbcReq); b.Engine.Fault(2 * b.Pair) },
			func(b *bench) { start(b, cbcReq); b.Engine.Fault(2 * b.other.Pair) }},
		{"QCE-DATA-005", func(b *bench) { start(b, cbcReq); b.Engine.Flush(2*b.Pair + 1) },
			func(b *bench) { b.Run(cbcReq); b.Engine.Flush(2*b.Pair + 1) }},
		{"QCE-DATA-006", write(qce.DataIn0, 1), func(b *bench) { start(b, pio{cbcReq}); b.Set(qcetest.Write{Off: qce.DataIn0, Val: 1}) }},
		{"QCE-DATA-007", func(b *bench) { b.Engine.Read(cpu, qce.DataOut0) }, func(b *bench) {
			start(b, pio{cbcReq})
			for range 4 {
				b.Set(qcetest.Write{Off: qce.DataIn0, Val: 1})
			}
			b.Engine.Step()
			b.Engine.Read(cpu, qce.DataOut0)
		}},
		{"QCE-KEY-001", run(qcetest.Cipher{Mode: qcetest.XTSAES, Key: append(key32, key32...), IV: iv16, Data: data}), run(xtsReq)},
		{"QCE-KEY-002", func(b *bench) { b.Engine.SetLock(lock, true); b.other.Run(cbcReq); b.Engine.SetLock(lock, false) },
			func(b *bench) {
				b.Engine.SetLock(lock, true)
				b.other.Run(set(cbcReq, qce.GoProc, 7))
				b.Engine.SetLock(lock, false)
			}},
		{"QCE-KEY-003", run(set(cbcReq, qce.EncrSegCfg, 0x442|1<<14)), run(cbcReq)},
		{"QCE-KEY-004", run(qcetest.Cipher{Mode: qcetest.ECBDES, Key: unhex("01fe01fe01fe01fe"), Data: data}),
			run(qcetest.Cipher{Mode: qcetest.ECBDES, Key: unhex("01fe01fe01fe01fd"), Data: data})},
		{"QCE-KEY-005", run(qcetest.Cipher{Mode: qcetest.ECB3DES, Key: append(key16[:8:8], key16[:8]...), Data: data}), run(tdesReq)},
		{"QCE-KEY-006", run(edited{Request: ccmReq, extra: []qcetest.Write{{Off: qce.EncrKey0 + 16, Val: 1}, {Off: qce.EncrKey0 + 20, Val: 2}}}),
			run(edited{Request: ccmReq, extra: []qcetest.Write{{Off: qce.EncrKey0 + 16}, {Off: qce.EncrKey0 + 20}}})},
		{"QCE-PIPE-001", run(set(cbcReq, qce.ConfigReg, 0xe020b|9<<5)), run(set(cbcReq, qce.ConfigReg, 0xe020b|7<<5))},
		{"QCE-PIPE-002", run(set(cbcReq, qce.ConfigReg, 0xe020b|1<<5)), run(cbcReq)},
		{"QCE-PIPE-003", func(b *bench) { b.ByCommand = true; b.Run(set(cbcReq, qce.ConfigReg, 0xe020b|1<<5)) }, run(set(cbcReq, qce.ConfigReg, 0xe020b|1<<5))},
		{"QCE-REG-001", write(0x2f0, 1), write(qce.Version, 1)},
		{"QCE-REG-002", write(qce.EnginesAvail, 1), write(qce.Version, 1)},
		{"QCE-REG-003", write(qce.EncrXTSDUSize, 1<<20), write(qce.EncrXTSDUSize, 1<<19)},
		{"QCE-REG-004", func(b *bench) { b.Engine.Read(cpu, qce.EncrKey0) }, func(b *bench) { b.Engine.Read(cpu, qce.CntrIV0) }},
		{"QCE-REG-005", write(qce.SegSize+2, 1), write(qce.SegSize, 1)},
		{"QCE-REG-006", func(b *bench) { b.Engine.SetLock(lock, true); b.Engine.Read(cpu, qce.Status) },
			func(b *bench) { b.Engine.SetLock(lock, true); b.Engine.Read(trace.CPUOf(2), qce.Status) }},
	}
	cfg := ideal
	cfg.PipeSetEE = []uint8{2, 2, 0, 0, 0, 0, 0, 0}
	var covered []string
	for _, tt := range tests {
		b := newBench(cfg)
		tt.trip(b)
		if got := b.rec.rules(); !slices.Contains(got, tt.rule) {
			t.Errorf("%s: not tripped; %v", tt.rule, got)
		}
		b = newBench(cfg)
		tt.near(b)
		if got := b.rec.rules(); slices.Contains(got, tt.rule) {
			t.Errorf("%s: tripped by what is allowed; %v", tt.rule, got)
		}
		covered = append(covered, tt.rule)
	}
	var all []string
	for _, r := range qce.Rules {
		all = append(all, r.ID)
		if r.Title == "" || r.Source == "" {
			t.Errorf("%s has no title or source", r.ID)
		}
	}
	if d := cmp.Diff(all, covered); d != "" {
		t.Errorf("rules without a test: %s", d)
	}
}

// pio is a request whose data goes through the registers.
type pio struct{ qcetest.Request }

func (p pio) Writes(pair int) []qcetest.Write {
	w := slices.Clone(p.Request.Writes(pair))
	for i := range w {
		if w[i].Off == qce.ConfigReg {
			w[i].Val |= 1 << 4
		}
	}
	return w
}

// TestQuiet: what the driver does for a request breaks no rule, also when
// another EE has used the engine in between.
func TestQuiet(t *testing.T) {
	for _, byCommand := range []bool{false, true} {
		each(t, func(t *testing.T, r *rand.Rand, request func(*rand.Rand, int) qcetest.Request) {
			cfg := ideal
			cfg.PipeSetEE = []uint8{2, 2, 0}
			b := newBench(cfg)
			b.ByCommand = byCommand
			for range 3 {
				b.Run(request(r, 100))
				for _, name := range slices.Sorted(maps.Keys(requests)) {
					b.other.Run(requests[name](r, 20))
				}
			}
			if got := b.rec.rules(); len(got) != 0 {
				t.Errorf("rules broken: %v", got)
			}
		})
	}
}
