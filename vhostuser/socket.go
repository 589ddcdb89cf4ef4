package vhostuser

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MaxFDs is the number of file descriptors taken with one receive. More than
// that is a protocol error: the peer was told the limit.
const MaxFDs = 16

// ErrTooManyFDs is returned by Recv when the peer passed more than MaxFDs file
// descriptors at once. The surplus has been closed.
var ErrTooManyFDs = errors.New("more file descriptors in one message than allowed")

// Socket is a connected UNIX stream socket in blocking mode.
//
// Recv may be called by one goroutine at a time, and so may Send; the two are
// independent of each other. Shutdown and Close are safe at any time.
type Socket struct {
	fd int
	rx transfer
	tx transfer

	mu     sync.Mutex // guards closed against a late Shutdown
	closed bool
}

// NewSocket takes over fd, which must be a connected UNIX stream socket. On an
// error fd remains the caller's.
func NewSocket(fd int) (*Socket, error) {
	for _, want := range []struct {
		opt, val int
		name     string
	}{
		{unix.SO_DOMAIN, unix.AF_UNIX, "a UNIX socket"},
		{unix.SO_TYPE, unix.SOCK_STREAM, "a stream socket"},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.opt)
		if err != nil {
			return nil, fmt.Errorf("file descriptor %d is not a socket: %w", fd, err)
		}
		if got != want.val {
			return nil, fmt.Errorf("file descriptor %d is not %s", fd, want.name)
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	s := &Socket{fd: fd}
	s.rx.init()
	s.tx.init()
	return s, nil
}

// Recv reads what has arrived into p, at most len(p) bytes, and returns the
// file descriptors that came with it; they are the caller's. Without wait it
// returns (0, nil, nil) if nothing has arrived. At the end of the stream it
// returns io.EOF.
//
// The kernel ends a receive after the data of a send that carried file
// descriptors. So the descriptors belong to the sender's message that the last
// byte returned is part of.
func (s *Socket) Recv(p []byte, wait bool) (int, []int, error) {
	for {
		n, errno := s.rx.recv(s.fd, p, wait)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			if wait {
				continue
			}
			return 0, nil, nil
		case unix.ECONNRESET: // the peer went away with our data unread
			return 0, nil, io.EOF
		default:
			return 0, nil, errno
		}
		fds, err := s.rx.rights()
		if err != nil {
			CloseFDs(fds)
			return 0, nil, err
		}
		if n == 0 && len(p) > 0 {
			CloseFDs(fds)
			return 0, nil, io.EOF
		}
		return n, fds, nil
	}
}

// Send writes p followed by q as one message, with fds attached to its first
// byte. It blocks while the peer does not read.
func (s *Socket) Send(p, q []byte, fds ...int) error {
	for {
		n, errno := s.tx.send(s.fd, p, q, fds)
		switch errno {
		case 0:
		case unix.EINTR, unix.EAGAIN:
			continue
		default:
			return errno
		}
		if n == len(p)+len(q) {
			return nil
		}
		// A signal cut the call short: go on with the rest.
		fds = nil
		k := min(n, len(p))
		p, q = p[k:], q[n-k:]
	}
}

// WaitReadable waits for data or the end of the stream, at most d.
func (s *Socket) WaitReadable(d time.Duration) (bool, error) { return s.wait(unix.POLLIN, d) }

// WaitWritable waits until a short message can be sent without blocking, at
// most d.
func (s *Socket) WaitWritable(d time.Duration) (bool, error) { return s.wait(unix.POLLOUT, d) }

func (s *Socket) wait(events int16, d time.Duration) (bool, error) {
	deadline := time.Now().Add(d)
	for {
		ts := unix.NsecToTimespec(max(int64(d), 0))
		pfd := [1]unix.PollFd{{Fd: int32(s.fd), Events: events}}
		n, err := unix.Ppoll(pfd[:], &ts, nil)
		if err == unix.EINTR {
			d = time.Until(deadline)
			continue
		}
		return n > 0, err
	}
}

// Unread returns the number of bytes that have arrived and are not yet read.
func (s *Socket) Unread() int {
	n, err := unix.IoctlGetInt(s.fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// ShutdownRead refuses further data from the peer. What it has sent before can
// still be received, then Recv returns io.EOF.
func (s *Socket) ShutdownRead() { s.shutdown(unix.SHUT_RD) }

// Shutdown ends both directions: a Recv or Send that blocks returns.
func (s *Socket) Shutdown() { s.shutdown(unix.SHUT_RDWR) }

func (s *Socket) shutdown(how int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		unix.Shutdown(s.fd, how) // fails only if the peer is gone already
	}
}

// Close closes the socket. No Recv or Send may be under way.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return unix.Close(s.fd)
}

// HungUp reports whether the peer has closed its side.
func (s *Socket) HungUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	pfd := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(pfd[:], 0)
	return err == nil && n > 0 && pfd[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) != 0
}

// Peer returns the process and user at the other end, as they were when it
// connected.
func (s *Socket) Peer() (pid, uid int, err error) {
	c, err := unix.GetsockoptUcred(s.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return int(c.Pid), int(c.Uid), nil
}

// CloseFDs closes file descriptors that nobody wants.
func CloseFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
