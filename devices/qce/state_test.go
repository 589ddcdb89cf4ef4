package qce_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/reg"
	"github.com/qcemu/qcemu/devices/trace"
)

var cpu0 = trace.CPUOf(0)

func TestReset(t *testing.T) {
	f := feeder(ideal, nil)
	f.Run(cbcReq)
	f.Set(cbcReq.Writes(2)...)
	f.Engine.Reset()
	if f.Engine.Busy() || f.Engine.Runnable() {
		t.Error("an operation runs after reset")
	}
	for off, want := range map[uint32]uint32{
		qce.Version: ideal.Version, qce.EnginesAvail: ideal.Engines, qce.FIFOSizes: 0x1010, qce.Status: 0, qce.Status2: 0,
		qce.ConfigReg: 0xe01ef, qce.SegSize: 0, qce.CntrIV0: 0, qce.EncrKey0: 0,
	} {
		if got := f.Engine.Read(cpu0, off); got != want {
			t.Errorf("%s = %#x after reset, want %#x", qce.Name(off), got, want)
		}
	}
}

// TestByteOrder: strings are stored by the mode at the time of the write, and
// seen by that at the time of the read; numbers are not touched (datasheet §15).
func TestByteOrder(t *testing.T) {
	const big, little = 0xe004b, 0xe024b
	f := feeder(ideal, nil)
	e := f.Engine
	e.Write(cpu0, qce.ConfigReg, big)
	e.Write(cpu0, qce.CntrIV0, 0x01020304)
	e.Write(cpu0, qce.AuthByteCnt0, 0x01020304)
	e.Write(cpu0, qce.ConfigReg, little)
	e.Write(cpu0, qce.CntrIV0+4, 0x01020304)
	e.WriteReg(cpu0, qce.CntrIV0+4, 0xaabbccdd, 0x0000ff00)
	for off, want := range map[uint32]uint32{qce.CntrIV0: 0x04030201, qce.CntrIV0 + 4: 0x0102cc04, qce.AuthByteCnt0: 0x01020304} {
		if got := e.Read(cpu0, off); got != want {
			t.Errorf("%s = %#x, want %#x", qce.Name(off), got, want)
		}
	}
	// The same request with everything written little-endian, as LK does.
	req := cbcReq.Writes(2)
	for i, w := range req {
		switch w.Off &^ 0x1f {
		case qce.EncrKey0, qce.CntrIV0 &^ 0x1f:
			if w.Off >= qce.CntrIV0 {
				var b [4]byte
				binary.BigEndian.PutUint32(b[:], w.Val)
				req[i].Val = binary.LittleEndian.Uint32(b[:])
			}
		}
		if w.Off == qce.ConfigReg {
			req[i].Val = little
		}
	}
	f.Set(req...)
	if d := cmp.Diff(head(feeder(ideal, nil).Run(cbcReq)), head(f.Move(cbcReq.Data))); d != "" {
		t.Error(d)
	}
}

// TestBusyWrite runs a request with a write to VERSION in its middle, under
// each reading of CFG_CHNG_ERR.
func TestBusyWrite(t *testing.T) {
	const summary = qce.SwErr | qce.ErrIntr | qce.CfgChngErr
	tests := []struct {
		reading string
		done    bool
		bits    uint32
	}{
		{"flag", true, summary}, {"abort", false, summary}, {"ignore", true, 0},
	}
	want := feeder(ideal, nil).Run(cbcReq)
	for _, tt := range tests {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-cfg-change", tt.reading)
		f := feeder(cfg, nil)
		f.Set(cbcReq.Writes(2)...)
		f.Move(cbcReq.Data[:20])
		f.Engine.Write(cpu0, qce.Version, 0)
		got := f.Move(cbcReq.Data[20:])
		if got.Done != tt.done || got.Status&summary != tt.bits {
			t.Errorf("%s: STATUS %#x, done %v", tt.reading, got.Status, got.Done)
		}
		// The next request finds an engine that works.
		if d := cmp.Diff(want, f.Run(cbcReq)); d != "" {
			t.Errorf("%s: next request: %s", tt.reading, d)
		}
	}
	for _, reading := range []string{"stored", "dropped"} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-busy-write", reading)
		f := feeder(cfg, nil)
		f.Set(cbcReq.Writes(2)...)
		f.Engine.Write(cpu0, qce.EncrSegSize, 7)
		f.Engine.Write(cpu0, qce.EncrKey0, 7)
		got, stored := f.Move(cbcReq.Data), f.Engine.Read(cpu0, qce.EncrSegSize) == 7
		if !bytes.Equal(want.Out[:64], got.Out[:64]) {
			t.Errorf("%s: a write changed the running operation", reading)
		}
		if stored != (reading == "stored") {
			t.Errorf("%s: register changed: %v", reading, stored)
		}
	}
}

