package testbench

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/report"
)

// collector turns the guest's events into the suites of a report. Event is
// called by the share server, the rest by the run.
type collector struct {
	begin func(suite string) // tells the counters that a suite begins; "" that none runs
	out   *progress.Printer
	phase string // of a suite that has several, "" for none
	boot  *progress.Step

	foretold bool // the guest's death; guarded by mu

	mu       sync.Mutex
	suites   []report.Suite
	running  bool // the last of suites has not ended
	started  time.Time
	step     *progress.Step
	kernel   string
	failed   string // init's own failure
	finished bool
	last     time.Time // of the last sign of life
	event    time.Time // of the last event
}

func newCollector(begin func(string), out *progress.Printer) *collector {
	return &collector{begin: begin, out: out, last: time.Now()}
}

// Event takes one line of the guest.
func (c *collector) Event(e job.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	c.event = c.last
	switch e.Type {
	case job.Booted:
		c.kernel = e.Kernel
		c.up(nil)
	case job.SuiteBegin:
		c.close("the next suite began before this one ended")
		c.suites = append(c.suites, report.Suite{Name: e.Suite})
		c.running, c.started = true, time.Now()
		c.step = c.out.Begin("suite %s", e.Suite+c.where())
		c.begin(e.Suite)
	case job.CaseDone:
		if s := c.current(e.Suite); s != nil && e.Case != nil {
			s.Cases = append(s.Cases, *e.Case)
			c.step.Note("case %d, %s: %s", len(s.Cases), e.Case.Name, e.Case.Status)
		}
	case job.Progress:
		if s := c.current(e.Suite); s != nil {
			c.step.Note("%s", e.Text)
		}
	case job.SuiteEnd:
		if s := c.current(e.Suite); s != nil {
			s.Ended = true
			s.Error = e.Text
			c.close("")
		}
	case job.Rebooting:
		if s := c.current(e.Suite); s != nil {
			s.Ended = true
			c.close("")
		}
	case job.Failed:
		c.failed = e.Text
		c.up(nil)
	case job.Finished:
		c.finished = true
	}
}

// up ends the boot, if it has not ended. c.mu is held.
func (c *collector) up(err error) {
	if c.boot != nil {
		c.boot.End(err)
		c.boot = nil
	}
}

// down says that no more will come of a boot.
func (c *collector) down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up(errors.New("not booted"))
}

// where names the phase behind a suite's name.
func (c *collector) where() string {
	if c.phase == "" {
		return ""
	}
	return ", " + c.phase
}

// current returns the running suite if it has this name.
func (c *collector) current(name string) *report.Suite {
	if !c.running || c.suites[len(c.suites)-1].Name != name {
		return nil
	}
	return &c.suites[len(c.suites)-1]
}

// close ends the running suite; why says what went wrong, "" for nothing.
func (c *collector) close(why string) {
	if !c.running {
		return
	}
	s := &c.suites[len(c.suites)-1]
	s.Seconds = time.Since(c.started).Seconds()
	if !s.Ended {
		s.Error = why
	}
	var err error
	if s.Failed() {
		err = fmt.Errorf("%s", s.Name)
	}
	if c.foretold {
		c.step.EndAs("the kernel died, as was expected")
	} else {
		c.step.End(err)
	}
	c.running = false
	c.begin("")
}

// alive takes note of a sign of life other than an event.
func (c *collector) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
}

// state says which suite runs, since when, and when the guest was last heard of.
func (c *collector) state() (suite string, since, last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		suite, since = c.suites[len(c.suites)-1].Name, c.started
	}
	return suite, since, c.last
}

// heard is when the guest last told of its work.
func (c *collector) heard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.event
}

// end closes what is open and returns the suites; why says how the guest ended,
// foretold that it was expected to.
func (c *collector) end(why string, foretold bool) []report.Suite {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.foretold = foretold
	c.close(why)
	return c.suites
}

// booted reports whether init was heard of; a failure before that counts.
func (c *collector) booted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kernel != "" || c.failed != ""
}

// done reports whether init said that all is through.
func (c *collector) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finished
}

// failure is what init said of its own failure, "" for none.
func (c *collector) failure() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// kernelRelease is what the guest's uname -r says, "" if it did not come so far.
func (c *collector) kernelRelease() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kernel
}
