package oracle

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// Checker is a qce.Observer that checks every operation of an engine. While an
// operation runs, its streams are copied; they are judged afterwards, mostly by
// another goroutine. What the methods that read results return does not depend
// on that: they wait until everything is judged that has ended by then.
type Checker struct {
	limit  int
	job    *job // of the operation that runs
	judged bool // it is one, and not too long
	queue  queue
}

// Counts says how many operations were checked.
type Counts struct {
	Checked   uint64
	NotJudged uint64 // too long, or a configuration that the oracle does not know
	Wrong     uint64
}

// Mismatch is an operation whose result is not what it must be: an error of the
// model, or of memory that changed under it.
type Mismatch struct {
	Op   trace.Op
	What string

	number uint64 // of the operation
}

func (m Mismatch) Error() string {
	return fmt.Sprintf("%s, %d bytes, EE%d: %s", m.Op.Alg, m.Op.Bytes, m.Op.EE, m.What)
}

// NewChecker returns a checker that judges operations of up to limit bytes of
// input.
func NewChecker(limit int) *Checker {
	k := &Checker{limit: limit, job: &job{}}
	k.queue.judged.L = &k.queue.mu
	return k
}

// SetLimit sets the limit for operations that start from now on; 0 judges none.
// The engine must not run meanwhile.
func (k *Checker) SetLimit(n int) {
	if k.limit = n; n == 0 {
		k.limit = -1 // not even an empty one
	}
}

// Start implements qce.Observer.
func (k *Checker) Start(_ *trace.Op, c *qce.Latched) {
	if k.judged {
		k.job.scrub()
	}
	if k.judged = int64(c.SegSize) <= int64(k.limit); k.judged {
		k.job.cfg = *c
	}
}

// Input implements qce.Observer.
func (k *Checker) Input(p []byte) {
	if k.judged {
		k.job.in = append(k.job.in, p...)
	}
}

// Output implements qce.Observer.
func (k *Checker) Output(p []byte) {
	if k.judged {
		k.job.out = append(k.job.out, p...)
	}
}

// Done implements qce.Observer.
func (k *Checker) Done(op *trace.Op) {
	if !k.judged {
		k.queue.skip()
		return
	}
	k.job.op = *op
	k.job = k.queue.put(k.job)
	k.judged = false
}

// Abort implements qce.Observer.
func (k *Checker) Abort(*trace.Op) {
	k.job.scrub()
	k.judged = false
}

// Counts returns the counts of all operations that have ended.
func (k *Checker) Counts() Counts {
	c, _ := k.queue.results()
	return c
}

// Mismatches returns the first wrong operations, in the order of their end.
func (k *Checker) Mismatches() []Mismatch {
	_, m := k.queue.results()
	return m
}