func TestStatusBits(t *testing.T) {
	f := feeder(ideal, nil)
	e := f.Engine
	status := func() uint32 { return e.Read(cpu0, qce.Status) }
	auth := qcetest.Authenc{Hash: qcetest.SHA1, Mode: qcetest.CBCAES, Key: key16, IV: iv16, AuthKey: key16, Encrypt: true, Len: 64, Data: data}
	for _, tt := range []struct {
		req  qcetest.Request
		busy uint32
	}{{cbcReq, qce.EncrBusy}, {shaReq, qce.AuthBusy}, {auth, qce.EncrBusy | qce.AuthBusy}} {
		f.Set(tt.req.Writes(2)...)
		if got := status(); got != tt.busy {
			t.Errorf("STATUS %#x while busy, want %#x", got, tt.busy)
		}
		if got := f.Move(tt.req.Input()).Status; got != qce.OperationDone|qce.OpDoneIntr {
			t.Errorf("STATUS %#x when done", got)
		}
	}
	for _, tt := range []struct {
		reading    string
		write      uint32
		done, cfgc bool
	}{
		{"and", 0, false, false}, {"and", qce.OperationDone, true, false}, {"and", ^uint32(qce.OperationDone), false, true},
		{"clear-all", ^uint32(0), false, false}, {"zero-only", 1, true, true}, {"zero-only", 0, false, false},
	} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-status-write", tt.reading)
		f := feeder(cfg, nil)
		f.Set(cbcReq.Writes(2)...)
		f.Engine.Write(cpu0, qce.Version, 0)
		f.Move(data)
		f.Engine.Write(cpu0, qce.Status, tt.write)
		got := f.Engine.Read(cpu0, qce.Status)
		if got&qce.OperationDone != 0 != tt.done || got&qce.CfgChngErr != 0 != tt.cfgc {
			t.Errorf("%s: STATUS %#x after writing %#x", tt.reading, got, tt.write)
		}
	}
}

// TestStatus2 is cleared like STATUS, by either path.
func TestStatus2(t *testing.T) {
	for _, tt := range []struct {
		reading string
		write   uint32
		want    uint32
	}{
		{"and", 0, 0}, {"and", qce.InvalidAlgoCfg, qce.InvalidAlgoCfg}, {"and", qce.AxiExtra, 0},
		{"clear-all", ^uint32(0), 0}, {"zero-only", 1, qce.InvalidAlgoCfg}, {"zero-only", 0, 0},
	} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-status-write", tt.reading)
		f := feeder(cfg, nil)
		f.ByCommand = true
		f.Run(set(shaReq, qce.AuthSegCfg, 0))
		f.Set(qcetest.Write{Off: qce.Status2, Val: tt.write})
		if got := f.Engine.ReadReg(f.Master(), qce.Status2); got != tt.want {
			t.Errorf("%s: STATUS2 %#x after writing %#x", tt.reading, got, tt.write)
		}
	}
}

// TestOddAccess: what is not an aligned word is reported.
func TestOddAccess(t *testing.T) {
	rec := &recorder{}
	qce.New(ideal, rec).OddAccess(cpu0, qce.Status+1)
	if got := rec.rules(); !slices.Equal(got, []string{"QCE-REG-005"}) {
		t.Errorf("rules %v", got)
	}
}

