package oracle

import (
	"errors"
	"fmt"
	"sync"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// Checker is a qce.Observer that checks every operation of an engine. Its
// counts may be read while the engine runs.
type Checker struct {
	limit   int
	cfg     qce.Latched
	in, out []byte
	skip    bool

	mu     sync.Mutex
	counts Counts
	bad    []Mismatch
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
}

func (m Mismatch) Error() string {
	return fmt.Sprintf("%s, %d bytes, EE%d: %s", m.Op.Alg, m.Op.Bytes, m.Op.EE, m.What)
}

const maxMismatches = 100

// NewChecker returns a checker that judges operations of up to limit bytes of
// input.
func NewChecker(limit int) *Checker { return &Checker{limit: limit} }

// SetLimit sets the limit for operations that start from now on; 0 judges none.
// The engine must not run meanwhile.
func (k *Checker) SetLimit(n int) { k.limit = n }

// Start implements qce.Observer.
func (k *Checker) Start(_ *trace.Op, c *qce.Latched) {
	k.cfg = *c
	k.in, k.out = k.in[:0], k.out[:0]
	k.skip = k.limit == 0 || uint64(c.SegSize) > uint64(k.limit)
}

// Input implements qce.Observer.
func (k *Checker) Input(p []byte) {
	if !k.skip {
		k.in = append(k.in, p...)
	}
}

// Output implements qce.Observer.
func (k *Checker) Output(p []byte) {
	if !k.skip {
		k.out = append(k.out, p...)
	}
}

// Done implements qce.Observer.
func (k *Checker) Done(op *trace.Op) {
	err := ErrNotJudged
	if !k.skip {
		err = Check(&k.cfg, k.in, k.out, op.Status)
	}
	k.forget()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		k.counts.Checked++
	case errors.Is(err, ErrNotJudged):
		k.counts.NotJudged++
	default:
		k.counts.Checked++
		k.counts.Wrong++
		if len(k.bad) < maxMismatches {
			k.bad = append(k.bad, Mismatch{Op: *op, What: err.Error()})
		}
	}
}

// Abort implements qce.Observer.
func (k *Checker) Abort(*trace.Op) { k.forget() }

func (k *Checker) forget() {
	k.cfg = qce.Latched{}
	clear(k.in)
	clear(k.out)
}

// Counts returns the counts so far.
func (k *Checker) Counts() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts
}

// Mismatches returns the first wrong operations.
func (k *Checker) Mismatches() []Mismatch {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Mismatch(nil), k.bad...)
}
