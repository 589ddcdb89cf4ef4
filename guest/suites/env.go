package suites

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// Env is what a suite sees of the world. Init makes one for each suite; a test
// makes one with a Kernel and an Exec of its own.
type Env struct {
	Suite  string // name of the suite, put into each event
	Job    *job.Job
	Kernel Kernel
	Exec   Exec   // runs programs; RunCommand in the guest
	OutDir string // the suite's own artifact folder on the share; made by Artifact
	// Emit sends an event to the host and returns when the host has it.
	Emit func(job.Event)
	// Begin is called at the start of each case that Case measures, with the
	// name of the case; may be nil. Init prints it on the console.
	Begin func(name string)
}

// Report sends the outcome of one case. Suite is filled in.
func (e *Env) Report(c report.Case) {
	c.Suite = e.Suite
	e.Emit(job.Event{Type: job.CaseDone, Suite: e.Suite, Case: &c})
}

// Progress says what the suite is at.
func (e *Env) Progress(format string, args ...any) {
	e.Emit(job.Event{Type: job.Progress, Suite: e.Suite, Text: fmt.Sprintf(format, args...)})
}

// Case runs f as the case c.Name and reports its outcome with the time it took.
// f sets Status, Detail, Reason and Metrics; a Status left empty means Pass. A
// panic of f fails the case.
func (e *Env) Case(c report.Case, f func(c *report.Case)) {
	if e.Begin != nil {
		e.Begin(c.Name)
	}
	start := time.Now()
	func() {
		defer func() {
			if p := recover(); p != nil {
				c.Status, c.Detail = report.Fail, fmt.Sprintf("the suite panicked: %v", p)
			}
		}()
		f(&c)
	}()
	if c.Status == "" {
		c.Status = report.Pass
	}
	c.Seconds = time.Since(start).Seconds()
	e.Report(c)
}

// Artifact writes a file into the suite's folder on the share. name is a plain
// file name.
func (e *Env) Artifact(name string, data []byte) error {
	if name != filepath.Base(name) {
		return fmt.Errorf("artifact name %q: want a plain file name", name)
	}
	if err := os.MkdirAll(e.OutDir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.OutDir, name), data, 0o644)
}
