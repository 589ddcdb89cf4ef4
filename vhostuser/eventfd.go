package vhostuser

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Eventfd is an eventfd shared with the peer: an interrupt line on its way out,
// a notification on its way in.
//
// The runtime polls it only once it is watched: it would be woken by each of our
// own signals, and by the peer's taking them.
type Eventfd struct {
	fd int
	f  *os.File // owns fd if it is watched, else nil
}

// NewEventfd takes over fd. It refuses anything but an eventfd: a write to
// another kind of file could block or do harm. On an error fd remains the
// caller's.
//
// The file is switched to non-blocking mode, for the peer too: a counter that
// is full would stop us otherwise. QEMU and KVM create theirs that way.
func NewEventfd(fd int) (*Eventfd, error) {
	if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && name != "anon_inode:[eventfd]" {
		return nil, fmt.Errorf("%s where an eventfd is expected: %w", name, unix.EINVAL)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return &Eventfd{fd: fd}, nil
}

// one is the counter increment of a signal; every byte order will do, since
// only zero and non-zero are told apart.
var one = [8]byte{1}

// Signal raises the event. A counter that is full is an event already raised.
func (e *Eventfd) Signal() { signal(e.fd) }

// Watch calls fn for each time that the peer raised the event, until Close.
// Events raised close together may be reported as one. It is called once.
func (e *Eventfd) Watch(fn func()) {
	f := os.NewFile(uintptr(e.fd), "eventfd")
	e.f = f
	go func() {
		var buf [8]byte
		for {
			if _, err := f.Read(buf[:]); err != nil {
				return
			}
			fn()
		}
	}()
}

// Close gives up the event; a Watch ends.
func (e *Eventfd) Close() {
	if e.f != nil {
		e.f.Close()
		return
	}
	unix.Close(e.fd)
}
