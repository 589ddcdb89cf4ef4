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

// take reads an eventfd, which does not block.
func (w *Waiter) take(fd int) {
	unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&w.buf[0])), uintptr(len(w.buf)))
}

// signal writes to an eventfd that does not block: the scheduler need not know
// of it.
func signal(fd int) {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), uintptr(len(one)))
		if errno != unix.EINTR {
			return
		}
	}
}
