package testbench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
)

// caseFindings is the case that Linux's driver has broken a rule.
const caseFindings = "findings"

// failBroken makes a failure of each rule whose breaking may do harm, and that
// Linux has broken in the suites of ordinary boots: a driver that gets along with it
// today is wrong all the same. What works, if not by the rules, is a finding only.
func (r *run) failBroken(found []finding.Finding, boots []bootPlan) {
	names := ordinary(boots)
	if len(names) == 0 || !r.othersBehave() {
		return // who has unruly company breaks rules as its victim
	}
	words, known := map[string][]string{}, map[string][]string{}
	for _, f := range inOrder(found) {
		n := f.CountOf(r.report.EE)
		if n == 0 || f.Severity != trace.Error.String() {
			continue
		}
		in := slices.DeleteFunc(slices.Clone(f.Suites), func(s string) bool { return !slices.Contains(names, s) })
		if len(in) == 0 { // it was found at the end
			if r.cutShort(boots) {
				continue
			}
			in = names[len(names)-1:]
		}
		for _, s := range in {
			if why := r.knownError(f.ID, s); why != "" {
				known[s] = append(known[s], f.ID+": "+why)
			} else {
				words[s] = append(words[s], brokenRule(f, n))
			}
		}
	}
	for i := range r.report.Suites {
		s := &r.report.Suites[i]
		c := report.Case{Suite: s.Name, Name: caseFindings, Status: report.Fail, Detail: strings.Join(words[s.Name], "\n")}
		switch reasons := known[s.Name]; {
		case c.Detail != "":
		case len(reasons) > 0:
			c.Status, c.Reason = report.XFail, strings.Join(reasons, "; ")
		default:
			continue
		}
		s.Cases = append(s.Cases, c)
	}
}

// knownErrors are rules of severity error that drivers are known to break.
var knownErrors = []struct {
	driver string // "": either
	suite  string // "": any
	ids    []string
	why    string
}{
	{"", "kcapi", []string{"QCE-KEY-006"}, "the driver gives a key of 192 bits to the engine, which has no such keys, from the second request on (datasheet §28)"},
	{job.Stock, "", []string{"QCE-LOCK-001", "QCE-LOCK-004", "QCE-CFG-001", "QCE-CFG-002", "QCE-CFG-011",
		"EE-RESULT-001", "EE-RESULT-002", "EE-RESULT-003", "EE-RESULT-004", "EE-RESULT-005"}, noLock},
}

// knownError is why a driver is expected to break a rule in a suite, "" if it is not.
func (r *run) knownError(id, suite string) string {
	for _, k := range knownErrors {
		if (k.driver == "" || k.driver == r.Guest.Driver) && (k.suite == "" || k.suite == suite) && slices.Contains(k.ids, id) {
			return k.why
		}
	}
	return ""
}

// inOrder sorts findings of one model by when each rule was first broken: the cause
// stands before what came of it.
func inOrder(found []finding.Finding) []*finding.Finding {
	var list []*finding.Finding
	for i := range found {
		list = append(list, &found[i])
	}
	slices.SortStableFunc(list, func(a, b *finding.Finding) int { return cmp.Compare(a.Seq, b.Seq) })
	return list
}

// cutShort reports whether the last guest went down while its kernel may have been
// testing algorithms, as it does behind the suite probe: a request that is left over,
// and the lock that it holds, is no mistake then.
func (r *run) cutShort(boots []bootPlan) bool {
	boots = slices.DeleteFunc(slices.Clone(boots), func(b bootPlan) bool { return b.kind == suites.BootPhases })
	last := boots[len(boots)-1]
	if last.kind != suites.BootSelftest && last.kind != suites.BootVirtio || slices.Contains(last.suites, "selftest") {
		return false
	}
	name := last.suites[len(last.suites)-1]
	return slices.ContainsFunc(r.report.Suites, func(s report.Suite) bool { return s.Name == name && s.Ended })
}

// othersBehave reports whether all antagonists keep to the lock.
func (r *run) othersBehave() bool {
	return !slices.ContainsFunc(r.Model.Antagonists, func(p antagonist.Policy) bool {
		return p.When != antagonist.Off && p.How != antagonist.Locked
	})
}

// brokenRule is a finding of which n are Linux's, in words.
func brokenRule(f *finding.Finding, n uint64) string {
	where := ""
	if f.Driver != "" {
		where = "; likely in " + f.Driver
	}
	return fmt.Sprintf("%s, %d times: %s; first: %s%s", f.ID, n, f.Title, f.First, where)
}
