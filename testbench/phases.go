package testbench

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
)

// Limits of a phase. Like those of a boot they are for hangs.
const (
	phaseLimit = 20 * time.Minute // in the guest
	phaseBoots = 16               // of one phase
)

// phasePlan is one phase of a suite: what the guest does, on which hardware, and
// how that is judged.
type phasePlan struct {
	name     string
	hardware string // in words
	expected string // of the driver, in words
	guest    job.Phase
	next     *job.Phase         // after a reboot in its middle; nil: none
	model    model.Config       // beside what is the same in all phases
	again    bool               // boots again for the algorithms that a hang kept from being tried
	patience time.Duration      // with a silent guest; 0: the run's
	skip     string             // why it cannot be carried out; "": it can
	judge    func(*phaseResult) // adds what the host has to say; may be nil
}

// phaseResult is what a phase left.
type phaseResult struct {
	plan     *phasePlan
	ee       int // Linux's
	suite    *report.Suite
	phase    *report.Phase
	faults   cryptoblock.FaultCounts
	found    []finding.Finding
	foretold bool // the kernel's first complaint was the expected one
}

// add adds a case of the host's.
func (p *phaseResult) add(c report.Case) {
	c.Suite, c.Name = p.suite.Name, p.plan.name+"/"+c.Name
	p.suite.Cases = append(p.suite.Cases, c)
}

// phaseSuites are the suites that have phases: their plans, and what is to be
// said at the end.
var phaseSuites = map[string]struct {
	plan  func(r *run) ([]phasePlan, error)
	judge func(r *run, s *report.Suite)
}{
	"contention": {contentionPlan, judgeContention},
	"faults":     {faultsPlan, nil},
}

// phases runs the suites that have several.
func (r *run) phases(ctx context.Context, names []string) error {
	for _, name := range names {
		s, ok := phaseSuites[name]
		if !ok {
			return fmt.Errorf("suite %s has no plan of phases", name)
		}
		plan, err := s.plan(r)
		if err != nil {
			return err
		}
		if plan = chosen(plan, r.Phases); len(plan) == 0 {
			continue
		}
		suite := report.Suite{Name: name, Ended: true}
		for i := range plan {
			if err = r.onePhase(ctx, &suite, &plan[i]); err != nil {
				break
			}
		}
		if err != nil {
			suite.Ended, suite.Error = false, cause(err)
		} else if s.judge != nil {
			s.judge(r, &suite)
		}
		r.report.Suites = append(r.report.Suites, suite)
		if err != nil {
			return err
		}
	}
	return nil
}

// chosen picks the phases that the user wants: all, if he names none.
func chosen(plan []phasePlan, names []string) []phasePlan {
	if len(names) == 0 {
		return plan
	}
	return slices.DeleteFunc(slices.Clone(plan), func(p phasePlan) bool { return !slices.Contains(names, p.name) })
}

// checkPhases refuses names of phases that none of the suites has with this
// driver.
func (c *Config) checkPhases(names []string) error {
	var known []string
	for _, name := range names {
		plan, err := phaseSuites[name].plan(&run{Config: *c})
		if err != nil {
			return err
		}
		for i := range plan {
			known = append(known, plan[i].name)
		}
	}
	for _, name := range c.Phases {
		switch {
		case len(known) == 0:
			return usagef("--phase %s: none of the suites has phases; contention and faults do", name)
		case !slices.Contains(known, name):
			return usagef("--phase: no phase %q with driver %s; there are: %s", name, c.Guest.Driver, strings.Join(known, ", "))
		}
	}
	return nil
}

// onePhase runs a phase on a model of its own and adds what it left.
func (r *run) onePhase(ctx context.Context, suite *report.Suite, plan *phasePlan) error {
	if plan.skip != "" {
		suite.Cases = append(suite.Cases, report.Case{Suite: suite.Name, Name: plan.name, Status: report.Skip, Reason: plan.skip})
		return nil
	}
	start := time.Now()
	locks := newLockBook(r.Guest.Profile)
	config := plan.model
	config.SoC, config.Seed, config.Readings = r.Model.SoC, r.Model.Seed, r.Model.Readings
	config.Integrity = true
	config.Check, config.InFlight, config.Oracle = r.Model.Check, r.Model.InFlight, r.Model.Oracle
	rec := Recording{Origin: fmt.Sprintf("suite %s, phase %s, driver %s, kernel %s", suite.Name, plan.name, r.Guest.Driver, r.guest.Kernel.Version)}
	if r.Record != "" {
		ext := filepath.Ext(r.Record)
		rec.File = strings.TrimSuffix(r.Record, ext) + "-" + suite.Name + "-" + plan.name + ext
	}
	m, err := NewModel(config, rec, locks)
	if err != nil {
		return err
	}
	sub := &run{Config: r.Config, guest: r.guest, model: m, console: r.console}
	sub.Out = filepath.Join(r.Out, suite.Name, plan.name)
	if plan.patience != 0 && (sub.Patience == 0 || plan.patience < sub.Patience) {
		sub.Patience = plan.patience
	}
	boots, err := sub.bootPhase(ctx, suite.Name, plan)
	if closeErr := m.Close(); err == nil {
		err = closeErr
	}

	r.addEngine(m)
	r.report.Problems = append(r.report.Problems, sub.report.Problems...)
	r.report.Kernel = cmp.Or(sub.report.Kernel, r.report.Kernel)
	p := &report.Phase{Suite: suite.Name, Name: plan.name, Hardware: plan.hardware, Expected: plan.expected,
		Boots: boots, Others: m.Antagonists(), Integrity: m.Integrity(), Locks: locks.uses(), Findings: map[string]uint64{}}
	for _, f := range m.Findings.Findings() {
		p.Findings[f.ID] = f.Count
	}
	first := len(suite.Cases)
	addSuites(suite, plan.name, sub.report.Suites)
	p.Linux = sides(suite.Cases[first:])
	if p.ByTcrypt = byTcrypt(suite.Cases[first:]); p.ByTcrypt {
		p.Hardware += "; Linux's requests are runs of tcrypt"
	}
	p.Seconds = time.Since(start).Seconds()
	result := phaseResult{plan: plan, ee: r.Guest.Profile.EE, suite: suite, phase: p, faults: m.Block.FaultCounts(), found: m.Findings.Findings(), foretold: sub.foretold}
	p.Outcome = outcome(p)
	if plan.judge != nil && err == nil {
		plan.judge(&result)
	}
	r.report.Phases = append(r.report.Phases, *p)
	return err
}

