package vhostuser

import "golang.org/x/sys/unix"

// slice is how long, in nanoseconds, a thread that serves a peer wants to run at
// a time. It answers within microseconds, and the shorter a thread's slice, the
// sooner the scheduler lets it have the CPU of a busy machine when a message or
// an event wakes it (EEVDF, from Linux 6.12 on; older kernels take no notice).
// Without it a guest's register read took up to half as long again beside other
// work; see docs/benchmarks.md.
const slice = 100_000

// Prompt asks for short slices for the calling thread, to which the caller is
// locked, and returns what takes that back. A system that refuses is left as it
// is: nothing depends on it but time.
func Prompt() (restore func()) {
	at, err := unix.SchedGetAttr(0, 0)
	if err != nil || at.Policy != unix.SCHED_NORMAL {
		return func() {}
	}
	at.Runtime = slice
	if unix.SchedSetAttr(0, at, 0) != nil {
		return func() {}
	}
	return func() {
		at.Runtime = 0 // the system's own
		unix.SchedSetAttr(0, at, 0)
	}
}
