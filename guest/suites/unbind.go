package suites

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/qcemu/qcemu/report"
)

// unbind takes a device from its driver in the middle of requests, and gives it
// back. Nothing in the kernel keeps a user from doing so: it is up to the
// drivers to get along.
func (p *phaseRun) unbind(ctx context.Context, l *load, name, driver string) (c report.Case) {
	c = report.Case{Name: name, Status: report.Pass}
	device, err := boundDevice(p.env.Kernel, driver)
	if err != nil {
		failf(&c, "%v", err)
		return c
	}
	if !l.midway(ctx, p.phase.Requests/4) {
		failf(&c, "the load was over before")
		return c
	}
	// To report takes time, and has to be done before: the kernel may die at once.
	counts, stage := l.begin(stageUntil)
	for _, a := range p.algs {
		p.reportCount(a, counts[a.Driver], stage)
	}
	counts, stage = l.begin(stageAfter)
	for _, a := range p.algs {
		if n := counts[a.Driver]; n.wrong() {
			p.reportCount(a, n, stage)
		}
	}
	defer p.excuse(&c)
	for _, what := range []string{"unbind", "bind"} {
		p.env.Progress("%s %s", what, driver)
		if err := p.patiently(func() error { return p.write(path.Join(driverDir, driver, what), device) }); err != nil {
			failf(&c, "%s %s: %v", what, driver, err)
			return c
		}
	}
	if err := p.back(); err != nil {
		failf(&c, "%v", err)
	}
	return c
}

// excuse makes an expected failure of what went wrong when the kernel had to
// crash, and says itself that it does.
func (p *phaseRun) excuse(c *report.Case) {
	if c.Status != report.Pass && p.foretold() {
		c.Status, c.Reason = report.XFail, p.phase.Expected.Crash
	}
}

// foretold reports whether the kernel's first complaint in this phase is the one
// to be expected.
func (p *phaseRun) foretold() bool {
	lines, err := p.env.Kernel.LogSince(p.since)
	bad := Complaints(lines)
	return err == nil && len(bad) > 0 && p.phase.Expected.Covers(bad[0].Text)
}

// errStuck says that the kernel does not return from a call.
var errStuck = errors.New("does not return")

// patiently calls f, which may get stuck in the kernel, out of reach of signals.
func (p *phaseRun) patiently(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(p.hang):
		return fmt.Errorf("%w within %v", errStuck, p.hang)
	}
}
