package vhostuser

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Kick is an eventfd that a thread of ours waits for with blocking system
// calls. Eventfd is the kind that is only signalled, or watched by the runtime.
type Kick struct{ fd int }

// NewKick takes over fd. It refuses anything but an eventfd, as NewEventfd does;
// on an error fd remains the caller's.
func NewKick(fd int) (*Kick, error) {
	if err := checkEventfd(fd); err != nil {
		return nil, err
	}
	return &Kick{fd}, nil
}

// OwnKick creates an eventfd that only this process knows.
func OwnKick() (*Kick, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Kick{fd}, nil
}

// Signal raises the event, which must be one of OwnKick.
func (k *Kick) Signal() { signalOwn(k.fd) }

// Close gives up the event. Nobody may be waiting for it.
func (k *Kick) Close() { unix.Close(k.fd) }

// Waiter waits for events in a thread. It exists so that waiting costs no
// allocation.
type Waiter struct {
	pfd [2]unix.PollFd
	buf [8]byte
	iov unix.Iovec
	ts  unix.Timespec
}

// Wait returns when one of two events was raised, which it takes back, or after
// d if that is not negative. b may be nil. It may also return without a reason.
func (w *Waiter) Wait(a, b *Kick, d time.Duration) error {
	kicks := [2]*Kick{a, b}
	n := 0
	for _, k := range kicks {
		if k != nil {
			w.pfd[n] = unix.PollFd{Fd: int32(k.fd), Events: unix.POLLIN}
			n++
		}
	}
	ready, err := w.poll(n, d)
	if err == unix.EINTR || err == nil && ready == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range w.pfd[:n] {
		p := &w.pfd[i]
		if p.Revents&unix.POLLNVAL != 0 {
			return unix.EBADF
		}
		if p.Revents != 0 {
			w.take(int(p.Fd))
		}
	}
	return nil
}

// keepers is the number of threads that wait and keep what they need to run Go
// code. One of GOMAXPROCS at least is left to others.
//
// A thread that blocks in a system call in the usual way gives that up, and so
// lets the runtime's monitor fall asleep. The event then wakes the monitor too,
// which for a while looks at things every 20 µs: with an event every 100 µs that
// costs a third of what the event itself asks for. A timer that ends the wait
// costs as much. So the wait is ended by the monitor: it interrupts a thread that
// has not come back to the runtime for 10 ms with a signal, and then the thread
// waits in the usual way, until the next event.
var keepers atomic.Int32

// poll waits for the first n descriptors.
func (w *Waiter) poll(n int, d time.Duration) (ready int, err error) {
	if d < 0 && Keep() {
		ready, err = w.ppoll(n, d, true)
		Unkeep()
		if err != unix.EINTR {
			return ready, err
		}
	}
	return w.ppoll(n, d, false)
}

// Keep asks whether the calling thread may keep what it needs to run Go code while
// it has nothing to do. If so, Unkeep ends that.
func Keep() bool {
	if keepers.Add(1) < spare() {
		return true
	}
	keepers.Add(-1)
	return false
}

// Unkeep ends what Keep allowed.
func Unkeep() { keepers.Add(-1) }

// spare is GOMAXPROCS when it was needed first (to ask takes a lock), and 0 if
// the runtime was told not to interrupt threads.
var spare = sync.OnceValue(func() int32 {
	if strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1") {
		return 0
	}
	return int32(runtime.GOMAXPROCS(0))
})
