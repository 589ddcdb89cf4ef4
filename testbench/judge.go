package testbench

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/report"
)

// caseEnd is the name of the case that a suite has if the guest did not live to
// its end.
const caseEnd = "end of the guest"

// judge turns what the boot left into the report. why says why the guest ended
// before it was through, "" if it was through; stderr is what QEMU had to say.
func (r *run) judge(plan bootPlan, col *collector, con *console, why, stderr string) {
	complaints, fatal := con.complaints()
	if fatal {
		why = "the guest's kernel panicked"
	}
	if failed := col.failure(); failed != "" {
		why = cmp.Or(why, "the guest could not go on")
		why += ": " + failed
	}
	r.foretold = plan.mayCrash(complaints)
	foretold := why != "" && r.foretold
	done := col.end(why, foretold)
	if n := len(done); n > 0 && foretold {
		plan.crashed(&done[n-1], lastWords(why, stderr, con.tail()), complaints)
		why = ""
	}
	for i := range done {
		if s := &done[i]; !s.Ended {
			s.Cases = append(s.Cases, report.Case{Suite: s.Name, Name: caseEnd, Status: report.Fail, Detail: lastWords(why, stderr, con.tail())})
		}
	}
	started := len(done) > 0
	for _, name := range plan.suites {
		if slices.ContainsFunc(done, func(s report.Suite) bool { return s.Name == name }) {
			continue
		}
		s := report.Suite{Name: name, Error: cmp.Or(why, "the guest did not run it")}
		if !started && why != "" {
			s.Cases = []report.Case{{Suite: name, Name: caseEnd, Status: report.Fail, Detail: lastWords(why, stderr, con.tail())}}
			started = true // once is enough
		}
		done = append(done, s)
	}
	r.report.Suites = append(r.report.Suites, done...)
	r.report.Kernel = cmp.Or(col.kernelRelease(), r.report.Kernel)
	if why == "" {
		return // the suites have judged the kernel's log themselves
	}
	r.report.Problems = append(r.report.Problems, why)
	for _, line := range complaints {
		r.report.Problems = append(r.report.Problems, "console: "+line)
	}
}

// lastWords are what a guest left that did not come to its end.
func lastWords(why, stderr string, console []string) string {
	var b strings.Builder
	b.WriteString(why)
	if stderr != "" {
		b.WriteString("\nQEMU said:\n" + stderr)
	}
	if len(console) > 0 {
		b.WriteString("\nThe console's end, all of it is in " + consoleFile + ":\n" + strings.Join(console, "\n"))
	}
	return b.String()
}

// missing adds the suites of boots that were not made, so that nothing that was
// asked for is absent from the report.
func (r *run) missing(boots []bootPlan, why string) {
	for _, b := range boots {
		for _, name := range b.suites {
			if !slices.ContainsFunc(r.report.Suites, func(s report.Suite) bool { return s.Name == name }) {
				r.report.Suites = append(r.report.Suites, report.Suite{Name: name, Error: "not run: " + why})
			}
		}
	}
}

// cause is an error in words for the report.
func cause(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}
