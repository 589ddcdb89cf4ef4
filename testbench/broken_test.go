package testbench

import (
	"slices"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/rulebook"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
)

// TestFailBroken: a rule that may do harm fails the suites in which Linux has broken
// it; all others are findings only.
func TestFailBroken(t *testing.T) {
	of := func(severity string, ee int, suites ...string) finding.Finding {
		return finding.Finding{ID: "BAM-LOCK-012", Severity: severity, Driver: "qce_dma_prep_sgs", Title: "too early", First: "#7",
			Count: 3, By: []finding.Actor{{EE: ee, Count: 2}, {EE: 5, Count: 1}}, Suites: suites}
	}
	unruly, err := antagonist.ParsePolicy("between,mode=nolock")
	if err != nil {
		t.Fatal(err)
	}
	orderly, err := antagonist.ParsePolicy("between")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		found finding.Finding
		with  antagonist.Policy
		want  string // suites that fail
	}{
		{"error", of("error", 0, "probe", "kcapi"), antagonist.Policy{}, "probe kcapi"},
		{"error beside an antagonist", of("error", 0, "probe"), orderly, "probe"},
		{"at the end", of("error", 0), antagonist.Policy{}, "kcapi"},
		{"warning", of("warning", 0, "probe"), antagonist.Policy{}, ""},
		{"the other side's", of("error", 1, "probe"), antagonist.Policy{}, ""},
		{"of a victim", of("error", 0, "probe"), unruly, ""},
	} {
		r := &run{}
		r.Model.Antagonists = []antagonist.Policy{test.with}
		for _, name := range []string{"probe", "kcapi", "contention"} {
			r.report.Suites = append(r.report.Suites, report.Suite{Name: name, Ended: true, Cases: []report.Case{{Status: report.Pass}}})
		}
		r.failBroken([]finding.Finding{test.found}, []bootPlan{
			{kind: suites.BootSelftest, suites: []string{"probe"}}, {kind: suites.BootPhases, suites: []string{"contention"}},
			{kind: suites.BootNoTests, suites: []string{"kcapi"}}})
		var failed []string
		for _, s := range r.report.Suites {
			if !s.Failed() {
				continue
			}
			failed = append(failed, s.Name)
			words := s.Cases[len(s.Cases)-1].Detail
			for _, w := range []string{"BAM-LOCK-012, 2 times", "too early", "#7", "qce_dma_prep_sgs"} {
				if !strings.Contains(words, w) {
					t.Errorf("%s: %q does not say %q", test.name, words, w)
				}
			}
		}
		if got := strings.Join(failed, " "); got != test.want {
			t.Errorf("%s: suites %q fail, want %q", test.name, got, test.want)
		}
	}
}

// TestFindingsInOrder: the cause stands first, whatever its name is.
func TestFindingsInOrder(t *testing.T) {
	by := []finding.Actor{{EE: 0, Count: 1}}
	r := &run{report: report.Run{Suites: []report.Suite{{Name: "probe"}}}}
	r.failBroken([]finding.Finding{
		{ID: "BAM-LOCK-013", Severity: "error", Seq: 161, By: by, Suites: []string{"probe"}},
		{ID: "QCE-DATA-002", Severity: "error", Seq: 150, By: by, Suites: []string{"probe"}},
	}, []bootPlan{{kind: suites.BootSelftest, suites: []string{"probe"}}})
	if cases := r.report.Suites[0].Cases; len(cases) != 1 || !strings.HasPrefix(cases[0].Detail, "QCE-DATA-002") {
		t.Errorf("%+v", cases)
	}
}

// TestKnownErrors: what a driver is known for is an expected failure, for the driver and
// in the suite that it is known of, and only if there is nothing else.
func TestKnownErrors(t *testing.T) {
	const known, unknown = "QCE-LOCK-001", "BAM-LOCK-013"
	for _, test := range []struct {
		name, driver, suite string
		ids                 []string
		want                report.Status
	}{
		{"stock driver", job.Stock, "virtio-crypto", []string{known}, report.XFail},
		{"a driver that locks", job.Series, "virtio-crypto", []string{known}, report.Fail},
		{"and another one", job.Stock, "virtio-crypto", []string{known, unknown}, report.Fail},
		{"192 bits", job.Series, "kcapi", []string{"QCE-KEY-006"}, report.XFail},
		{"192 bits elsewhere", job.Series, "probe", []string{"QCE-KEY-006"}, report.Fail},
	} {
		r := &run{report: report.Run{Suites: []report.Suite{{Name: test.suite, Ended: true}}}}
		r.Guest.Driver = test.driver
		var found []finding.Finding
		for _, id := range test.ids {
			found = append(found, finding.Finding{ID: id, Severity: "error", By: []finding.Actor{{Count: 1}}, Suites: []string{test.suite}})
		}
		r.failBroken(found, []bootPlan{{suites: []string{test.suite}}})
		cases := r.report.Suites[0].Cases
		if len(cases) != 1 || cases[0].Status != test.want || strings.Contains(cases[0].Detail, known) && test.want == report.Fail && test.driver == job.Stock {
			t.Errorf("%s: %+v", test.name, cases)
		}
	}
	for _, k := range knownErrors {
		for _, id := range k.ids {
			if !slices.ContainsFunc(rulebook.Rules(), func(r *trace.Rule) bool { return r.ID == id && r.Severity == trace.Error }) || k.why == "" {
				t.Errorf("%s: no such rule of severity error, or no reason", id)
			}
		}
	}
}

// TestCutShort: what is left over when a guest goes down in the middle of its kernel's
// self-tests is no mistake; when it has come to the end of them, or hangs, it is one.
func TestCutShort(t *testing.T) {
	left := finding.Finding{ID: "BAM-LOCK-018", Severity: "error", By: []finding.Actor{{Count: 1}}}
	for _, test := range []struct {
		name  string
		plan  bootPlan
		hangs bool
		want  int // cases
	}{
		{"probe alone", bootPlan{kind: suites.BootSelftest, suites: []string{"probe"}}, false, 0},
		{"probe, in which the guest hangs", bootPlan{kind: suites.BootSelftest, suites: []string{"probe"}}, true, 1},
		{"beside virtio", bootPlan{kind: suites.BootVirtio, suites: []string{"virtio-crypto"}}, false, 0},
		{"with the self-tests", bootPlan{kind: suites.BootSelftest, suites: []string{"probe", "selftest"}}, false, 1},
		{"without self-tests", bootPlan{kind: suites.BootNoTests, suites: []string{"kcapi"}}, false, 1},
	} {
		r := &run{}
		for _, name := range test.plan.suites {
			r.report.Suites = append(r.report.Suites, report.Suite{Name: name, Ended: !test.hangs})
		}
		r.failBroken([]finding.Finding{left}, []bootPlan{test.plan})
		if cases := r.report.Suites[len(r.report.Suites)-1].Cases; len(cases) != test.want {
			t.Errorf("%s: %+v", test.name, cases)
		}
	}
}
