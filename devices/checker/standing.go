package checker

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/bam"
)

// Standing says what an execution environment has begun that cannot come to its
// end unless somebody does something more: "" for nothing. mark changes with each
// access of its processor to the block, as long as they are of use: whoever finds
// the same words with the same mark for long has found a driver that hangs.
func (c *Checker) Standing(ee int) (what string, mark uint64) {
	s := &c.sides[ee&(bam.MaxEEs-1)]
	for i := range c.pipes {
		if p := &c.pipes[i]; int(p.ee) == ee && p.pendingIRQ >= c.cfg.Polls {
			return fmt.Sprintf("the interrupt of pipe %d is never cleared", i), 0
		}
	}
	if c.poll.told && c.poll.seq == c.last && int(c.poll.by.EE) == ee {
		return fmt.Sprintf("the register at 0x%x of %v is read over and over", c.poll.off, c.poll.block), 0
	}
	return c.unfinishedWork(ee), s.accesses
}

// unfinishedWork is an operation that runs, else the first pipe with descriptors
// that are not done.
func (c *Checker) unfinishedWork(ee int) string {
	if c.op.running && int(c.op.ee) == ee {
		if c.op.in < c.op.bytes {
			return fmt.Sprintf("the engine waits for input: of the %d bytes that SEG_SIZE says, %d came", c.op.bytes, c.op.in)
		}
		return fmt.Sprintf("the engine has taken all %d bytes of its input and waits for room for its output", c.op.bytes)
	}
	for i := range c.pipes {
		p := &c.pipes[i]
		if int(p.ee) != ee || p.pending() == 0 {
			continue
		}
		why := ""
		if c.stuck(p) {
			why = fmt.Sprintf(": %d bytes of its data were taken, and no operation runs that takes the rest", p.moved)
		}
		if p.waits && c.lock.held {
			why = fmt.Sprintf(": it waits for the lock, which pipe %d of EE%d holds", c.lock.owner, c.lock.ee)
		}
		return fmt.Sprintf("the descriptors of pipe %d from 0x%x to 0x%x are published and not done%s", i, p.rd, p.tail, why)
	}
	return ""
}
