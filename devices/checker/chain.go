package checker

import (
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/trace"
)

// pipe is what the checker knows of a pipe.
type pipe struct {
	id       int8
	ee       uint8 // owner
	producer bool
	waits    bool // for another one's lock
	locker   bool // has locked before
	lost     bool // a reset took its lock away, and it has not locked since
	after    bool // an UNLOCK of the chain in progress has run
	bare     bool // the chain in progress is reported as running without the lock
	data     bool // the last descriptor of the chain was data, without NWD
	unlocks  bool // the current descriptor has UNLOCK
	ended    bool // the engine ended the transfer in the current descriptor
	flags    uint16

	begun uint64 // Seq of the fetch of the data that it feeds to the engine, 0 for none
	addr  uint64 // of that data
	size  uint32
	moved uint64 // how much of it

	ring, rd, tail uint32
	ends           [1 << 16 / bam.DescriptorSize / 64]uint64 // slots that are the last of what one P_EVNT_REG write published
	pendingIRQ     uint32                                    // times it was seen as interrupt source and not cleared
}

// lock mirrors the pipe lock.
type lock struct {
	held  bool
	owner int8
	ee    uint8
	since uint64 // Seq
	limit uint64
	used  bool // GO since LOCK
	ran   bool // an operation has begun since LOCK
}

// holds reports whether a side has the lock.
func (c *Checker) holds(ee uint8) bool { return c.lock.held && c.lock.ee == ee }

// pending is the number of published descriptors that are not done.
func (p *pipe) pending() uint32 {
	switch {
	case p.tail >= p.rd:
		return (p.tail - p.rd) / bam.DescriptorSize
	case p.ring != 0:
		return (p.tail + p.ring - p.rd) / bam.DescriptorSize
	}
	return 0
}

func (p *pipe) next(off uint32) uint32 {
	if off += bam.DescriptorSize; off < p.ring {
		return off
	}
	return 0
}

// publish follows a write of P_EVNT_REG.
func (p *pipe) publish(v uint32) {
	tail := v & 0xFFF8
	if tail >= p.ring || tail == p.tail {
		return
	}
	p.tail = tail
	end := tail
	if end == 0 {
		end = p.ring
	}
	slot := end/bam.DescriptorSize - 1
	p.ends[slot/64] |= 1 << (slot % 64)
}

// last reports whether the descriptor at an offset is the last of those that
// were published together.
func (p *pipe) last(off uint32) bool {
	slot := off / bam.DescriptorSize
	return p.ends[slot/64&(uint32(len(p.ends))-1)]>>(slot%64)&1 != 0
}

func (p *pipe) forget(off uint32) {
	slot := off / bam.DescriptorSize
	p.ends[slot/64&(uint32(len(p.ends))-1)] &^= 1 << (slot % 64)
}

// bamWrite is a register write to the BAM.
func (c *Checker) bamWrite(e *trace.Event) {
	a := c.at(e.Off)
	switch a.reg {
	case other:
		return
	case irqSources, irqMask:
		c.masked(a.index)
		return
	}
	p := &c.pipes[a.index]
	if p.ee != e.By.EE && e.By.Via != trace.Model {
		return
	}
	switch a.reg {
	case pipeCtrl:
		const direction = 1 << 3
		p.producer = e.Value&direction != 0
	case pipeEvnt:
		p.publish(uint32(e.Value))
	case fifoSizes:
		p.ring = uint32(e.Value) & 0xFFF8
	case irqClr:
		p.pendingIRQ = 0
		c.sides[p.ee].served = c.sides[p.ee].served || e.Value != 0
	case irqEn:
		p.pendingIRQ = 0
	}
}

// fetch is a descriptor that a pipe has fetched.
func (c *Checker) fetch(e *trace.Event) {
	p := c.pipe(e)
	if p == nil {
		return
	}
	if p.waits {
		p.waits = false
		c.sides[p.ee].waiting--
	}
	p.rd, p.flags, p.ended = e.Off, e.Flags, false
	if p.producer {
		return
	}
	command := e.Flags&bam.FlagCMD != 0
	p.begun = 0
	if !command {
		p.begun, p.addr, p.size, p.moved = e.Seq, e.Addr, e.Size, 0
	}
	p.unlocks = command && e.Flags&bam.FlagUNLOCK != 0
	if s := &c.sides[p.ee]; p.unlocks && s.bare && !p.bare && !c.holds(p.ee) {
		s.bare = false
		c.report(unlockAlone, e, 0)
	}
	if p.data && command {
		if p.unlocks {
			c.report(unlockNoNWD, e, 0)
		} else {
			c.report(cmdBehindData, e, 0)
		}
	}
	if (p.locker || p.lost) && !c.holds(p.ee) && (!command || e.Flags&(bam.FlagLOCK|bam.FlagUNLOCK) == 0) {
		c.runsUnlocked(p, e)
	}
	p.data = !command && e.Flags&bam.FlagNWD == 0
}