// TestDoneOrder: OPERATION_DONE comes when the last output is taken, the
// acknowledgement of the last input with it (datasheet §16.1).
func TestDoneOrder(t *testing.T) {
	f := feeder(ideal, nil)
	e := f.Engine
	f.Set(cbcReq.Writes(2)...)
	in, outPipe := 4, 5
	feed := func(n int) { copy(e.In(in), data[:n]); e.Fed(in, n, false, false) }
	feed(16)
	if e.NWDAck(in) {
		t.Error("acknowledged before the bytes were taken")
	}
	e.Step()
	if !e.NWDAck(in) {
		t.Error("not acknowledged though the engine waits for more")
	}
	p, eot := e.Out(outPipe)
	if len(p) != 16 || eot {
		t.Errorf("%d bytes of output, end %v", len(p), eot)
	}
	copy(e.In(in), data[:48])
	e.Fed(in, 48, true, true)
	e.Step()
	if e.Runnable() || e.NWDAck(in) {
		t.Error("the last byte is acknowledged before the operation is over")
	}
	p, eot = e.Out(outPipe)
	if len(p) != 64+qcetest.DumpSize || !eot {
		t.Errorf("%d bytes of output, end %v", len(p), eot)
	}
	e.Drained(outPipe, len(p)-1, false)
	if e.Read(cpu0, qce.Status)&qce.OperationDone != 0 {
		t.Error("done before the last byte is out")
	}
	e.Drained(outPipe, 1, true)
	if e.Read(cpu0, qce.Status)&qce.OperationDone == 0 || !e.NWDAck(in) {
		t.Error("not done with everything out")
	}
	if p, eot := e.Out(outPipe); p != nil || eot {
		t.Error("output after the end")
	}
}

// TestPipeReset: a reset in mid-operation must not leave an engine that every
// later request finds busy.
func TestPipeReset(t *testing.T) {
	want := feeder(ideal, nil).Run(cbcReq)
	for _, reading := range []string{"abort", "wait"} {
		for _, pipe := range []int{4, 5} {
			for fed := range 65 {
				cfg := ideal
				cfg.Readings = resolve(t, "qce-pipe-reset-in-operation", reading)
				f := feeder(cfg, nil)
				f.Set(cbcReq.Writes(2)...)
				if fed > 0 {
					copy(f.Engine.In(4), data[:fed])
					f.Engine.Fed(4, fed, fed == 64, fed == 64)
					f.Engine.Step()
				}
				f.Engine.Flush(pipe)
				f.Move(make([]byte, 64)) // whatever it still waits for, and more
				f.Engine.Flush(4)
				got := f.Run(cbcReq)
				if !got.Done || got.Status&qce.CfgChngErr != 0 || !bytes.Equal(want.Out, got.Out) {
					t.Errorf("%s, pipe %d after %d bytes: %+v", reading, pipe, fed, got)
				}
			}
		}
	}
}

// TestZeroLength: no input, the results at once.
func TestZeroLength(t *testing.T) {
	for _, req := range []qcetest.Request{
		qcetest.Digest{Hash: qcetest.SHA256}, qcetest.Cipher{Mode: qcetest.CBCAES, Key: key16, IV: iv16, Encrypt: true},
		qcetest.CMAC{Key: key16}, qcetest.CCM{Key: key16, Nonce: iv16[:12], TagLen: 16, Encrypt: true},
	} {
		cfg := ideal
		checker := oracle.NewChecker(0)
		cfg.Observer = checker
		f := feeder(cfg, nil)
		res := f.Run(req)
		if !res.Done || !res.EOT || res.Status&qce.SwErr != 0 {
			t.Errorf("%T: %+v", req, res)
		}
		if c := checker.Counts(); c.Checked != 1 || c.Wrong != 0 {
			t.Errorf("%T: oracle %+v %v", req, c, checker.Mismatches())
		}
	}
	// Without any output there is nothing to wait for.
	f := feeder(ideal, nil)
	if res := f.Run(set(qcetest.Digest{Hash: qcetest.SHA1}, qce.GoProc, 1)); !res.Done || res.EOT {
		t.Errorf("%+v", res)
	}
}

