package qce

import "github.com/qcemu/qcemu/devices/trace"

// The methods here are the engine's side of the BAM: pipe 2n feeds pipe set n,
// pipe 2n+1 takes its output (datasheet §1).

// In returns the space for the next bytes of a consumer pipe: of the running
// operation, as long as it needs input, or of a transfer whose rest is dropped.
func (e *Engine) In(pipe int) []byte {
	set, ok := inputSet(pipe)
	if !ok {
		return nil
	}
	if e.ports[set].drain {
		return e.waste
	}
	o := &e.op
	if !e.uses(set) || o.phase != run || o.in == o.seg {
		return nil
	}
	e.compact()
	n := min(len(e.buf)-tailMax-e.fill, int(o.seg-o.in))
	if n <= 0 {
		return nil
	}
	return e.buf[e.fill : e.fill+n]
}

// Fed takes n bytes that In had space for; last and eot say whether a descriptor
// ends with them, and whether it has EOT.
func (e *Engine) Fed(pipe, n int, last, eot bool) {
	space := len(e.In(pipe))
	set, ok := inputSet(pipe)
	if !ok {
		return
	}
	n = max(min(n, space), 0)
	o := &e.op
	if p := &e.ports[set]; p.drain {
		p.waste += uint32(n)
		if eot {
			if p.late {
				e.noteOp(ruleStale, SegSize, p.waste, 0)
			}
			*p = port{}
		}
		return
	}
	if !e.uses(set) || o.phase != run {
		return
	}
	e.fill += n
	o.in += uint32(n)
	switch {
	case o.in == o.seg:
		o.last, o.eot = last, eot
	case eot:
		e.noteOp(ruleEarlyEOT, SegSize, o.in, uint64(o.seg))
	}
}

// Out returns the output that waits for a producer pipe. The last of it ends
// the transfer.
func (e *Engine) Out(pipe int) (p []byte, eot bool) {
	if pipe&1 == 0 || !e.uses(pipe>>1) {
		return nil, false
	}
	eot = e.op.phase == tail
	if p = e.buf[e.sent:e.done]; len(p) == 0 && !eot {
		return nil, false
	}
	return p, eot
}

// Drained takes note that n bytes of Out are in memory. With the end of the
// transfer the operation is done.
func (e *Engine) Drained(pipe, n int, eot bool) {
	if pipe&1 == 0 || !e.uses(pipe>>1) {
		return
	}
	e.sent = min(e.sent+max(n, 0), e.done)
	if e.sent < e.done {
		return
	}
	if e.op.phase == tail {
		if eot {
			e.complete()
		}
		return
	}
	e.compact()
}

// NWDAck reports whether the engine is done with what a consumer pipe fed it:
// before SEG_SIZE as soon as it waits for more, with the last byte only when
// the operation is over.
func (e *Engine) NWDAck(pipe int) bool {
	set, ok := inputSet(pipe)
	if !ok || !e.uses(set) {
		return true
	}
	o := &e.op
	return o.phase == run && o.in < o.seg && e.next() == 0
}

// SetLock tells the engine that owner took or released the BAM's pipe lock.
func (e *Engine) SetLock(owner trace.Master, held bool) {
	if !held && e.lock.held && e.sink != nil {
		e.keysLeft(owner)
	}
	if !held {
		e.since.restart(owner.EE)
	}
	e.lock = lockState{held: held, owner: owner}
}

// Fault drops the operation whose data met a bus error.
func (e *Engine) Fault(pipe int) {
	if pipe < 0 || !e.uses(pipe>>1) {
		return
	}
	e.noteOp(ruleDataFault, 0, 0, uint64(pipe))
	e.abort(HsdErr)
}

// Flush is the reset of a pipe. What the engine holds for it is gone; an
// operation that still needs the pipe ends without result, so that the next
// request does not find a busy engine (a reading).
func (e *Engine) Flush(pipe int) {
	if set, ok := inputSet(pipe); ok {
		e.ports[set] = port{}
	}
	if pipe < 0 || !e.uses(pipe>>1) {
		return
	}
	o := &e.op
	input := pipe&1 == 0
	if input && o.phase == tail {
		return // it needs no more input
	}
	e.noteOp(ruleMidReset, 0, 0, uint64(pipe))
	switch {
	case e.rd[rdPipeReset] != pipeResetWaits:
		e.abort(HsdErr)
	case input:
		e.fill, o.in = e.done, o.pos
	default:
		e.sent = e.done
		if o.phase == tail {
			e.complete()
		}
	}
}

// openPort looks for the rest of an earlier transfer when an operation starts.
func (e *Engine) openPort() {
	o := &e.op
	p := &e.ports[o.set]
	if o.pio || !p.open {
		return
	}
	if e.rd[rdStale] == staleFeed && !p.drain {
		*p = port{}
		return
	}
	p.drain, p.late = true, true
}

// uses reports whether the running operation has its data on a pipe set.
func (e *Engine) uses(set int) bool {
	return e.op.phase != idle && !e.op.pio && int(e.op.set) == set
}

func inputSet(pipe int) (set int, ok bool) {
	return pipe >> 1, pipe >= 0 && pipe&1 == 0 && pipe>>1 < maxPipeSets
}
