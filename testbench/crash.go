package testbench

import (
	"slices"
	"strings"

	"github.com/qcemu/qcemu/report"
)

// mayCrash reports whether a guest whose kernel complains like this may die of
// it: in phases in which drivers are known to bring the kernel down, with these
// very words at first.
func (p *bootPlan) mayCrash(complaints []string) bool {
	first := slices.IndexFunc(complaints, func(line string) bool { return !isFailedSelftest(line) })
	return p.phase != nil && first >= 0 && p.phase.Expected.Covers(complaints[first])
}

// lifeSign is what a line on the console is good for: a sign of life, unless the
// kernel has said that it crashes as expected. What it says afterwards, of stalled
// processors say, it can say for ever.
func (p *bootPlan) lifeSign(con *console, alive func()) func() {
	return func() {
		if lines, _ := con.complaints(); !p.mayCrash(lines) {
			alive()
		}
	}
}

// failedSelftest is where the kernel warns of a self-test that fails, which is
// no more than a wrong result.
const failedSelftest = "crypto/testmgr.c"

func isFailedSelftest(complaint string) bool { return strings.Contains(complaint, failedSelftest) }

// crashed makes a result of the guest's death, in the place of what its suite
// would have said of the kernel's log.
func (p *bootPlan) crashed(s *report.Suite, words string, complaints []string) {
	s.Ended, s.Error = true, ""
	s.Cases = append(s.Cases, report.Case{Suite: s.Name, Name: "kernel-log", Status: report.XFail, Reason: p.phase.Expected.Crash,
		Detail: strings.Join(complaints, "\n") + "\n" + words})
}
