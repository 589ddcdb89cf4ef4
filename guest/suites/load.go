package suites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// errHung says that the engine serves nobody any more.
var errHung = errors.New("the engine serves nobody any more")

// Sizes of a load.
const (
	perClient   = 16 // requests with one key
	watchLoad   = 100 * time.Millisecond
	maxFailures = 20 // in a row, of one thread: it gives up
	restAtMost  = 4  // of a thread in a thin load, in times of what it had an algorithm open for
)

// requestCount is what came of an algorithm's requests.
type requestCount struct {
	requests  int  // that ended with a result
	corrupted int  // of these, with a wrong one
	failed    int  // ended with an error
	hung      int  // did not end
	late      bool // the engine hung, with these requests or others
	first     string
}

// nothing reports whether no request has ended, or was seen not to.
func (n *requestCount) nothing() bool { return n.requests == 0 && n.failed == 0 && n.hung == 0 }

// wrong reports whether anything went wrong.
func (n *requestCount) wrong() bool { return n.corrupted+n.failed+n.hung > 0 }

func (n *requestCount) note(format string, args ...any) {
	if n.first == "" {
		n.first = "first: " + fmt.Sprintf(format, args...)
	}
}

// load is several threads with requests of some algorithms. A driver that never
// completes a request blocks its thread for good, out of reach of signals: such
// threads are left behind.
type load struct {
	p     *phaseRun
	algs  []EngineAlgorithm
	seed  uint64
	group uint64

	left atomic.Int64 // requests to begin
	more atomic.Bool  // go on beyond them: what happens beside is not through
	ends atomic.Int64 // requests that have ended
	thin atomic.Bool  // one request for each opening, and a rest of up to restAtMost times as long
	gate sync.RWMutex // read by a thread that has an algorithm open, written by who needs all closed

	absence atomic.Int64 // odd while the driver is gone

	mu      sync.Mutex
	deck    *draws                   // shuffles
	cards   []EngineAlgorithm        // left of this round
	counts  map[string]*requestCount // by driver
	pending map[int]string           // what each thread waits for, by its number: driver
	stage   string                   // what the counts are of
	closed  bool                     // given up: what still ends does not count
}

// Stages of a load, as its cases are named by.
const (
	stageAll   = "requests"
	stageUntil = "until" // a driver is taken away, which is about to happen
	stageAfter = "after" // it was
)

func newLoad(p *phaseRun, algs []EngineAlgorithm, requests int, group uint64) *load {
	l := &load{p: p, algs: algs, stage: stageAll, seed: uint64(p.env.Job.Seed), group: group,
		deck: &draws{rand.New(rand.NewPCG(uint64(p.env.Job.Seed), group))}, counts: map[string]*requestCount{}, pending: map[int]string{}}
	l.left.Store(int64(max(requests, 1)))
	for _, a := range algs {
		l.counts[a.Driver] = &requestCount{}
	}
	return l
}

// run returns when all requests are done, or errHung.
func (l *load) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range l.p.phase.Threads {
		wg.Go(func() { l.thread(ctx, i) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()

	tick := time.NewTicker(watchLoad)
	defer tick.Stop()
	ends, since, told := l.ends.Load(), time.Now(), time.Now()
	for {
		select {
		case <-done:
			return ctx.Err()
		case <-tick.C:
		}
		now := l.ends.Load()
		if time.Since(told) > time.Second {
			told = time.Now()
			l.p.env.Progress("%d requests done, %d to begin", now, max(l.left.Load(), 0))
		}
		if now != ends || !l.waiting() {
			ends, since = now, time.Now()
		}
		if time.Since(since) > l.p.hang {
			return l.giveUp()
		}
	}
}

// waiting reports whether a request is out.
func (l *load) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) > 0
}

// giveUp counts what is out as hung.
func (l *load) giveUp() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, n := range l.counts {
		n.late = true
	}
	for _, driver := range l.pending {
		n := l.counts[driver]
		n.hung++
		n.note("no end after %v", l.p.hang)
	}
	return errHung
}

