package checker

import (
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// side is what the checker knows of an execution environment.
type side struct {
	guarded uint32 // register writes since its last GO that were made under its lock
	naked   uint32 // and those that were not
	first   uint64 // Seq of the first of them
	early   early  // the first of them
	accused bool   // of configuring without the lock, since its last GO
	line    bool   // level of its interrupt line
	served  bool   // has cleared an interrupt since it last read STATUS
	waiting int8   // pipes of it that wait for another one's lock
	ended   uint64 // Seq of the end of its last operation, 0 once STATUS was read
	touched uint64 // Seq of its last write to the engine

	bare     bool   // its last operation was started by a command, without its lock
	accesses uint64 // of its processor to the block
}

// early is a register write that came before LOCK.
type early struct {
	by  trace.Master
	off uint32
}

// op is the operation that runs.
type op struct {
	running bool
	ee      uint8
	input   int8 // pipe
	in      uint64
	bytes   uint64
	begun   uint64 // Seq
	limit   uint64 // Seq
}

// engineWrite is a register write to the engine.
func (c *Checker) engineWrite(e *trace.Event) {
	if e.Off == qce.Version { // the dummy that carries LOCK and UNLOCK
		return
	}
	ee := e.By.EE & (bam.MaxEEs - 1)
	s := &c.sides[ee]
	s.touched = e.Seq
	own := c.lock.held && c.lock.ee == ee
	if !own && !s.accused && c.contested(ee) {
		s.accused = true
		c.report(cfgContested, e, e.Value)
	}
	if own && e.By.Via == trace.CPU && !c.op.running && c.pipes[c.lock.owner].pending() != 0 {
		c.report(cpuAmongCommands, e, e.Value)
	}
	if e.Off == qce.GoProc || e.Off == qce.GoProcQCKey || e.Off == qce.GoProcOEMKey {
		if own && s.naked != 0 {
			c.beforeLock(s, e)
		}
		if own {
			c.lock.used = true
		}
		s.guarded, s.naked, s.accused = 0, 0, false
		return
	}
	switch {
	case c.op.running && c.op.ee == ee: // a mistake, and no beginning of the next request
	case !own:
		if s.naked == 0 {
			s.first, s.early = e.Seq, early{e.By, e.Off}
		}
		s.naked++
	case uint8(e.By.Pipe) >= bam.MaxPipes || !c.pipes[e.By.Pipe].unlocks: // else it parks the engine
		s.guarded++
	}
}

// beforeLock reports the first register of an operation's configuration that was
// written before LOCK. e is its GO.
func (c *Checker) beforeLock(s *side, e *trace.Event) {
	c.ev = *e
	c.ev.Kind, c.ev.Rule, c.ev.Op = trace.Anomaly, &rules[cfgBeforeLock], nil
	c.ev.By, c.ev.Off, c.ev.Value = s.early.by, s.early.off, uint64(s.naked)
	c.out.Emit(&c.ev)
}

// contested reports whether a side other than ee uses the engine, has used it
// while ee was configuring, or waits for its lock.
func (c *Checker) contested(ee uint8) bool {
	if !c.cfg.Layout.PipeLock() {
		return false
	}
	if c.lock.held || c.op.running && c.op.ee != ee {
		return true
	}
	own := &c.sides[ee]
	for i := range c.sides {
		s := &c.sides[i]
		if uint8(i) != ee && (s.guarded|s.naked != 0 || s.waiting != 0 || own.naked != 0 && s.touched > own.first) {
			return true
		}
	}
	return false
}

// engineRead is a register read from the engine.
func (c *Checker) engineRead(e *trace.Event) {
	if e.Off != qce.Status || e.By.Via != trace.CPU {
		return
	}
	ee := e.By.EE & (bam.MaxEEs - 1)
	s := &c.sides[ee]
	if s.served && c.unfinished(ee) {
		c.report(statusEarly, e, e.Value)
	}
	if s.ended != 0 {
		for i := range c.sides {
			if uint8(i) != ee && c.sides[i].touched > s.ended {
				c.report(statusOfOther, e, uint64(i))
				break
			}
		}
	}
	s.served, s.ended = false, 0
}

// unfinished reports whether a side's request has begun and its operation is
// not over.
func (c *Checker) unfinished(ee uint8) bool {
	s := &c.sides[ee]
	return c.op.running && c.op.ee == ee || s.guarded|s.naked != 0 || c.holds(ee) && !c.lock.used
}

func (c *Checker) opStart(e *trace.Event) {
	ee := e.By.EE & (bam.MaxEEs - 1)
	c.sides[ee].bare = e.By.Via == trace.Command && !c.holds(ee)
	if c.holds(ee) {
		if c.lock.ran {
			c.report(lockShared, e, 0)
		}
		c.lock.ran = true
	}
	c.op = op{running: true, ee: ee, input: -1, bytes: uint64(e.Size), begun: e.Seq, limit: e.Seq + c.cfg.Patience}
	if e.Op != nil {
		c.op.input = int8(e.Op.PipeSet * 2)
	}
	c.watch()
}

func (c *Checker) dataIn(e *trace.Event) {
	if p := c.pipe(e); p != nil {
		p.moved += uint64(e.Size)
	}
	if c.op.running && e.Pipe == c.op.input {
		c.op.in += uint64(e.Size)
	}
}

func (c *Checker) opEnd(e *trace.Event) {
	c.op.running = false
	c.sides[c.op.ee].ended = e.Seq
	c.watch()
}

// hung reports an operation that does not end, as of its beginning, at the pipe that
// it waits for.
func (c *Checker) hung() {
	r, at := outputMissing, c.op.input|1
	if c.op.in < c.op.bytes {
		r, at = inputMissing, c.op.input
	}
	if uint8(at) >= bam.MaxPipes {
		c.reportSide(r, c.op.ee, c.op.begun, c.op.in)
		return
	}
	c.reportBy(r, &c.pipes[at], c.op.ee, c.op.begun, c.op.in)
}
