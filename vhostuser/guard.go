package vhostuser

import "runtime/debug"

// copyGuarded copies src to dst, one of which is a mapped file. It returns
// false where the file has become shorter than the mapping: the kernel answers
// such an access with SIGBUS, which the runtime turns into a panic if asked to.
func copyGuarded(dst, src []byte) (ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if e := recover(); e != nil {
			if _, fault := e.(interface{ Addr() uintptr }); !fault {
				panic(e)
			}
			ok = false
		}
	}()
	copy(dst, src)
	return true
}
