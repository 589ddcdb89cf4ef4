package vhostuser

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ppoll waits for the first n descriptors, at most d if that is not negative.
// With keep the runtime does not know that the thread waits; it can interrupt
// that by a signal, as it does when it wants to stop the thread.
func (w *Waiter) ppoll(n int, d time.Duration, keep bool) (int, error) {
	var ts *unix.Timespec
	if d >= 0 {
		w.ts = unix.NsecToTimespec(int64(d))
		ts = &w.ts
	}
	if !keep {
		return unix.Ppoll(w.pfd[:n], ts, nil)
	}
	ready, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&w.pfd[0])), uintptr(n),
		uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(ready), nil
}

// take reads an eventfd without ever waiting, whatever its mode is: that is the
// peer's to change. A kernel before 5.7 cannot do that for an eventfd; there a
// peer that takes its own event back can hold this thread, and no other.
func (w *Waiter) take(fd int) unix.Errno {
	w.iov = unix.Iovec{Base: &w.buf[0]}
	w.iov.SetLen(len(w.buf))
	const here = ^uintptr(0) // no offset, as read(2)
	_, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&w.iov)), 1, here, here, unix.RWF_NOWAIT)
	if errno == unix.EOPNOTSUPP || errno == unix.ENOSYS {
		_, _, errno = unix.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&w.buf[0])), uintptr(len(w.buf)))
	}
	return errno
}

// full reports whether a write to an eventfd would have to wait at this moment.
func full(fd int) bool {
	pfd := unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
	var now unix.Timespec
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&pfd)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno == 0 && n == 0
}

// signalOwn writes to an eventfd that does not block and that no peer has: the
// scheduler need not know of it.
func signalOwn(fd int) {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), uintptr(len(one)))
		if errno != unix.EINTR {
			return
		}
	}
}

// signalShared writes to an eventfd that a peer has too, and so may have made
// block: the scheduler knows of it, and nobody but this thread waits.
func signalShared(fd int) {
	for {
		_, _, errno := unix.Syscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), uintptr(len(one)))
		if errno != unix.EINTR {
			return
		}
	}
}

// Yield lets other threads run on this processor, if any want to.
func Yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
