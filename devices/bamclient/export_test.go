package bamclient

import (
	"time"

	"github.com/qcemu/qcemu/devices/bam"
)

// HoldLock takes the lock with a command list of its own and keeps it until
// release is closed.
func HoldLock(c *Client, held chan<- struct{}, release <-chan struct{}) error {
	command := func(flags uint32) error {
		c.mem.mu.Lock()
		c.mem.element(unlock, c.profile.QCEOffset, 0)
		c.mem.push(&c.rx, unlock, bam.ElementSize, bam.FlagCMD|bam.FlagINT|flags)
		c.mem.mu.Unlock()
		c.write(bam.PEvntReg, c.rx.pipe, c.rx.tail)
		for !c.done(&c.rx) {
			if err := c.sleep(nil); err != nil {
				return err
			}
		}
		c.interrupt()
		return nil
	}
	c.setUp()
	if err := command(bam.FlagLOCK); err != nil {
		return err
	}
	close(held)
	<-release
	return command(bam.FlagUNLOCK)
}

// Stall halts the pipe that the results come out of.
func Stall(c *Client) { c.write(bam.PHalt, c.tx.pipe, 1) }

// Stuck returns a function that looks whether a canceled operation stands still.
func Stuck(c *Client) func() bool {
	p := &progress{moves: c.mem.moved(), at: time.Now()}
	return func() bool { return c.stuck(p) }
}
