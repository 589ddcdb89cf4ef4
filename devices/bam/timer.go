package bam

// timer is an inactivity timer: one-shot, in eighths of a millisecond (§3).
type timer struct {
	ctrl  uint32
	since uint64 // ns: when it last started from 0
	fired bool
}

const tick = 125_000 // ns

func (t *timer) running() bool {
	return t.ctrl&(timerRst|timerRun) == timerRst|timerRun && !t.fired
}

func (t *timer) deadline() uint64 { return t.since + uint64(t.ctrl&0xFFFF)*tick }

func (t *timer) value(now uint64) uint32 {
	if t.ctrl&timerRst == 0 {
		return 0
	}
	return uint32(min((now-min(t.since, now))/tick, uint64(t.ctrl&0xFFFF)))
}

// Advance tells the BAM what time it is, in ns. It must not go back. Events of the stream
// carry this time, and inactivity timers run on it.
func (b *BAM) Advance(now uint64) {
	b.now = now
	if !b.cfg.Timers {
		return
	}
	for i := range b.pipes {
		p := &b.pipes[i]
		if p.timer.running() && p.ctrl&pctrlEN != 0 && now >= p.timer.deadline() {
			p.timer.fired = true
			b.raise(p, IRQTimer)
		}
	}
	if b.timer.running() && now >= b.timer.deadline() {
		b.timer.fired = true
		b.irqStts |= bamIRQTimer
		b.updateLine(b.globalEE())
	}
}

// Deadline returns the time at which the next timer runs out, if one is running.
func (b *BAM) Deadline() (at uint64, ok bool) {
	if !b.cfg.Timers {
		return 0, false
	}
	next := func(t *timer) {
		if d := t.deadline(); t.running() && (!ok || d < at) {
			at, ok = d, true
		}
	}
	next(&b.timer)
	for i := range b.pipes {
		if b.pipes[i].ctrl&pctrlEN != 0 {
			next(&b.pipes[i].timer)
		}
	}
	return at, ok
}

// touch restarts the timers that watch a pipe.
func (b *BAM) touch(p *pipe) {
	p.timer.since = b.now
	b.timer.since = b.now
}

// startTimer starts a timer from 0.
func (b *BAM) startTimer(t *timer) {
	t.since = b.now
	t.fired = false
}

// setTimer is a write of BAM_TIMER_CTRL or P_TIMER_CTRL.
func (b *BAM) setTimer(t *timer, v uint32) {
	t.ctrl = v
	b.startTimer(t)
}
