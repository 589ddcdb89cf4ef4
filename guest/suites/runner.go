package suites

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// Runner runs suites one after the other inside the guest.
type Runner struct {
	Job    *job.Job
	Kernel Kernel
	Exec   Exec
	OutDir string // for artifacts, with a folder for each suite below
	Emit   func(job.Event)
	// Say prints a line on the console.
	Say func(format string, args ...any)
	// Blocked makes the kernel log its blocked tasks (SysRq w).
	Blocked func()
	// Grace is how long a suite may take to return after its time is over.
	// Zero: ten seconds.
	Grace time.Duration
}

// Names of the cases that the runner itself reports in each suite.
const (
	caseComplete  = "complete"   // the suite came to its end in time
	caseKernelLog = "kernel-log" // the kernel did not complain meanwhile
)

// Run runs the job's suites. A suite that does not return is given up, and with
// it the rest: what it waits for is most likely the one engine that the others
// need as well.
func (r *Runner) Run(ctx context.Context) {
	for i, name := range r.Job.Suites {
		s, ok := ByName(name)
		if !ok {
			r.report(name, report.Case{Name: caseComplete, Status: report.Fail,
				Detail: fmt.Sprintf("the guest's init has no suite %q: it is older than the host's program", name)})
			continue
		}
		if r.suite(ctx, s) {
			continue
		}
		for _, rest := range r.Job.Suites[i+1:] {
			r.report(rest, report.Case{Name: caseComplete, Status: report.Skip, Reason: "suite " + name + " hung before"})
		}
		return
	}
}

func (r *Runner) report(suite string, c report.Case) {
	c.Suite = suite
	r.Emit(job.Event{Type: job.CaseDone, Suite: suite, Case: &c})
}

// suite runs one suite and says whether the guest is fit to go on.
func (r *Runner) suite(ctx context.Context, s Suite) bool {
	name := s.Name()
	r.Say("suite %s", name)
	r.Emit(job.Event{Type: job.SuiteBegin, Suite: name})
	defer r.Emit(job.Event{Type: job.SuiteEnd, Suite: name})

	env := &Env{
		Suite: name, Job: r.Job, Kernel: r.Kernel, Exec: r.Exec,
		OutDir: filepath.Join(r.OutDir, name), Emit: r.Emit,
		Begin: func(c string) { r.Say("%s: %s", name, c) },
	}
	mark, markErr := r.Kernel.Mark()

	limit := time.Duration(r.Job.SuiteTimeout) * time.Second
	ctx, cancel := context.WithCancel(ctx)
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	start := time.Now()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("the suite panicked: %v", p)
			}
		}()
		done <- s.Run(ctx, env)
	}()

	c := report.Case{Name: caseComplete, Status: report.Pass}
	returned := true
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		r.Blocked()
		select {
		case err = <-done:
		case <-time.After(r.grace()):
			returned = false
		}
	}
	c.Seconds = time.Since(start).Seconds()
	switch {
	case ctx.Err() != nil:
		c.Status = report.Timeout
		c.Detail = fmt.Sprintf("not through after %v; the kernel's blocked tasks are in kernel.log", limit)
	case err != nil:
		c.Status, c.Detail = report.Fail, err.Error()
	}
	r.report(name, c)
	r.kernelLog(env, mark, markErr)
	return returned
}

func (r *Runner) grace() time.Duration {
	if r.Grace > 0 {
		return r.Grace
	}
	return 10 * time.Second
}

// kernelLog keeps what the kernel logged during a suite and reports complaints.
func (r *Runner) kernelLog(env *Env, mark Mark, err error) {
	c := report.Case{Name: caseKernelLog, Status: report.Pass}
	var lines []LogLine
	if err == nil {
		lines, err = r.Kernel.LogSince(mark)
	}
	if err != nil {
		c.Status, c.Detail = report.Fail, err.Error()
		r.report(env.Suite, c)
		return
	}
	if bad := Complaints(lines); len(bad) > 0 {
		c.Status, c.Detail = report.Fail, joinTexts(bad)
		if p := r.Job.Phase; p != nil && p.Expected.Covers(bad[0].Text) {
			c.Status, c.Reason = report.XFail, p.Expected.Crash
		}
	}
	r.report(env.Suite, c)
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&text, "[%12.6f] %s\n", l.Time.Seconds(), l.Text)
	}
	if err := env.Artifact("kernel.log", []byte(text.String())); err != nil && !os.IsNotExist(err) {
		r.Say("suite %s: keeping the kernel log: %v", env.Suite, err)
	}
}

// complaints are the openings of messages by which the kernel says that
// something is broken. What CONFIG_DMA_API_DEBUG finds comes with a WARNING.
var complaints = []string{
	"WARNING: ", "BUG: ", "BUG at ", "kernel BUG ", "Internal error: ", "Oops", "Unable to handle kernel",
	"INFO: task ", "INFO: rcu", "rcu: INFO:", "watchdog: BUG", "KASAN: ", "UBSAN: ",
	"possible circular locking", "possible recursive locking", "inconsistent lock state", "refcount_t: ",
}

// expectedWarning is where the kernel warns of a failed self-test, which the
// suite selftest reports by itself.
const expectedWarning = "crypto/testmgr.c:"

// Complaints picks the lines of a kernel log that say that something is broken:
// warnings, oopses, hung tasks, lock and memory errors.
func Complaints(lines []LogLine) []LogLine {
	var bad []LogLine
	for _, l := range lines {
		if strings.HasPrefix(l.Text, "WARNING: ") && strings.Contains(l.Text, expectedWarning) {
			continue
		}
		for _, c := range complaints {
			if strings.Contains(l.Text, c) {
				bad = append(bad, l)
				break
			}
		}
	}
	return bad
}

// joinTexts puts log lines into one text, not more than a few of them.
func joinTexts(lines []LogLine) string {
	const most = 20
	var b strings.Builder
	for i, l := range lines {
		if i == most {
			fmt.Fprintf(&b, "... and %d more\n", len(lines)-most)
			break
		}
		b.WriteString(l.Text + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
