package vhostuser

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// transfer is the argument block of recvmsg or sendmsg for one direction of a
// socket, kept between calls so that a message costs no allocation.
//
// The kernel is handed pointers into Go memory; they are alive and at rest for
// the time of the call because transfer is part of the heap-allocated Socket,
// and the buffers are held by the iovecs as typed pointers.
type transfer struct {
	hdr unix.Msghdr
	iov [2]unix.Iovec
	oob [64 + 4*MaxFDs]byte // cmsg header and MaxFDs descriptors, aligned
}

func (t *transfer) init() {
	t.hdr.Iov = &t.iov[0]
	t.hdr.Control = &t.oob[0]
}

func (t *transfer) recv(fd int, p []byte, wait bool) (int, unix.Errno) {
	t.iov[0] = unix.Iovec{Base: unsafe.SliceData(p)}
	t.iov[0].SetLen(len(p))
	t.hdr.SetIovlen(1)
	t.hdr.SetControllen(unix.CmsgSpace(4 * MaxFDs))
	t.hdr.Flags = 0
	var n uintptr
	var errno unix.Errno
	if wait {
		n, _, errno = unix.Syscall(unix.SYS_RECVMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&t.hdr)), unix.MSG_CMSG_CLOEXEC)
	} else {
		// It cannot block, so the scheduler need not know of it.
		n, _, errno = unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&t.hdr)), unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	}
	if errno != 0 {
		t.hdr.SetControllen(0)
		return 0, errno
	}
	return int(n), 0
}

// rights returns the file descriptors that the last recv brought.
func (t *transfer) rights() ([]int, error) {
	if t.hdr.Controllen == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(t.oob[:t.hdr.Controllen])
	if err != nil {
		return nil, fmt.Errorf("control message of the socket: %w", err)
	}
	var fds []int
	for i := range msgs {
		if msgs[i].Header.Level != unix.SOL_SOCKET || msgs[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	if t.hdr.Flags&unix.MSG_CTRUNC != 0 {
		return fds, ErrTooManyFDs
	}
	return fds, nil
}

func (t *transfer) send(fd int, p, q []byte, fds []int) (int, unix.Errno) {
	t.iov[0] = unix.Iovec{Base: unsafe.SliceData(p)}
	t.iov[0].SetLen(len(p))
	t.hdr.SetIovlen(1)
	if len(q) > 0 {
		t.iov[1] = unix.Iovec{Base: unsafe.SliceData(q)}
		t.iov[1].SetLen(len(q))
		t.hdr.SetIovlen(2)
	}
	t.hdr.SetControllen(0)
	if len(fds) > 0 {
		t.hdr.SetControllen(copy(t.oob[:], unix.UnixRights(fds...)))
	}
	n, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&t.hdr)), unix.MSG_NOSIGNAL)
	t.iov = [2]unix.Iovec{}
	return int(n), errno
}
