package cryptoblock

import "github.com/qcemu/qcemu/devices/bus"

// line is the interrupt line of an execution environment on its way from the
// BAM to a processor: it can be late, and a fault can befall it.
type line struct {
	block   *Block
	out     bus.Line
	level   bool // as the BAM drives it
	seen    bool // as the processor sees it
	pending bool // a change is under way
	at      uint64
	spike   uint64 // a spurious assertion ends then; 0: there is none
}

// Set implements bus.Line.
func (l *line) Set(asserted bool) {
	l.level = asserted
	b := l.block
	delay := b.timing.Interrupt
	if b.faulty {
		var lost bool
		if delay, lost = b.faults.interrupt(l, delay, asserted); lost {
			return
		}
	}
	if delay == 0 {
		l.show(asserted)
		return
	}
	l.pending, l.at = true, b.now+delay
}

// show makes the processor see a level.
func (l *line) show(asserted bool) {
	l.pending = false
	if l.seen == asserted {
		return
	}
	l.seen = asserted
	if l.out != nil {
		l.out.Set(asserted)
	}
}

// tick lets arrive what is due.
func (l *line) tick(now uint64) {
	if l.pending && l.at <= now {
		l.show(l.level)
	}
	if l.spike != 0 && l.spike <= now {
		l.spike = 0
		l.show(l.level)
	}
}

// deadline returns when something arrives next.
func (l *line) deadline() (at uint64, ok bool) {
	switch {
	case l.pending && l.spike != 0:
		return min(l.at, l.spike), true
	case l.pending:
		return l.at, true
	}
	return l.spike, l.spike != 0
}
