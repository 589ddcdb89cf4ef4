package vhostuser

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// rescueAfter is how long a write to an eventfd may take before it is rescued,
// at least; at most it is twice as long.
const rescueAfter = 100 * time.Millisecond

// rescue frees a thread of ours that waits in a write to an eventfd. The flag
// O_NONBLOCK is one of the open file, which the peer has too: it can clear the
// flag and fill the counter in the moment before our write, and no system call
// writes to an eventfd without regard to the flag. To take the counter back is
// what makes room.
//
// The timer runs while there are signals, and rests when there are none.
type rescue struct {
	begun, ended atomic.Uint64 // writes
	running      atomic.Bool   // the timer

	mu      sync.Mutex // guards what follows
	fd      int
	timer   *time.Timer
	closed  bool
	seen    uint64 // writes begun and ended, when the timer ran before
	seenEnd uint64
	waiter  Waiter
}

// enter comes before a write, leave after it.
func (r *rescue) enter(fd int) {
	r.begun.Add(1)
	if !r.running.CompareAndSwap(false, true) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fd = fd
	r.schedule()
}

func (r *rescue) leave() { r.ended.Add(1) }

// schedule has look called. r.mu is held.
func (r *rescue) schedule() {
	if r.timer == nil {
		r.timer = time.AfterFunc(rescueAfter, r.look)
		return
	}
	r.timer.Reset(rescueAfter)
}

// look takes the counter if no write has ended since it looked before, and one
// is under way.
func (r *rescue) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	ended, begun := r.ended.Load(), r.begun.Load()
	switch {
	case begun == ended && begun == r.seen:
		r.running.Store(false)
		if r.begun.Load() == begun || !r.running.CompareAndSwap(false, true) {
			return
		}
	case begun != ended && ended == r.seenEnd && r.seen != ended:
		unix.SetNonblock(r.fd, true)
		r.waiter.take(r.fd)
	}
	r.seen, r.seenEnd = begun, ended
	r.schedule()
}

// close ends the rescues. No write is under way.
func (r *rescue) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
}