// TestRefused: what the engine cannot do it does not start; STATUS2 tells why.
func TestRefused(t *testing.T) {
	small := qce.Config{Version: 0x05030001, Engines: 0x02010453} // no SHA-512, no GCM, two pipe sets
	tests := []struct {
		name            string
		cfg             qce.Config
		req             qcetest.Request
		status, status2 uint32
	}{
		{"nothing", ideal, set(shaReq, qce.AuthSegCfg, 0), 0, qce.InvalidAlgoCfg},
		{"AES-192", ideal, set(cbcReq, qce.EncrSegCfg, 0x44a), 0, qce.InvalidAlgoCfg},
		{"SM4", ideal, set(cbcReq, qce.EncrSegCfg, 0x443), 0, qce.InvalidAlgoCfg},
		{"IDSA", ideal, set(cbcReq, qce.EncrSegCfg, 2|5<<6), 0, qce.InvalidAlgoCfg},
		{"DES-CTR", ideal, set(desReq, qce.EncrSegCfg, 1|2<<6), 0, qce.InvalidAlgoCfg},
		{"CCM without MAC", ideal, set(ccmReq, qce.AuthSegCfg, 0), 0, qce.InvalidAlgoCfg},
		{"CCM MAC with CTR", ideal, set(ccmReq, qce.EncrSegCfg, 0x482), 0, qce.InvalidAlgoCfg},
		{"SHA-3", ideal, set(shaReq, qce.AuthSegCfg, 0x30201|2<<6), 0, qce.InvalidAlgoCfg},
		{"SHA-512 not built in", small, edited{Request: qcetest.Digest{Hash: qcetest.SHA512, Data: data}, set: map[uint32]uint32{qce.ConfigReg: 0xe022b}}, 0, qce.InvalidAlgoCfg},
		{"GCM not built in", small, set(gcmReq, qce.ConfigReg, 0xe022b), 0, qce.InvalidAlgoCfg},
		{"pipe set not there", small, cbcReq, qce.PipeActiveErr, 0},
		{"hardware key not fused", ideal, set(cbcReq, qce.EncrSegCfg, 0x442|1<<14), 0, qce.HWKeyUsageErr | qce.KeyErr},
		{"hardware key of a MAC not fused", ideal, set(hmacReq, qce.AuthSegCfg, 0x30241|1<<18), 0, qce.HWKeyUsageErr | qce.KeyErr},
		{"pipe key", ideal, set(cbcReq, qce.EncrSegCfg, 0x442|1<<15), 0, qce.PipeKeyUsageErr | qce.KeyErr},
		{"pipe key of a MAC", ideal, set(hmacReq, qce.AuthSegCfg, 0x30241|1<<19), 0, qce.PipeKeyUsageErr | qce.KeyErr},
	}
	for _, tt := range tests {
		f := feeder(tt.cfg, nil)
		res := f.Run(tt.req)
		if want := uint32(qce.SwErr|qce.ErrIntr) | tt.status; res.Status != want {
			t.Errorf("%s: STATUS %#x, want %#x", tt.name, res.Status, want)
		}
		if got := f.Engine.Read(cpu0, qce.Status2); got != tt.status2 {
			t.Errorf("%s: STATUS2 %#x, want %#x", tt.name, got, tt.status2)
		}
		if f.Engine.Busy() || res.Left != len(tt.req.Input()) {
			t.Errorf("%s: started", tt.name)
		}
		f.Pair = 1
		if res := f.Run(cbcReq); !res.Done || res.Status&qce.SwErr != 0 {
			t.Errorf("%s: the next request fails: %#x", tt.name, res.Status)
		}
	}
}

// TestAES192AEAD is the driver's bug of datasheet §28: six key words, with a
// key size that says four.
func TestAES192AEAD(t *testing.T) {
	rec := &recorder{}
	f := feeder(ideal, rec)
	ccm := ccmReq
	ccm.Key = key32[:24]
	want := ccmReq
	want.Key = key32[:16]
	got := f.Run(ccm)
	if d := cmp.Diff(feeder(ideal, nil).Run(want), got); d != "" {
		t.Error(d)
	}
	if rules := rec.rules(); !slices.Equal(rules, []string{"QCE-KEY-006"}) {
		t.Errorf("rules %v", rules)
	}
}

