package report

import (
	"slices"
	"time"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/integrity"
)

// Run is the result of one run of the test bench.
type Run struct {
	Started     time.Time           `json:"started"`
	Seconds     float64             `json:"seconds"`
	Driver      string              `json:"driver"` // "stock" or "series"
	SoC         string              `json:"soc"`
	EE          int                 `json:"ee"`     // Linux's execution environment
	Kernel      string              `json:"kernel"` // uname -r of the guest
	QEMU        string              `json:"qemu"`   // version
	Seed        int64               `json:"seed"`
	Suites      []Suite             `json:"suites"`
	Attestation []attest.Row        `json:"attestation"`
	Findings    []finding.Finding   `json:"findings"`
	Antagonists []antagonist.Counts `json:"antagonists,omitempty"` // the other users of the engine
	Integrity   []integrity.Book    `json:"integrity,omitempty"`   // what each execution environment wanted from the engine, against what it got
	Phases      []Phase             `json:"phases,omitempty"`      // of suites that have several
	Oracle      *Oracle             `json:"oracle,omitempty"`      // nil: there was none
	Ways        []Way               `json:"ways,omitempty"`        // to an engine, compared
	Problems    []string            `json:"problems,omitempty"`    // why the run failed apart from test cases: a panic, an unmet requirement
}

// Suite is a group of cases that ran one after the other.
type Suite struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"` // wall-clock time on the host
	Cases   []Case  `json:"cases"`
	// Ended is false when the guest died, hung or was stopped inside the suite.
	Ended bool   `json:"ended"`
	Error string `json:"error,omitempty"` // what went wrong with the suite as a whole
}

// Bad reports whether the outcome makes a run fail.
func (s Status) Bad() bool { return s == Fail || s == XPass || s == Timeout }

// Count is a tally of outcomes.
type Count struct {
	Pass, Fail, XFail, Skip int
}

// Tally counts the outcomes of cases.
func Tally(cases []Case) Count {
	var c Count
	for i := range cases {
		switch s := cases[i].Status; {
		case s.Bad():
			c.Fail++
		case s == XFail:
			c.XFail++
		case s == Skip:
			c.Skip++
		default:
			c.Pass++
		}
	}
	return c
}

// Failed reports whether the suite has a failure, died, or ran nothing at all.
func (s *Suite) Failed() bool {
	return !s.Ended || s.Error != "" || Tally(s.Cases).Fail > 0 || !slices.ContainsFunc(s.Cases, func(c Case) bool { return c.Status != Skip })
}

// Failed reports whether the run has to be called a failure.
func (r *Run) Failed() bool {
	if len(r.Problems) > 0 || len(r.Suites) == 0 {
		return true
	}
	for i := range r.Suites {
		if r.Suites[i].Failed() {
			return true
		}
	}
	return false
}