// runsUnlocked is a descriptor of a pipe that should hold the lock and does not.
func (c *Checker) runsUnlocked(p *pipe, e *trace.Event) {
	if p.bare {
		return
	}
	p.bare = true
	switch {
	case p.after:
		c.report(afterUnlock, e, 0)
	case p.lost:
		c.report(lockLost, e, 0)
	default:
		c.report(chainUnlocked, e, 0)
	}
}

// done is a finished descriptor.
func (c *Checker) done(e *trace.Event) {
	p := c.pipe(e)
	if p == nil {
		return
	}
	p.rd = p.next(e.Off)
	p.unlocks = false
	p.begun = 0
	if p.rd == p.tail && p.flags&(bam.FlagINT|bam.FlagEOT) == 0 && !p.ended {
		c.report(chainSilent, e, 0)
	}
	if p.last(e.Off) {
		p.forget(e.Off)
		p.after, p.bare, p.data = false, false, false
	}
}

// stuck reports whether the pipe feeds data to the engine that nothing takes.
func (c *Checker) stuck(p *pipe) bool {
	return p.begun != 0 && p.moved < uint64(p.size) && p.pending() != 0 && !c.op.running
}

// reportStuck reports that at the descriptor of the data.
func (c *Checker) reportStuck(p *pipe) {
	c.ev = trace.Event{Seq: p.begun, Kind: trace.Anomaly, Rule: &rules[inputStays], Pipe: p.id, Off: p.rd, Addr: p.addr, Size: p.size, Flags: p.flags,
		Value: p.moved, By: trace.Master{Via: trace.Command, EE: p.ee, Pipe: p.id}}
	c.out.Emit(&c.ev)
}

// writeBack is a producer's descriptor, as it became.
func (c *Checker) writeBack(e *trace.Event) {
	if p := c.pipe(e); p != nil {
		p.ended = e.Flags&bam.FlagEOT != 0
	}
}

// lockWait is a pipe that has to wait for another one's lock.
func (c *Checker) lockWait(e *trace.Event) {
	if p := c.pipe(e); p != nil {
		p.waits = true
		c.sides[p.ee].waiting++
		if c.lock.held && c.lock.owner == p.id^1 {
			c.report(lockOfPartner, e, uint64(c.lock.owner))
		}
	}
}

func (c *Checker) locked(e *trace.Event) {
	p := c.pipe(e)
	if p == nil {
		return
	}
	p.locker, p.lost, p.after, p.bare = true, false, false, false
	c.lock = lock{held: true, owner: p.id, ee: p.ee, since: e.Seq, limit: e.Seq + c.cfg.Patience}
	c.watch()
}

func (c *Checker) unlocked(e *trace.Event) {
	p := c.pipe(e)
	c.lock.held = false
	c.watch()
	if p == nil || trace.UnlockCause(e.Value) != trace.ByUnlock {
		return
	}
	p.after = !p.last(p.rd)
	if c.op.running && c.op.ee == p.ee {
		c.reportAt(unlockBusy, p, e)
	}
	if s := &c.sides[p.ee]; s.guarded != 0 {
		c.reportAt(cfgCut, p, e)
		s.guarded = 0
	}
}

// reportAt reports a rule at the pipe's current descriptor.
func (c *Checker) reportAt(r rule, p *pipe, e *trace.Event) {
	c.ev = *e
	c.ev.Kind, c.ev.Rule, c.ev.Value, c.ev.Off, c.ev.Flags = trace.Anomaly, &rules[r], 0, p.rd, p.flags
	c.out.Emit(&c.ev)
}

// reset is P_RST, or the BAM's reset for each pipe.
func (c *Checker) reset(e *trace.Event) {
	p := c.pipe(e)
	if p == nil {
		return
	}
	if n := p.pending(); n != 0 {
		c.report(chainDropped, e, uint64(n))
	}
	if p.waits {
		c.sides[p.ee].waiting--
	}
	lost := p.lost || c.lock.held && c.lock.owner == p.id
	*p = pipe{id: p.id, ee: p.ee, locker: p.locker, lost: lost}
}

// fault is a bus error; Value says why (trace.BusFault).
func (c *Checker) fault(e *trace.Event) {
	if p := c.pipe(e); p != nil {
		p.begun = 0 // the pipe is dead
	}
	switch trace.FaultReason(e.Value) {
	case trace.FaultPartly:
		c.report(busPartly, e, 0)
	case trace.FaultReadOnly:
		c.report(busReadOnly, e, 0)
	}
}
