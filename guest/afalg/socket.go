package afalg

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Error says which step failed on which algorithm. It unwraps to the errno:
// ENOENT where there is no such algorithm for user space, EBADMSG where a tag
// does not match.
type Error struct {
	Op   string // "bind", "set key", "send", ...
	Name string // the algorithm, as it was asked for
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("af_alg %s: %s: %v", e.Name, e.Op, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Types of algorithm, as the kernel names them at bind.
const (
	typeCipher = "skcipher"
	typeHash   = "hash"
	typeAEAD   = "aead"
)

// Sizes of the fields of a socket address for AF_ALG (linux/if_alg.h); both
// hold a terminating zero.
const (
	maxType = 14
	maxName = 64
)

// transform is a bound socket: an algorithm with its key.
type transform struct {
	fd   int
	name string
}

func (t *transform) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Name: t.name, Err: err}
}

// open binds a socket to the algorithm and gives it the key. A nil key sets
// none.
func open(kind, name string, key []byte) (*transform, error) {
	t := &transform{fd: -1, name: name}
	if name == "" || len(name) >= maxName || len(kind) >= maxType {
		return nil, t.fail("bind", unix.EINVAL)
	}
	fd, err := unix.Socket(unix.AF_ALG, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, t.fail("socket", err)
	}
	t.fd = fd
	addr := &unix.SockaddrALG{Type: kind, Name: name}
	if err := retry(func() error { return unix.Bind(fd, addr) }); err != nil {
		t.close()
		return nil, t.fail("bind", err)
	}
	if key != nil {
		if err := retry(func() error { return setKey(fd, key) }); err != nil {
			t.close()
			return nil, t.fail("set key", err)
		}
	}
	return t, nil
}

func (t *transform) close() error {
	if t.fd < 0 {
		return nil
	}
	fd := t.fd
	t.fd = -1
	return unix.Close(fd)
}

// request is an operation socket.
type request struct {
	fd int
	t  *transform
}

// begin accepts an operation socket and makes room in it for size bytes each
// way, so that a whole request can be sent before its result is read.
func (t *transform) begin(size int) (*request, error) {
	var fd uintptr
	err := retry(func() error {
		// Not unix.Accept4: the kernel returns no peer address here, and
		// that function takes the lack of one for an error.
		n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(t.fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		fd = n
		return errnoError(errno)
	})
	if err != nil {
		return nil, t.fail("accept", err)
	}
	r := &request{fd: int(fd), t: t}
	if err := r.reserve(size); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// Room that a socket has without being asked for more, by a safe margin: the
// kernel's default is 208 KiB.
const defaultRoom = 128 << 10

func (r *request) reserve(size int) error {
	if size <= defaultRoom {
		return nil
	}
	size += 64 << 10 // pages are counted whole, and a chunk may share none
	for _, opt := range []struct{ forced, polite int }{
		{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF},
	} {
		err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, opt.forced, size)
		if err == unix.EPERM {
			err = unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, opt.polite, size)
		}
		if err != nil {
			return r.t.fail("size the buffers", err)
		}
	}
	return nil
}

func (r *request) close() { unix.Close(r.fd) }

// send passes the buffers on, as one message. more says that the request goes
// on after them.
func (r *request) send(more bool, control []byte, bufs ...[]byte) error {
	flags := 0
	if more {
		flags = unix.MSG_MORE
	}
	left := 0
	for _, b := range bufs {
		left += len(b)
	}
	for {
		var n int
		err := retry(func() (err error) {
			n, err = sendmsg(r.fd, bufs, control, flags)
			return err
		})
		if err != nil {
			return r.t.fail("send", err)
		}
		if left -= n; left <= 0 {
			return nil
		}
		if n == 0 {
			return r.t.fail("send", unix.EIO)
		}
		control = nil // the request is set up by now
		bufs = advance(bufs, n)
	}
}

// advance drops the first n bytes of the buffers, without changing the caller's
// slice.
func advance(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs = append([][]byte{bufs[0][n:]}, bufs[1:]...)
	}
	return bufs
}

// receive runs what was sent and returns how much of dst it filled.
func (r *request) receive(dst []byte) (int, error) {
	var n int
	err := retry(func() (err error) {
		n, _, err = unix.Recvfrom(r.fd, dst, 0)
		return err
	})
	if err != nil {
		return 0, r.t.fail("receive", err)
	}
	return n, nil
}

// receiveFull runs what was sent until dst is full. The kernel may process a
// long request in several parts.
func (r *request) receiveFull(dst []byte) error {
	for len(dst) > 0 {
		n, err := r.receive(dst)
		if err != nil {
			return err
		}
		if n == 0 {
			return r.t.fail("receive", fmt.Errorf("the kernel left %d bytes out", len(dst)))
		}
		dst = dst[n:]
	}
	return nil
}

// retry runs f again as long as a signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

func errnoError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