// TestExpectedMAC: COMP_EXP_MAC compares, and nothing else sets MAC_FAILED.
func TestExpectedMAC(t *testing.T) {
	_, dump := feeder(ideal, nil).Run(hmacReq).Split()
	for _, wrong := range []int{-1, 0, 31} {
		mac := dump.AuthIV
		if wrong >= 0 {
			mac[wrong] ^= 1
		}
		var extra []qcetest.Write
		for i := range 8 {
			// The mode is little-endian by now.
			extra = append(extra, qcetest.Write{Off: qce.AuthExpMAC0 + 4*uint32(i), Val: binary.LittleEndian.Uint32(mac[4*i:])})
		}
		for _, compare := range []bool{false, true} {
			req := edited{Request: hmacReq, set: map[uint32]uint32{}, extra: extra}
			if compare {
				req.set[qce.AuthSegCfg] = 0x30241 | 1<<24
			}
			res := feeder(ideal, nil).Run(req)
			if failed := res.Status&qce.MACFailed != 0; failed != (compare && wrong >= 0) || !res.Done {
				t.Errorf("byte %d wrong, compare %v: STATUS %#x", wrong, compare, res.Status)
			}
		}
	}
}

// TestRegisterPath does requests through DATA_IN and DATA_OUT.
func TestRegisterPath(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, request func(*rand.Rand, int) qcetest.Request) {
		for range 10 {
			req := request(r, 1+r.IntN(200))
			want := feeder(ideal, nil).Run(req)
			cfg := ideal
			checker := oracle.NewChecker(1 << 20)
			cfg.Observer = checker
			f := feeder(cfg, nil)
			e := f.Engine
			f.Set(pio{req}.Writes(2)...)
			in := append(req.Input(), 0, 0, 0)
			var out []byte
			for range 1000 {
				s := e.Read(cpu0, qce.Status)
				if s&qce.DinRdy != 0 {
					for range s >> 21 & 31 {
						if len(in) < 4 {
							break
						}
						e.Write(cpu0, qce.DataIn0+4*uint32(r.IntN(4)), binary.LittleEndian.Uint32(in))
						in = in[4:]
						if e.Read(cpu0, qce.Status)&qce.DinRdy == 0 {
							break
						}
					}
				}
				if e.Runnable() {
					e.Step()
				}
				for range e.Read(cpu0, qce.Status) >> 26 & 31 {
					out = binary.LittleEndian.AppendUint32(out, e.Read(cpu0, qce.DataOut0))
				}
			}
			if s := e.Read(cpu0, qce.Status); s&(qce.OperationDone|qce.SwErr) != qce.OperationDone {
				t.Fatalf("STATUS %#x", s)
			}
			payload := want.Out
			if req.Writes(2)[len(req.Writes(2))-1].Val&qce.ResultsDump != 0 {
				payload = head(want)
			}
			if len(out) < len(payload) || !bytes.Equal(payload, out[:len(payload)]) || len(out)-len(payload) > 3 {
				t.Fatalf("output\n%x, want\n%x", out, payload)
			}
			if c := checker.Counts(); c.Checked != 1 || c.Wrong != 0 {
				t.Fatalf("oracle: %+v %v", c, checker.Mismatches())
			}
		}
	})
}

// TestClearContext: GOPROC.CLR_CNTXT leaves nothing to continue with.
func TestClearContext(t *testing.T) {
	f := feeder(ideal, nil)
	f.Run(set(ccmReq, qce.GoProc, qce.Go|qce.ClrCntxt))
	for _, off := range []uint32{qce.CntrIV0, qce.AuthIV0, qce.AuthByteCnt0, qce.AuthInfoNonce0, qce.EncrCCMInitCnt0} {
		for i := range uint32(4) {
			if v := f.Engine.Read(cpu0, off+4*i); v != 0 {
				t.Errorf("%s = %#x", qce.Name(off+4*i), v)
			}
		}
	}
	// The keys are gone too: the same request without them gives another result.
	var bare []qcetest.Write
	for _, w := range cbcReq.Writes(2) {
		if w.Off < qce.EncrKey0 {
			bare = append(bare, w)
		}
	}
	f.Run(set(cbcReq, qce.GoProc, 7))
	f.Set(bare...)
	zero := cbcReq
	zero.Key = make([]byte, 16)
	if d := cmp.Diff(head(feeder(ideal, nil).Run(zero)), head(f.Move(data))); d != "" {
		t.Errorf("key survived: %s", d)
	}
}

