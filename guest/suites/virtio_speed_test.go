package suites

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

func TestParseVirtioSpeed(t *testing.T) {
	for _, way := range VirtioWays {
		for _, users := range VirtioUsers {
			w, n, ok := ParseVirtioSpeed(VirtioSpeedCase(way, users))
			if w != way || n != users || !ok {
				t.Errorf("%s with %d: %q, %d, %v", way, users, w, n, ok)
			}
		}
	}
	for _, name := range []string{"speed", "speed/qce", "speed/qce/x", "correct/qce/1", "speed/qce/1/2"} {
		if _, _, ok := ParseVirtioSpeed(name); ok {
			t.Errorf("%s is taken for a way", name)
		}
	}
}

func TestVirtioInterrupts(t *testing.T) {
	k := newVirtioGuest()
	k.files["/proc/interrupts"] = `           CPU0       CPU1
 14:        123          0     GICv3  35 Level     bam_dma
 17:         10          5     GICv3  77 Edge      virtio1
 18:          1          0     GICv3  78 Edge      virtio10
IPI0:       100        200       Rescheduling interrupts
`
	r := &virtioRun{env: envOf(Virtio, k)}
	got := map[string]float64{}
	for _, device := range []string{"bam_dma", "virtio1", "virtio2"} {
		got[device] = r.interrupts(device)
	}
	if diff := cmp.Diff(map[string]float64{"bam_dma": 123, "virtio1": 15, "virtio2": 0}, got); diff != "" {
		t.Error(diff)
	}
}

func TestVirtioTurns(t *testing.T) {
	turn := &turns{requests: 4, irqs: 3, rates: []float64{30, 10, 20}}
	for _, d := range []time.Duration{4, 1, 3, 2} {
		turn.times = append(turn.times, d*time.Microsecond)
	}
	got := turn.result("x")
	want := map[string]float64{VirtioRequests: 4, VirtioRate: 20, VirtioP50: 3000, VirtioP99: 4000, VirtioInterrupts: 3}
	if diff := cmp.Diff(want, got.Metrics); diff != "" || got.Status != report.Pass {
		t.Errorf("%s %s", got.Status, diff)
	}
}

// TestVirtioTogetherStock: without locks both sides would be disturbed.
func TestVirtioTogetherStock(t *testing.T) {
	env := envOf(Virtio, newVirtioGuest())
	env.Job = &job.Job{Driver: job.Stock}
	var c report.Case
	env.Emit = func(e job.Event) { c = *e.Case }
	(&virtioRun{env: env}).together(t.Context())
	if c.Status != report.Skip || c.Reason == "" {
		t.Errorf("%+v", c)
	}
}
