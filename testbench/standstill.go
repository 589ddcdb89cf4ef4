package testbench

import (
	"fmt"
	"time"
)

// stillLimit is how long nothing may move although something is to be done. A
// driver that works never leaves the engine like that: what it has published
// is done as soon as it can be, and then the driver is told. A hang is
// told from a busy machine by this, and need not be waited for.
const stillLimit = time.Minute

// standstill finds out that a driver hangs.
type standstill struct {
	look    func() (what string, mark uint64) // as model.Standing
	blocked func() bool                       // whether the kernel says that a task waits

	what  string
	mark  uint64
	since time.Time     // of what and mark
	last  time.Time     // when it was looked
	still time.Duration // since then, without what the host itself stood still
}

// lookEvery is how far apart two looks are at the most, unless the host stands still.
const lookEvery = 5 * time.Second

// blockedTask is what stands still if only the kernel knows of it.
const blockedTask = "a task is blocked, says the kernel, and the block has nothing left to do: an interrupt is missing, or the driver does not look for one"

// check says what has stood still for too long, "" for nothing. heard is when the
// guest last told of its work; what its kernel says on the console does not count,
// for of blocked tasks it tells again and again.
func (s *standstill) check(now, heard time.Time) string {
	what, mark := s.look()
	if what == "" && s.blocked() {
		what = blockedTask
	}
	if what != s.what || mark != s.mark || heard.After(s.since) {
		s.what, s.mark, s.since, s.still = what, mark, now, 0
	} else {
		s.still += min(now.Sub(s.last), lookEvery)
	}
	s.last = now
	if what == "" || s.still < stillLimit {
		return ""
	}
	return fmt.Sprintf("the guest hangs, nothing has moved for %v: %s", stillLimit, what)
}