func TestHardwareKeys(t *testing.T) {
	cfg := ideal
	cfg.QCKey, cfg.OEMKey = (*[32]byte)(key32), &[32]byte{1, 2, 3}
	for off, key := range map[uint32]*[32]byte{qce.GoProcQCKey: cfg.QCKey, qce.GoProcOEMKey: cfg.OEMKey} {
		f := feeder(cfg, nil)
		w := set(cbcReq, qce.EncrSegCfg, 0x452|1<<14).Writes(2)
		w[len(w)-1].Off = off
		f.Set(w...)
		want := cbcReq
		want.Key = key[:]
		if d := cmp.Diff(feeder(ideal, nil).Run(want), f.Move(data)); d != "" {
			t.Errorf("%s: %s", qce.Name(off), d)
		}

		f = feeder(cfg, nil)
		w = set(hmacReq, qce.AuthSegCfg, 0x30241|1<<18).Writes(2)
		w[len(w)-1].Off = off
		f.Set(w...)
		mac := hmacReq
		mac.Key = key[:]
		if d := cmp.Diff(feeder(ideal, nil).Run(mac), f.Move(data)); d != "" {
			t.Errorf("%s of a MAC: %s", qce.Name(off), d)
		}
	}
}

// TestVersions: a register of a later core is not there on an earlier one.
func TestVersions(t *testing.T) {
	for version, want := range map[uint32]uint32{0x05030001: 0, 0x05050000: 7} {
		e := qce.New(qce.Config{Version: version, Engines: 0x02010453}, nil)
		e.Write(cpu0, 0x500, 7)
		if got := e.Read(cpu0, 0x500); got != want {
			t.Errorf("version %#x: %#x", version, got)
		}
	}
}

func TestUnmodelled(t *testing.T) {
	rec := &recorder{}
	e := qce.New(ideal, rec)
	for range 3 {
		e.Read(cpu0, 0x2f0)
		e.Write(cpu0, 0x2f0, 1)
		e.Write(cpu0, 0x7000, 1)
		e.Write(cpu0, 0x7004, 1)
	}
	kinds := map[trace.Kind]int{}
	var reported []uint32
	for _, ev := range rec.events {
		kinds[ev.Kind]++
		if ev.Kind == trace.Anomaly && ev.Rule.ID == "QCE-REG-001" {
			reported = append(reported, ev.Off)
		}
	}
	// Everything outside the window is one.
	if d := cmp.Diff([]uint32{0x2f0, 0x7000}, reported); d != "" {
		t.Errorf("reported registers (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[trace.Kind]int{trace.Anomaly: 2, trace.RegRead: 3, trace.RegWrite: 9}, kinds); d != "" {
		t.Errorf("each register is to be reported once, and each access to be an event (-want +got):\n%s", d)
	}
}

// TestTable: the register table has no overlaps, stays in the window, and can
// be written down.
func TestTable(t *testing.T) {
	end := uint32(0)
	for _, b := range qce.Registers {
		if b.Off < end || b.Off%4 != 0 {
			t.Errorf("%s at %#x overlaps or is out of order", b.Register.Name, b.Off)
		}
		end = b.Off + 4*uint32(b.Count)
		for i := range b.Count {
			port := b.Off == qce.DataIn0 || b.Off == qce.DataOut0
			if off := b.Off + 4*uint32(i); qce.Secret(off) != (b.Secret || port || off > qce.AuthKey0) {
				t.Errorf("%s: secret or not", qce.Name(off))
			}
		}
		if b.Reset&^b.Implemented() != 0 || b.Source == "" {
			t.Errorf("%s: reset value or source", b.Register.Name)
		}
	}
	if end > qce.WindowSize {
		t.Errorf("table ends at %#x", end)
	}
	var doc strings.Builder
	if err := reg.WriteMarkdown(&doc, qce.Section()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| ENCR_KEY | 0x3000…0x301c |", "### STATUS2", "5.5.0"} {
		if !strings.Contains(doc.String(), want) {
			t.Errorf("documentation has no %q", want)
		}
	}
}
