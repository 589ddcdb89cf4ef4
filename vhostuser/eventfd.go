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
	fd     int
	f      *os.File // owns fd if it is watched, else nil
	rescue rescue
}

// NewEventfd takes over fd. It refuses anything but an eventfd: a write to
// another kind of file could block or do harm. On an error fd remains the
// caller's.
//
// The file is switched to non-blocking mode, for the peer too: a counter that
// is full would stop us otherwise. QEMU and KVM create theirs that way. A peer
// can switch it back at any time, so nothing relies on it: see rescue.
func NewEventfd(fd int) (*Eventfd, error) {
	if err := checkEventfd(fd); err != nil {
		return nil, err
	}
	return &Eventfd{fd: fd}, nil
}

func checkEventfd(fd int) error {
	if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && name != "anon_inode:[eventfd]" {
		return fmt.Errorf("%s where an eventfd is expected: %w", name, unix.EINVAL)
	}
	return unix.SetNonblock(fd, true)
}

// one is the counter increment of a signal; every byte order will do, since
// only zero and non-zero are told apart.
var one = [8]byte{1}

// Signal raises the event. A counter that is full is an event already raised.
func (e *Eventfd) Signal() {
	if !full(e.fd) {
		e.write()
	}
}

// write may have to wait, if the peer has made the event block and has filled
// its counter since Signal has looked.
func (e *Eventfd) write() {
	e.rescue.enter(e.fd)
	signalShared(e.fd)
	e.rescue.leave()
}

// Watch calls fn for each time that the peer raised the event, until Close.
// Events raised close together may be reported as one. It is called once.
func (e *Eventfd) Watch(fn func()) {
	f := os.NewFile(uintptr(e.fd), "eventfd")
	e.f = f
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	var w Waiter
	raised := func(fd uintptr) bool { return w.take(int(fd)) != unix.EAGAIN }
	go func() {
		for {
			if err := c.Read(raised); err != nil {
				return
			}
			fn()
		}
	}()
}

// Close gives up the event; a Watch ends. Nobody may be signalling it.
func (e *Eventfd) Close() {
	e.rescue.close()
	if e.f != nil {
		e.f.Close()
		return
	}
	unix.Close(e.fd)
}
