package vhostuser

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Kick is an eventfd that a thread of ours waits for with blocking system
// calls. Eventfd is the kind that is only signalled, or watched by the runtime.
type Kick struct{ fd int }

// NewKick takes over fd. It refuses anything but an eventfd, as NewEventfd does;
// on an error fd remains the caller's.
func NewKick(fd int) (*Kick, error) {
	if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && name != "anon_inode:[eventfd]" {
		return nil, fmt.Errorf("%s where an eventfd is expected: %w", name, unix.EINVAL)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
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

// Signal raises the event.
func (k *Kick) Signal() {
	for {
		if _, err := unix.Write(k.fd, one[:]); err != unix.EINTR {
			return
		}
	}
}

// Close gives up the event. Nobody may be waiting for it.
func (k *Kick) Close() { unix.Close(k.fd) }

// Waiter waits for events in a thread. It exists so that waiting costs no
// allocation.
type Waiter struct {
	pfd [2]unix.PollFd
	buf [8]byte
	ts  unix.Timespec
}

// Wait returns when one of two events was raised, which it takes back, or after
// d if that is not negative. b may be nil.
func (w *Waiter) Wait(a, b *Kick, d time.Duration) error {
	kicks := [2]*Kick{a, b}
	n := 0
	for _, k := range kicks {
		if k != nil {
			w.pfd[n] = unix.PollFd{Fd: int32(k.fd), Events: unix.POLLIN}
			n++
		}
	}
	var ts *unix.Timespec
	if d >= 0 {
		w.ts = unix.NsecToTimespec(int64(d))
		ts = &w.ts
	}
	ready, err := unix.Ppoll(w.pfd[:n], ts, nil)
	if err == unix.EINTR || err == nil && ready == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, p := range w.pfd[:n] {
		if p.Revents&unix.POLLNVAL != 0 {
			return unix.EBADF
		}
		if p.Revents != 0 {
			unix.Read(int(p.Fd), w.buf[:])
		}
	}
	return nil
}