// bootPhase boots the guest for a phase: once, or, where the driver may hang,
// until each algorithm was tried.
func (r *run) bootPhase(ctx context.Context, suite string, plan *phasePlan) (boots int, err error) {
	guest := plan.guest
	for {
		if err := r.boot(ctx, bootPlan{kind: suites.BootPhases, suites: []string{suite}, phase: &guest, title: plan.name, next: plan.next}); err != nil {
			return boots, err
		}
		boots++
		if !plan.again || boots == phaseBoots {
			return boots, nil
		}
		left := untried(r.report.Suites)
		if len(left) == 0 || len(left) == len(guest.Algorithms) {
			return boots, nil
		}
		guest.Requests = max(1, plan.guest.Requests*len(left)/max(len(left)+len(tried(r.report.Suites)), 1))
		guest.Algorithms = left
	}
}

// Beginnings of the names of the guest's cases.
const (
	caseOpen     = "open/"
	caseRequests = "requests/"
)

// tried lists the algorithms that had their turn, by driver.
func tried(done []report.Suite) map[string]bool {
	list := map[string]bool{}
	for i := range done {
		for _, c := range done[i].Cases {
			if strings.HasPrefix(c.Name, caseRequests) || strings.HasPrefix(c.Name, caseOpen) {
				list[c.Algorithm] = true
			}
		}
	}
	return list
}

// untried lists the algorithms that had no turn before the driver hung. A guest
// that reported none at all is not worth another boot.
func untried(done []report.Suite) (left []string) {
	had := tried(done)
	if len(had) == 0 {
		return nil
	}
	for _, a := range suites.RequiredAlgorithms() {
		if !had[a.Driver] {
			left = append(left, a.Driver)
		}
	}
	return left
}

// addSuites adds what the boots of a phase left, each case under the phase's
// name.
func addSuites(to *report.Suite, phase string, boots []report.Suite) {
	for i, b := range boots {
		for _, c := range b.Cases {
			name := phase
			if i > 0 {
				name = fmt.Sprintf("%s#%d", phase, i+1)
			}
			c.Name = name + "/" + c.Name
			to.Cases = append(to.Cases, c)
		}
		to.Seconds += b.Seconds
		to.Ended = to.Ended && b.Ended
		if b.Error != "" {
			to.Error = strings.TrimPrefix(to.Error+"; "+phase+": "+b.Error, "; ")
		}
	}
}

// byTcrypt reports whether the guest's requests were runs of tcrypt.
func byTcrypt(cases []report.Case) bool {
	return slices.ContainsFunc(cases, func(c report.Case) bool { return c.Metrics[job.MetricTcrypt] != 0 })
}

// sides adds up the guest's counts, in the order of the algorithms.
func sides(cases []report.Case) []report.Side {
	counts := map[string]*report.Side{}
	for _, c := range cases {
		if !strings.Contains(c.Name, "/"+caseRequests) {
			continue
		}
		s := counts[c.Algorithm]
		if s == nil {
			s = &report.Side{Algorithm: c.Algorithm}
			counts[c.Algorithm] = s
		}
		s.Requests += uint64(c.Metrics[job.MetricRequests])
		s.Corrupted += uint64(c.Metrics[job.MetricCorrupted])
		s.Failed += uint64(c.Metrics[job.MetricFailed])
		s.Hung += uint64(c.Metrics[job.MetricHung])
		if s.First == "" {
			s.First, _, _ = strings.Cut(strings.TrimPrefix(c.Detail, "first: "), "\n")
		}
	}
	var list []report.Side
	for _, a := range suites.EngineAlgorithms() {
		if s := counts[a.Driver]; s != nil {
			list = append(list, *s)
		}
	}
	return list
}

// outcome says in words what came of Linux's requests.
func outcome(p *report.Phase) string {
	var all report.Side
	for _, s := range p.Linux {
		all.Requests += s.Requests
		all.Corrupted += s.Corrupted
		all.Failed += s.Failed
		all.Hung += s.Hung
	}
	var bad []string
	for _, w := range []struct {
		n    uint64
		what string
	}{{all.Corrupted, "with a wrong result"}, {all.Failed, "failed"}, {all.Hung, "without an end"}} {
		if w.n > 0 {
			bad = append(bad, fmt.Sprintf("%d %s", w.n, w.what))
		}
	}
	if len(bad) == 0 {
		return fmt.Sprintf("%d requests, all right", all.Requests)
	}
	return fmt.Sprintf("of %d requests %s", all.Requests+all.Failed+all.Hung, strings.Join(bad, ", "))
}
