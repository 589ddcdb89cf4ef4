package finding

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/trace"
)

func TestLog(t *testing.T) {
	l := NewLog(func(e *trace.Event) string {
		s := fmt.Sprintf("%d %s", e.Seq, e.Kind)
		if e.Op != nil {
			s += " " + e.Op.Alg
		}
		return s
	})
	late := &trace.Rule{ID: "BAM-LOCK-003", Title: "late", Severity: trace.Warning, Source: "§8"}
	early := &trace.Rule{ID: "BAM-FIFO-001", Title: "early", Severity: trace.Error, Driver: "bam_start_dma"}
	op := trace.Op{Alg: "cbc-aes"}
	seq := uint64(0)
	emit := func(k trace.Kind, r *trace.Rule, o *trace.Op) {
		seq++
		l.Emit(&trace.Event{Seq: seq, Kind: k, Rule: r, Op: o})
	}
	emit(trace.Anomaly, late, nil)
	emit(trace.OpStart, nil, &op)
	op.Alg = "gone" // the model reuses its Op: the log must have copied it
	for range historyLen - 2 {
		emit(trace.RegWrite, nil, nil)
	}
	l.Begin("kcapi")
	emit(trace.Anomaly, late, nil)
	emit(trace.Anomaly, late, nil)
	emit(trace.Anomaly, early, nil)
	l.Begin("tcrypt")
	emit(trace.Anomaly, late, nil)

	got := l.Findings()
	if len(got) != 2 || len(got[0].History) != historyLen {
		t.Fatalf("got %d findings, %+v", len(got), got)
	}
	for i := range got {
		got[i].History = nil
	}
	want := []Finding{
		{ID: "BAM-FIFO-001", Title: "early", Severity: "error", Driver: "bam_start_dma", Count: 1, By: []Actor{{EE: 0, Count: 1}}, Suites: []string{"kcapi"}, First: "35 anomaly", Seq: 35},
		{ID: "BAM-LOCK-003", Title: "late", Severity: "warning", Source: "§8", Count: 4, By: []Actor{{EE: 0, Count: 4}}, Suites: []string{"kcapi", "tcrypt"}, First: "1 anomaly", Seq: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	// 34 events stood before it, the newest 32 are kept: from the third on,
	// where the operation's start is the one before.
	h := l.Findings()[0].History
	if h[0] != "3 reg-write" || h[historyLen-1] != "34 anomaly" {
		t.Errorf("history runs from %q to %q, want from 3 reg-write to 34 anomaly", h[0], h[historyLen-1])
	}
}

func TestHistoryCopiesOps(t *testing.T) {
	l := NewLog(func(e *trace.Event) string {
		if e.Op == nil {
			return ""
		}
		return e.Op.Alg
	})
	op := trace.Op{Alg: "cbc-aes"}
	l.Emit(&trace.Event{Kind: trace.OpStart, Op: &op})
	op.Alg = "changed"
	l.Emit(&trace.Event{Kind: trace.Anomaly, Rule: &trace.Rule{ID: "X"}})
	if got := l.Findings()[0].History; len(got) != 1 || got[0] != "cbc-aes" {
		t.Errorf("history %q, want the operation as it was", got)
	}
}

// Both sides stand apart, however much one of them did in between.
func TestSides(t *testing.T) {
	l := NewLog(func(e *trace.Event) string { return fmt.Sprintf("%d EE%d", e.Seq, e.By.EE) })
	rule := &trace.Rule{ID: "X"}
	emit := func(seq int, ee uint8, r *trace.Rule) {
		e := trace.Event{Seq: uint64(seq), Kind: trace.RegWrite, By: trace.Master{EE: ee}}
		if r != nil {
			e.Kind, e.Rule = trace.Anomaly, r
		}
		l.Emit(&e)
	}
	emit(1, 1, nil)
	for seq := range 2 * historyLen {
		emit(seq+2, 0, nil)
	}
	const end = 2*historyLen + 2
	emit(end, 1, rule)
	emit(end+1, 0, rule)

	f := l.Findings()[0]
	if diff := cmp.Diff([]Actor{{0, 1}, {1, 1}}, f.By); diff != "" {
		t.Errorf("by (-want +got):\n%s", diff)
	}
	if len(f.Sides) != 2 {
		t.Fatalf("%d sides, want 2", len(f.Sides))
	}
	if h := f.Sides[0]; h.EE != 0 || len(h.History) != historyLen || h.History[historyLen-1] != fmt.Sprintf("%d EE0", end-1) {
		t.Errorf("side of EE 0: %+v", h)
	}
	if diff := cmp.Diff(Side{EE: 1, History: []string{"1 EE1"}}, f.Sides[1]); diff != "" {
		t.Errorf("side of EE 1 (-want +got):\n%s", diff)
	}
	if h := f.History; len(h) != historyLen || h[0] != fmt.Sprintf("%d EE0", end-historyLen) {
		t.Errorf("history of all: %q", h)
	}
}

// A register that the model does not have is one finding, with all accesses to
// it counted: the event of the first one stands before or behind the report.
func TestRegisters(t *testing.T) {
	l := NewLog(func(e *trace.Event) string { return fmt.Sprintf("%v+%#x", e.Block, e.Off) })
	rule := &trace.Rule{ID: "X", PerRegister: true}
	seq := uint64(0)
	emit := func(k trace.Kind, block trace.Block, off uint32) {
		seq++
		l.Emit(&trace.Event{Seq: seq, Kind: k, Block: block, Off: off, Rule: rule})
	}
	emit(trace.RegWrite, trace.BAM, 0x50) // some other register
	emit(trace.RegWrite, trace.QCE, 0x50)
	emit(trace.Anomaly, trace.QCE, 0x50)
	emit(trace.RegWrite, trace.QCE, 0x50)
	emit(trace.RegRead, trace.BAM, 0x50)
	emit(trace.Anomaly, trace.BAM, 0x60)
	emit(trace.RegRead, trace.BAM, 0x60)
	emit(trace.RegRead, trace.BAM, 0x60)
	want := []Register{{First: "QCE+0x50", Writes: 2}, {First: "BAM+0x60", Reads: 2}}
	if diff := cmp.Diff(want, l.Findings()[0].Registers, cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".block" || p.Last().String() == ".off"
	}, cmp.Ignore()), cmp.AllowUnexported(Register{})); diff != "" {
		t.Errorf("registers (-want +got):\n%s", diff)
	}
}