// thread makes requests as long as there are any to make.
func (l *load) thread(ctx context.Context, number int) {
	d := &draws{rand.New(rand.NewPCG(l.seed, l.group<<32|uint64(number)))}
	failures := 0
	for ctx.Err() == nil && (l.left.Load() > 0 || l.more.Load()) && failures < maxFailures {
		a := l.deal()
		l.gate.RLock()
		begin := time.Now()
		before := l.absence.Load()
		c, err := l.opened(number, a, d)
		if errors.Is(err, unix.ENOENT) && l.wasAbsent(before) {
			l.gate.RUnlock()
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			l.ended(a, func(n *requestCount) { n.failed++; n.note("%v", err) })
			failures++
			l.gate.RUnlock()
			continue
		}
		most := l.p.perOpen
		if l.thin.Load() {
			most = 1
		}
		for i := 0; i < most && ctx.Err() == nil && (l.left.Add(-1) >= 0 || l.more.Load()); i++ {
			if l.request(number, a, c, d) {
				failures = 0
			} else {
				failures++
			}
		}
		c.Close()
		l.gate.RUnlock()
		if l.thin.Load() {
			// However slow the machine is, there are moments in which all rest.
			held := max(time.Since(begin), time.Millisecond)
			time.Sleep(time.Duration(d.Int64N(int64(restAtMost * held))))
		}
	}
}

// wasAbsent reports whether the driver was gone at some time since the value of
// absence was read.
func (l *load) wasAbsent(before int64) bool { return before%2 == 1 || l.absence.Load() != before }

// deal picks a thread's next algorithm: all have their turn, in an order that
// is drawn anew for each round.
func (l *load) deal() EngineAlgorithm {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.cards) == 0 {
		for _, i := range l.deck.Perm(len(l.algs)) {
			l.cards = append(l.cards, l.algs[i])
		}
	}
	a := l.cards[0]
	l.cards = l.cards[1:]
	return a
}

// opened opens an algorithm: setting a key may take the engine as well.
func (l *load) opened(number int, a EngineAlgorithm, d *draws) (client, error) {
	l.begins(number, a)
	defer l.over(number)
	return l.p.open(a, d)
}

// request makes one request and reports whether it ended without an error.
func (l *load) request(number int, a EngineAlgorithm, c client, d *draws) bool {
	q, err := c.draw(d)
	if err != nil { // the reference does not know what to expect
		l.ended(a, func(n *requestCount) { n.failed++; n.note("%v", err) })
		return false
	}
	l.begins(number, a)
	got, err := q.do()
	l.over(number)
	l.ended(a, func(n *requestCount) {
		if err != nil {
			n.failed++
			n.note("%s: %v", q.what, err)
			return
		}
		n.requests++
		if !bytes.Equal(got, q.want) {
			n.corrupted++
			how := difference(got, q.want)
			if q.differs != nil {
				how = q.differs(got)
			}
			n.note("%s: %s", q.what, how)
		}
	})
	return err == nil
}

func (l *load) begins(number int, a EngineAlgorithm) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[number] = a.Driver
}

func (l *load) over(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, number)
}

// ended counts what came of a request.
func (l *load) ended(a EngineAlgorithm, count func(*requestCount)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		count(l.counts[a.Driver])
	}
	l.ends.Add(1) // who sees the end finds it counted
}

// take returns an algorithm's count, which begins anew, and what it is of.
func (l *load) take(a EngineAlgorithm) (*requestCount, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counts[a.Driver]
	l.counts[a.Driver] = &requestCount{late: n.late}
	return n, l.stage
}

// begin begins all counts anew, of the stage named, and returns those so far: what
// ends belongs to one of the two.
func (l *load) begin(stage string) (counts map[string]*requestCount, was string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts, was = l.counts, l.stage
	l.counts, l.stage = map[string]*requestCount{}, stage
	for driver, n := range counts {
		l.counts[driver] = &requestCount{late: n.late}
	}
	return counts, was
}

// midway waits until that many requests have ended, with some of each
// algorithm, and others are out. It reports whether it came so far.
func (l *load) midway(ctx context.Context, ended int) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.ends.Load() < int64(ended) || !l.waiting() || !l.allTried() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

func (l *load) allTried() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.counts {
		if n.nothing() {
			return false
		}
	}
	return true
}
