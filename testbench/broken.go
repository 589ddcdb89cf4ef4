package testbench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/report"
)

// caseFindings is the case that Linux's driver has broken a rule.
const caseFindings = "findings"

// failBroken makes a failure of each rule whose breaking may do harm, and that
// Linux has broken in the suites of ordinary boots: a driver that gets along with it
// today is wrong all the same. What works, if not by the rules, is a finding only.
func (r *run) failBroken(found []finding.Finding, suites []string) {
	if len(suites) == 0 || !r.othersBehave() {
		return // who has unruly company breaks rules as its victim
	}
	words := map[string][]string{}
	for _, f := range inOrder(found) {
		n := f.CountOf(r.report.EE)
		if n == 0 || f.Severity != trace.Error.String() {
			continue
		}
		in := slices.DeleteFunc(slices.Clone(f.Suites), func(s string) bool { return !slices.Contains(suites, s) })
		if len(in) == 0 { // it was found at the end
			in = suites[len(suites)-1:]
		}
		for _, s := range in {
			words[s] = append(words[s], brokenRule(f, n))
		}
	}
	for i := range r.report.Suites {
		s := &r.report.Suites[i]
		if list := words[s.Name]; len(list) > 0 {
			s.Cases = append(s.Cases, report.Case{Suite: s.Name, Name: caseFindings, Status: report.Fail, Detail: strings.Join(list, "\n")})
		}
	}
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
