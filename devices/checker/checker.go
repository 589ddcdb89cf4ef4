package checker

import (
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/trace"
)

// Config is what the checker knows of the block that it watches.
type Config struct {
	Layout bam.Layout
	Owners []uint8 // execution environment of each pipe

	// Limits; 0 chooses the default.
	Patience uint64 // events that a lock or an operation may last
	Polls    uint32 // identical reads in a row, or looks at a pending interrupt
	PollTime uint64 // ns of model time that such a row lasts at least, where time passes
}

const (
	defaultPatience = 1 << 18
	defaultPolls    = 10_000
	defaultPollTime = 1_000_000
)

// Checker is a trace.Sink. It belongs to the model that feeds it: Emit and
// Finish must not run at the same time.
type Checker struct {
	cfg  Config
	out  trace.Sink
	regs []action // by word of the BAM's address space

	pipes [bam.MaxPipes]pipe
	sides [bam.MaxEEs]side
	lock  lock
	op    op
	poll  poll

	deadline uint64 // Seq at which the lock or the operation has lasted too long
	last     uint64 // Seq of the latest event
	ev       trace.Event
}

// New returns a checker that hands what it finds to out. In the list of the
// stream's readers it stands behind out, so that the event which broke a rule
// is in the finding's history.
func New(cfg Config, out trace.Sink) *Checker {
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	if cfg.Polls == 0 {
		cfg.Polls = defaultPolls
	}
	if cfg.PollTime == 0 {
		cfg.PollTime = defaultPollTime
	}
	c := &Checker{cfg: cfg, out: out, regs: actions(cfg.Layout), deadline: never}
	for i := range c.pipes {
		p := &c.pipes[i]
		p.id = int8(i)
		if i < len(cfg.Owners) {
			p.ee = cfg.Owners[i] & (bam.MaxEEs - 1)
		}
	}
	return c
}

// never is a deadline that no stream reaches.
const never = ^uint64(0)

// handlers says what is done about each kind of event; the others do not
// matter.
var handlers = [256]func(*Checker, *trace.Event){
	trace.RegRead:   (*Checker).read,
	trace.RegWrite:  (*Checker).write,
	trace.DescFetch: (*Checker).fetch,
	trace.DescDone:  (*Checker).done,
	trace.WriteBack: (*Checker).writeBack,
	trace.DataIn:    (*Checker).dataIn,
	trace.Lock:      (*Checker).locked,
	trace.Unlock:    (*Checker).unlocked,
	trace.LockWait:  (*Checker).lockWait,
	trace.PipeReset: (*Checker).reset,
	trace.OpStart:   (*Checker).opStart,
	trace.OpDone:    (*Checker).opEnd,
	trace.OpAbort:   (*Checker).opEnd,
	trace.LineSet:   (*Checker).lineSet,
	trace.BusFault:  (*Checker).fault,
}

// Wants implements trace.Selective.
func (c *Checker) Wants(k trace.Kind) bool { return handlers[k] != nil }

// Emit implements trace.Sink.
func (c *Checker) Emit(e *trace.Event) {
	handle := handlers[e.Kind]
	if handle == nil {
		return
	}
	if e.Seq >= c.deadline {
		c.overdue(e)
	}
	handle(c, e)
	c.last = e.Seq
}

// read is every register read.
func (c *Checker) read(e *trace.Event) {
	c.accessed(e)
	c.polled(e)
	if e.Block == trace.QCE {
		c.engineRead(e)
	} else {
		c.bamRead(e)
	}
}

// write is every register write.
func (c *Checker) write(e *trace.Event) {
	c.accessed(e)
	if e.Block == trace.QCE {
		c.engineWrite(e)
	} else {
		c.bamWrite(e)
	}
}

// accessed counts what a processor does.
func (c *Checker) accessed(e *trace.Event) {
	if e.By.Via == trace.CPU {
		c.sides[e.By.EE&(bam.MaxEEs-1)].accesses++
	}
}

// pipe is the pipe that an event is about.
func (c *Checker) pipe(e *trace.Event) *pipe {
	if uint8(e.Pipe) >= bam.MaxPipes {
		return nil
	}
	return &c.pipes[e.Pipe]
}

// report says that the event e broke a rule.
func (c *Checker) report(r rule, e *trace.Event, value uint64) {
	c.ev = *e
	c.ev.Kind, c.ev.Rule, c.ev.Value, c.ev.Op = trace.Anomaly, &rules[r], value, nil
	c.out.Emit(&c.ev)
}

// reportPipe says that a rule is broken at a pipe, without an event that did it.
func (c *Checker) reportPipe(r rule, p *pipe, seq, value uint64) {
	c.reportBy(r, p, p.ee, seq, value)
}

// reportBy says the same where it is not the pipe's owner who did it.
func (c *Checker) reportBy(r rule, p *pipe, ee uint8, seq, value uint64) {
	c.ev = trace.Event{Seq: seq, Kind: trace.Anomaly, Rule: &rules[r], Pipe: p.id, Off: p.rd, Value: value,
		By: trace.Master{Via: trace.Command, EE: ee, Pipe: p.id}}
	c.out.Emit(&c.ev)
}

// reportSide says the same of an execution environment.
func (c *Checker) reportSide(r rule, ee uint8, seq, value uint64) {
	c.ev = trace.Event{Seq: seq, Kind: trace.Anomaly, Rule: &rules[r], Pipe: -1, Value: value, By: trace.CPUOf(int(ee))}
	c.out.Emit(&c.ev)
}

// watch sets the deadline anew after a lock or an operation has begun or ended.
func (c *Checker) watch() {
	c.deadline = never
	if c.lock.held {
		c.deadline = c.lock.limit
	}
	if c.op.running {
		c.deadline = min(c.deadline, c.op.limit)
	}
}

// overdue reports what has lasted too long, once.
func (c *Checker) overdue(e *trace.Event) {
	if c.lock.held && e.Seq >= c.lock.limit {
		c.reportPipe(lockTooLong, &c.pipes[c.lock.owner], e.Seq, e.Seq-c.lock.since)
		c.lock.limit = never
	}
	if c.op.running && e.Seq >= c.op.limit {
		c.hung()
		c.op.limit = never
	}
	c.watch()
}

// Finish reports what is left over when the stream is at its end. It may be
// called again when more has come.
func (c *Checker) Finish() {
	if c.op.running {
		c.hung()
	}
	for i := range c.pipes {
		if p := &c.pipes[i]; c.stuck(p) {
			c.reportStuck(p)
		}
	}
	if c.lock.held {
		c.reportPipe(lockAtEnd, &c.pipes[c.lock.owner], c.last, 0)
	}
	for i := range c.pipes {
		if p := &c.pipes[i]; p.pending() != 0 {
			c.reportPipe(chainAtEnd, p, c.last, uint64(p.pending()))
		}
	}
	for i := range c.sides {
		if c.sides[i].line {
			c.reportSide(irqAtEnd, uint8(i), c.last, 0)
		}
	}
}
