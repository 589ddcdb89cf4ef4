package qce_test

import (
	"bytes"
	"testing"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// TestLock: STATUS2.LOCKED, and accesses of a CPU while another EE holds it.
func TestLock(t *testing.T) {
	owner := trace.Master{Via: trace.Command, EE: 2, Pipe: 2}
	for bit, reading := range map[uint32]string{1: "0", 4: "2"} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-locked-bit", reading)
		e := qce.New(cfg, nil)
		e.SetLock(owner, true)
		if got := e.Read(trace.CPUOf(2), qce.Status2); got != bit {
			t.Errorf("STATUS2 %#x while locked", got)
		}
		e.SetLock(owner, false)
		if got := e.Read(cpu0, qce.Status2); got != 0 {
			t.Errorf("STATUS2 %#x after unlock", got)
		}
	}
	for reading, want := range map[string]struct{ read, stored, status uint32 }{
		"through": {7, 9, 0}, "ignored": {0, 7, 0}, "abort": {0, 7, qce.AccessViol | qce.SwErr | qce.ErrIntr},
	} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-foreign-cpu-access", reading)
		e := qce.New(cfg, nil)
		e.Write(cpu0, qce.SegSize, 7)
		e.SetLock(owner, true)
		read := e.Read(cpu0, qce.SegSize)
		e.Write(cpu0, qce.SegSize, 9)
		e.SetLock(owner, false)
		if stored, status := e.Read(cpu0, qce.SegSize), e.Read(cpu0, qce.Status); read != want.read || stored != want.stored || status != want.status {
			t.Errorf("%s: read %d, stored %d, STATUS %#x", reading, read, stored, status)
		}
	}
}

// TestForeignPipeSet: an EE on a pipe set that is not its own.
func TestForeignPipeSet(t *testing.T) {
	for reading, bit := range map[string]uint32{"run": 0, "refuse": qce.PipeActiveErr} {
		cfg := ideal
		cfg.PipeSetEE = []uint8{2, 2, 1}
		cfg.Readings = resolve(t, "qce-foreign-pipe-set", reading)
		res := feeder(cfg, nil).Run(cbcReq)
		if res.Status&qce.PipeActiveErr != bit || res.Done == (bit != 0) {
			t.Errorf("%s: STATUS %#x", reading, res.Status)
		}
	}
}

// TestReadings: each remaining reading that can be seen in the output.
func TestReadings(t *testing.T) {
	run := func(req qcetest.Request, name, value string) qcetest.Result {
		cfg := ideal
		cfg.Readings = resolve(t, name, value)
		checker := oracle.NewChecker(1 << 20)
		cfg.Observer = checker
		res := feeder(cfg, nil).Run(req)
		if c := checker.Counts(); c.Wrong != 0 || c.Checked != 1 {
			t.Errorf("%s=%s: oracle %+v %v", name, value, c, checker.Mismatches())
		}
		return res
	}
	for value, want := range map[string]int{"104": 64 + 104, "128": 64 + 128} {
		if got := len(run(cbcReq, "qce-dump-size", value).Out); got != want {
			t.Errorf("dump-size %s: %d bytes of output", value, got)
		}
	}
	for value, want := range map[string]int{"64": 64 + 64, "tag": 64 + 8} {
		if got := len(run(ccmReq, "qce-ccm-mac-area", value).Out); got != want {
			t.Errorf("ccm-mac-area %s: %d bytes of output", value, got)
		}
	}
	for value, want := range map[string]uint32{"early": qce.EncrBusy, "final": qce.OperationDone | qce.OpDoneIntr} {
		if _, d := run(cbcReq, "qce-dump-status", value).Split(); d.Status != want {
			t.Errorf("dump-status %s: %#x", value, d.Status)
		}
	}
	two := xtsReq
	two.Unit = 32
	for value, want := range map[string]byte{"unchanged": 0xf0, "stepped": 0xf2} {
		if _, d := run(two, "qce-xts-iv-out", value).Split(); d.IV[15] != want {
			t.Errorf("xts-iv-out %s: %x", value, d.IV)
		}
	}
	odd := xtsReq
	odd.Data = make([]byte, 40)
	for value, same := range map[string]bool{"steal": false, "pass": true} {
		if out := run(odd, "qce-xts-stealing", value).Out; bytes.Equal(out[32:40], odd.Data[32:]) != same {
			t.Errorf("xts-stealing %s: tail %x", value, out[32:40])
		}
	}
	for value, want := range map[string]uint32{"set": qce.AxiExtra, "never": 0} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-axi-extra", value)
		f := feeder(cfg, nil)
		f.Set(cbcReq.Writes(2)...)
		f.Move(make([]byte, 70))
		if got := f.Engine.Read(cpu0, qce.Status2); got != want {
			t.Errorf("axi-extra %s: STATUS2 %#x", value, got)
		}
	}
	for value, want := range map[string]uint32{"yes": 0, "no": qce.CfgChngErr} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-go-clears-status", value)
		f := feeder(cfg, nil)
		f.Set(cbcReq.Writes(2)...)
		f.Engine.Write(cpu0, qce.Version, 0)
		f.Move(data)
		f.Set(qcetest.Write{Off: qce.GoProc, Val: qce.Go})
		if got := f.Move(data).Status & qce.CfgChngErr; got != want {
			t.Errorf("go-clears-status %s: %#x", value, got)
		}
	}
	for value, want := range map[string]uint32{"harmless": 0, "error": qce.CfgChngErr} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-busy-read", value)
		f := feeder(cfg, nil)
		f.Set(cbcReq.Writes(2)...)
		f.Engine.Read(cpu0, qce.SegSize)
		if got := f.Engine.Read(cpu0, qce.Status) & qce.CfgChngErr; got != want {
			t.Errorf("busy-read %s: %#x", value, got)
		}
	}
	for value, drop := range map[string]bool{"discard": true, "feed": false} {
		cfg := ideal
		cfg.Readings = resolve(t, "qce-stale-input", value)
		f := feeder(cfg, nil)
		f.Set(cbcReq.Writes(2)...)
		f.Move(make([]byte, 80))
		f.Set(cbcReq.Writes(2)...)
		rest := f.Move(make([]byte, 16)) // what was left
		if got := rest.Left == 0 && len(f.Engine.In(4)) == 64; got != drop {
			t.Errorf("stale-input %s: %+v", value, rest)
		}
	}
}
