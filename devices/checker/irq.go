package checker

import (
	"math/bits"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/trace"
)

// poll is a register that is read over and over.
type poll struct {
	by    trace.Master
	block trace.Block
	off   uint32
	value uint64
	since uint64 // model time
	seq   uint64 // of the last read
	n     uint32
	told  bool
}

// polled counts reads in a row of one register with one value. Any other event
// ends the row: the block is doing something, so the value may change. Where
// model time passes, the engine may be at work without an event.
func (c *Checker) polled(e *trace.Event) {
	p := &c.poll
	if e.Seq != p.seq+1 || p.off != e.Off || p.value != e.Value || p.block != e.Block || p.by != e.By {
		*p = poll{by: e.By, block: e.Block, off: e.Off, value: e.Value, since: e.Time}
	}
	p.n++
	p.seq = e.Seq
	if p.n >= c.cfg.Polls && !p.told && (e.Time == p.since || e.Time-p.since >= c.cfg.PollTime) {
		p.told = true
		c.report(pollForever, e, uint64(p.n))
	}
}

// bamRead is a register read from the BAM: of the interrupt sources, each one
// that is seen again and again must be cleared some time.
func (c *Checker) bamRead(e *trace.Event) {
	a := c.at(e.Off)
	if a.reg != irqSources || a.index != e.By.EE {
		return
	}
	for w := uint32(e.Value) & (1<<bam.MaxPipes - 1); w != 0; w &= w - 1 {
		p := &c.pipes[bits.TrailingZeros32(w)]
		if p.pendingIRQ++; p.pendingIRQ == c.cfg.Polls {
			at := *e
			at.Pipe = p.id
			c.report(irqUncleared, &at, uint64(p.pendingIRQ))
		}
	}
}

// lineSet is a change of an interrupt line.
func (c *Checker) lineSet(e *trace.Event) { c.sides[e.By.EE&(bam.MaxEEs-1)].line = e.Value != 0 }

// masked follows a change of an execution environment's interrupt mask.
func (c *Checker) masked(ee uint8) {
	for i := range c.pipes {
		if c.pipes[i].ee == ee {
			c.pipes[i].pendingIRQ = 0
		}
	}
}
