package testbench

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
)

// TestTurns has a guest measure two ways by turns, and the engine counted for
// each.
func TestTurns(t *testing.T) {
	config := model.Config{SoC: "sdm845"}
	if err := AddVirtio(&config); err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(config, Recording{})
	if err != nil {
		t.Fatal(err)
	}
	virtio := uint8(config.Clients[0].EE)
	var other uint8 // of an antagonist
	for other == virtio || int(other) == m.Profile.EE {
		other++
	}
	done := func(n int, ee uint8, alg string) {
		for range n {
			m.Counter.Emit(&trace.Event{Kind: trace.OpDone, Op: &trace.Op{EE: ee, Alg: alg}})
		}
	}
	turns := newTurns(m)
	turns.watch(os.Getpid(), nil)
	turn := func(name string) { turns.event(job.Event{Type: job.Turn, Text: name}) }
	ours, builtin := suites.VirtioSpeedCase(suites.VirtioOurs, 1), suites.VirtioSpeedCase(suites.VirtioBuiltin, 1)
	for range 3 {
		turn(ours)
		done(5, virtio, "cbc-aes")
		done(2, other, "cbc-aes")
		turn("")
		done(7, virtio, "cbc-aes") // in between
		turn(builtin)
		done(1, virtio, "xts-aes")
		turn("")
	}
	for _, c := range []struct {
		name     string
		requests float64
		want     report.Status
		engine   uint64
	}{
		{ours, 15, report.Pass, 15},
		{builtin, 15, report.Pass, 0},
		{ours, 16, report.Fail, 15},
		{"speed", 16, report.Pass, 0},
	} {
		got := report.Case{Name: c.name, Status: report.Pass, Metrics: map[string]float64{suites.VirtioRequests: c.requests}}
		before := len(turns.all())
		turns.event(job.Event{Type: job.CaseDone, Case: &got})
		if got.Status != c.want {
			t.Errorf("%s with %v requests: %s, want %s", c.name, c.requests, got.Status, c.want)
		}
		added := turns.all()[before:]
		if c.name == "speed" {
			if len(added) != 0 {
				t.Errorf("%s is a way: %+v", c.name, added)
			}
			continue
		}
		if len(added) != 1 || added[0].Engine != c.engine || added[0].Attested != (c.want == report.Pass) {
			t.Errorf("%s with %v requests: %+v", c.name, c.requests, added)
		}
	}
}

// TestOracleRestsInTurns: the oracle judges all that a guest does but what is
// measured, and goes on after a guest that ended in the middle of it.
func TestOracleRestsInTurns(t *testing.T) {
	m, err := NewModel(model.Config{SoC: "sdm845", Oracle: 512}, Recording{})
	if err != nil {
		t.Fatal(err)
	}
	turns := newTurns(m)
	turn := func(name string) { turns.event(job.Event{Type: job.Turn, Text: name}) }
	for _, step := range []struct {
		what string
		do   func()
		want bool // an operation is judged then
	}{
		{"before", func() {}, true},
		{"turn", func() { turn("a") }, false},
		{"next turn", func() { turn("b") }, false},
		{"in between", func() { turn("") }, true},
		{"in between still", func() { turn("") }, true},
		{"progress in a turn", func() { turn("a"); turns.event(job.Event{Type: job.Progress, Text: "b"}) }, false},
		{"the guest is gone", turns.end, true},
		{"and again", turns.end, true},
	} {
		step.do()
		before := m.Oracle.Counts().Checked
		m.Oracle.Start(&trace.Op{}, &qce.Latched{})
		m.Oracle.Done(&trace.Op{})
		if got := m.Oracle.Counts().Checked > before; got != step.want {
			t.Errorf("%s: judged: %v", step.what, got)
		}
	}
}

// TestProcessorTime looks at a process that works and one that does not.
func TestProcessorTime(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("the kernel does not count the time of threads")
	}
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer busy.Wait()
	defer busy.Process.Kill()
	before := processorTime(busy.Process.Pid)
	for deadline := time.Now().Add(time.Minute); processorTime(busy.Process.Pid).sub(before).qemu < 5*time.Millisecond; {
		if time.Now().After(deadline) {
			t.Fatal("a process that works takes no time")
		}
	}
	if p := processorTime(busy.Process.Pid).sub(before); p.guest != 0 || p.qcemu == 0 {
		t.Errorf("%+v", p)
	}
}
