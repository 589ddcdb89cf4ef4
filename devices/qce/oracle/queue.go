package oracle

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// queue has operations that have ended and are not judged yet.
//
// One goroutine judges them. It starts when there is something to do for a
// while, since to start it costs more than to line an operation up, and ends
// when nothing is left. Where it does not keep up, and for a reader of the
// results, whoever comes judges the oldest operations himself: nobody has to
// wait for a processor, and the memory is bounded.
type queue struct {
	mu      sync.Mutex // guards the rest
	judged  sync.Cond  // an operation is; its lock is mu
	waiting []*job     // oldest first
	bytes   int        // in them
	free    []*job
	spaces  []*space
	judging []uint64 // numbers of the operations that are being judged
	working bool     // there is a goroutine
	number  uint64   // of operations that have ended
	counts  Counts
	bad     []Mismatch
}

// Worthwhile is how many operations are worth the start of a goroutine, which
// costs as much as some requests do.
const Worthwhile = 64

const (
	maxWaiting    = 128     // operations
	maxBytes      = 2 << 20 // of their streams
	maxKept       = 1 << 16 // bytes of a buffer that is used again
	maxMismatches = 100
)

// job is an operation with all that its judgment takes. It holds keys.
type job struct {
	number  uint64 // in the order of their end
	op      trace.Op
	cfg     qce.Latched
	in, out []byte
}

// pop takes what was used before, or something new.
func pop[T any](free *[]*T) *T {
	n := len(*free)
	if n == 0 {
		return new(T)
	}
	x := (*free)[n-1]
	*free = (*free)[:n-1]
	return x
}

// scrub forgets an operation's secrets.
func (j *job) scrub() {
	clear(j.in)
	clear(j.out)
	*j = job{in: j.in[:0], out: j.out[:0]}
}

// put lines an operation up that has ended, and returns an empty job.
func (q *queue) put(j *job) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.number++
	j.number = q.number
	q.waiting = append(q.waiting, j)
	q.bytes += len(j.in) + len(j.out)
	if !q.working && len(q.waiting) >= Worthwhile {
		q.working = true
		go q.work()
	}
	for len(q.waiting) > maxWaiting || q.bytes > maxBytes {
		q.judgeNext()
	}
	return pop(&q.free)
}

// skip counts an operation that nobody judges.
func (q *queue) skip() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.number++
	q.counts.NotJudged++
}

// work is the goroutine.
func (q *queue) work() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 {
		q.judgeNext()
	}
	q.working = false
}

// results waits until everything is judged that has ended so far.
func (q *queue) results() (Counts, []Mismatch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := q.number
	for len(q.waiting) > 0 && q.waiting[0].number <= last {
		q.judgeNext()
	}
	for slices.ContainsFunc(q.judging, func(n uint64) bool { return n <= last }) {
		q.judged.Wait()
	}
	return q.counts, slices.Clone(q.bad)
}

// judgeNext judges the oldest operation, and gives the lock away meanwhile.
func (q *queue) judgeNext() {
	j := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	q.bytes -= len(j.in) + len(j.out)
	q.judging = append(q.judging, j.number)
	s := pop(&q.spaces)
	q.mu.Unlock()
	number, op := j.number, j.op
	err := check(&j.cfg, j.in, j.out, op.Status, s)
	j.scrub()
	s.scrub()
	q.mu.Lock()
	if cap(j.in) <= maxKept && cap(j.out) <= maxKept {
		q.free = append(q.free, j)
		q.spaces = append(q.spaces, s)
	}
	q.count(number, &op, err)
	q.judging = slices.DeleteFunc(q.judging, func(n uint64) bool { return n == number })
	q.judged.Broadcast()
}

// count takes the judgment of an operation. Judgments come in any order.
func (q *queue) count(number uint64, op *trace.Op, err error) {
	switch {
	case err == nil:
		q.counts.Checked++
	case errors.Is(err, ErrNotJudged):
		q.counts.NotJudged++
	default:
		q.counts.Checked++
		q.counts.Wrong++
		at, _ := slices.BinarySearchFunc(q.bad, number, func(m Mismatch, n uint64) int { return cmp.Compare(m.number, n) })
		q.bad = slices.Insert(q.bad, at, Mismatch{Op: *op, What: err.Error(), number: number})
		q.bad = q.bad[:min(len(q.bad), maxMismatches)]
	}
}
