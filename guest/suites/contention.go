package suites

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// contention keeps the engine busy from several threads, while the host lets
// other execution environments use it too. Each result is compared with a
// reference in the guest. What it does is a phase of the host's plan.
type contention struct{}

func (contention) Name() string { return "contention" }
func (contention) About() string {
	return "all algorithms at once while other execution environments use the engine too"
}
func (contention) Boot() Boot { return BootPhases }

// Run runs the suite.
func (contention) Run(ctx context.Context, env *Env) error {
	return runPhase(ctx, env, job.Phase{Requests: 2000, Threads: 4})
}

// runPhase runs the phase of the job, or else the one given.
func runPhase(ctx context.Context, env *Env, phase job.Phase) error {
	if env.Job.Phase != nil {
		phase = *env.Job.Phase
	}
	if phase.Requests <= 0 || phase.Threads <= 0 {
		return fmt.Errorf("a phase needs requests and threads, not %d and %d", phase.Requests, phase.Threads)
	}
	algs, registered, err := phaseTarget(phase).find(env.Kernel)
	if err != nil {
		return err
	}
	version, err := ParseVersion(env.Kernel.Release())
	if err != nil {
		return err
	}
	since, err := env.Kernel.Mark()
	if err != nil {
		return err
	}
	p := &phaseRun{env: env, phase: phase, open: openClient, perOpen: perClient, write: writeSysfs, hang: hangLimit(phase.Expected), since: since}
	masked := false
	for _, a := range algs {
		_, present := byDriver(registered, a.Driver)
		c := report.Case{Name: "open/" + a.Driver, Algorithm: a.Driver}
		if judgeOpen(&c, openOnce(a), present, version); c.Status != report.Pass {
			masked = masked || c.Status == report.Skip
			env.Report(c)
			continue
		}
		p.algs = append(p.algs, a)
	}
	if len(p.algs) == 0 && masked {
		restore, err := p.byTcrypt(algs, registered)
		if err != nil {
			return err
		}
		defer restore()
	}
	if len(p.algs) == 0 {
		return nil
	}
	if phase.Beside == job.BesideReboot {
		return p.reboot(ctx)
	}
	return p.run(ctx)
}

// phaseTarget is what a phase aims at.
func phaseTarget(p job.Phase) target {
	var t target
	for _, name := range p.Algorithms {
		if a, ok := AlgorithmByDriver(name); ok {
			t = append(t, a)
		}
	}
	return t
}

func writeSysfs(name, value string) error { return os.WriteFile(name, []byte(value), 0) }

// How long the engine may serve nobody before the requests that wait for it are
// given up: far longer than any request takes, even on a machine that stands still
// for a while, unless a hang is what is expected.
const (
	hangAfter    = time.Minute
	hangExpected = 10 * time.Second
	hangInCrash  = 30 * time.Second // where the kernel is expected to die

	besideAfter = 5 * time.Minute // for what has begun beside a load, such as a run of tcrypt
)

func hangLimit(e job.Expected) time.Duration {
	switch {
	case e.Crash != "":
		return hangInCrash
	case e.Hung != "":
		return hangExpected
	}
	return hangAfter
}

// phaseRun is one run of a phase.
type phaseRun struct {
	env   *Env
	phase job.Phase
	algs  []EngineAlgorithm
	open  func(a EngineAlgorithm, d *draws) (client, error)
	write func(name, value string) error // into a file of sysfs
	hang  time.Duration
	since Mark // the phase's begin in the kernel's log

	perOpen int  // requests with one key
	tcrypt  bool // a request is a run of tcrypt
}

// run keeps the engine busy and reports each algorithm's requests.
func (p *phaseRun) run(ctx context.Context) error {
	groups := [][]EngineAlgorithm{p.algs}
	if p.phase.InTurn {
		groups = nil
		for _, a := range p.algs {
			groups = append(groups, []EngineAlgorithm{a})
		}
	}
	for i, group := range groups {
		l := newLoad(p, group, p.phase.Requests/len(groups), uint64(i))
		err := p.load(ctx, l)
		for _, a := range group {
			p.report(l, a)
		}
		if errors.Is(err, errHung) {
			return nil // the engine serves nobody any more
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// load runs a load and what is to happen beside it.
func (p *phaseRun) load(ctx context.Context, l *load) error {
	beside, ok := besides[p.phase.Beside]
	if !ok {
		return fmt.Errorf("nothing known of %q to happen beside a load", p.phase.Beside)
	}
	if beside == nil {
		return l.run(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan report.Case, 1)
	l.more.Store(true)
	go func() {
		defer l.more.Store(false)
		done <- beside(ctx, p, l)
	}()
	err := l.run(ctx)
	cancel() // what happens beside ends as soon as it can
	limit := besideAfter
	if err != nil {
		limit = p.hang // the engine serves nobody there either
	}
	select {
	case c := <-done:
		p.env.Report(c)
	case <-time.After(limit):
		if err == nil {
			err = errHung
		}
		c := report.Case{Name: p.phase.Beside, Status: report.Timeout,
			Detail: fmt.Sprintf("not through %v after the load's end", limit)}
		p.excuse(&c)
		p.env.Report(c)
	}
	return err
}

// report reports the requests of one algorithm, since the last report of it.
func (p *phaseRun) report(l *load, a EngineAlgorithm) {
	n, what := l.take(a)
	p.reportCount(a, n, what)
}

// reportCount reports the requests of one algorithm in one stage.
func (p *phaseRun) reportCount(a EngineAlgorithm, n *requestCount, what string) {
	c := report.Case{Name: what + "/" + a.Driver, Algorithm: a.Driver, Metrics: map[string]float64{
		job.MetricRequests: float64(n.requests), job.MetricCorrupted: float64(n.corrupted),
		job.MetricFailed: float64(n.failed), job.MetricHung: float64(n.hung),
	}}
	if p.tcrypt {
		c.Metrics[job.MetricTcrypt] = 1
	}
	e := p.phase.Expected
	if what == stageAfter {
		if n.nothing() {
			return // there was nobody left to try it
		}
		if p.foretold() {
			e.Corrupted, e.Failed, e.Hung = e.Crash, e.Crash, e.Crash
		}
	}
	judgeCount(&c, n, e)
	p.env.Report(c)
}

// judgeCount makes an outcome of the counts. The case is an expected failure if
// everything that went wrong was expected to.
func judgeCount(c *report.Case, n *requestCount, e job.Expected) {
	c.Status, c.Detail = report.Pass, n.first
	if n.nothing() {
		c.Status, c.Detail = report.Fail, "nothing was tried"
		if n.late {
			c.Status, c.Detail, c.Reason = report.Skip, "", "the engine served nobody any more before its turn"
		}
		return
	}
	for _, w := range []struct {
		count int
		what  string
		why   string
	}{{n.corrupted, "results wrong", e.Corrupted}, {n.failed, "errors", e.Failed}, {n.hung, "requests without an end", e.Hung}} {
		if w.count == 0 {
			continue
		}
		if w.why == "" {
			c.Status, c.Reason = report.Fail, ""
		} else if c.Status != report.Fail {
			c.Status, c.Reason = report.XFail, cmp.Or(c.Reason, w.why)
		}
		c.Detail += fmt.Sprintf("\n%d of %d: %s", w.count, n.requests+n.failed+n.hung, w.what)
	}
}
