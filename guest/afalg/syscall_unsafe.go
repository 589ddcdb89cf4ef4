package afalg

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendmsg is sendmsg(2). It is not unix.SendmsgBuffers because that one adds a
// byte of payload to a message which has only control data, and so makes a
// request of length 1 out of an empty one.
func sendmsg(fd int, bufs [][]byte, control []byte, flags int) (int, error) {
	iov := make([]unix.Iovec, 0, len(bufs))
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(len(b))
		iov = append(iov, v)
	}
	hdr := new(unix.Msghdr)
	if len(iov) > 0 {
		hdr.Iov = &iov[0]
		hdr.SetIovlen(len(iov))
	}
	if len(control) > 0 {
		hdr.Control = &control[0]
		hdr.SetControllen(len(control))
	}
	n, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(hdr)), uintptr(flags))
	runtime.KeepAlive(iov)
	runtime.KeepAlive(control)
	return int(n), errnoError(errno)
}

// setKey is the ALG_SET_KEY socket option, which x/sys offers for strings only:
// a key in a string could not be wiped.
func setKey(fd int, key []byte) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_ALG, unix.ALG_SET_KEY,
		uintptr(unsafe.Pointer(unsafe.SliceData(key))), uintptr(len(key)), 0)
	return errnoError(errno)
}
