package bam

import (
	"math/bits"

	"github.com/qcemu/qcemu/devices/trace"
)

// lock is the pipe lock (§8). While it is held, pipes outside the owner's group and
// execution environment do not fetch descriptors; what they have fetched, they finish.
//
// Pipes that had to wait are served first when the lock is released: one after the
// other, in the order they began to wait, each fetches a descriptor, and every other
// pipe waits for that. So a pipe that locks again and again starves nobody.
type lock struct {
	held    bool
	owner   int8
	ee      uint8 // of the owner, when it locked
	group   uint8
	super   uint8
	blocked uint32 // pipes that may not fetch because of the lock
	waiting uint32 // pipes that had to wait, and have not fetched since
	barred  uint32 // pipes that may not fetch now
	tickets uint64
}

// lockFlags takes away what a LOCK or UNLOCK must not do, and reports it.
func (b *BAM) lockFlags(p *pipe) uint16 {
	const both = FlagLOCK | FlagUNLOCK
	switch {
	case !b.cfg.Layout.PipeLock():
		b.complain(lockUnsupported, p, 0)
		p.flags &^= both
	case p.flags&both == both:
		b.complain(lockAndUnlock, p, 0)
		p.flags &^= both
	}
	return p.flags & both
}

// locksAtFetch applies LOCK and UNLOCK before the elements of their descriptor.
func (b *BAM) locksAtFetch(p *pipe) {
	switch b.lockFlags(p) {
	case FlagLOCK:
		if b.cfg.Readings.Lock == LockAtFetch {
			b.take(p)
		}
	case FlagUNLOCK:
		if b.cfg.Readings.Unlock == UnlockBeforeElements {
			b.give(p)
		}
	}
}

// locksAtEnd applies them after the elements.
func (b *BAM) locksAtEnd(p *pipe) {
	switch p.flags & (FlagLOCK | FlagUNLOCK) {
	case FlagLOCK:
		if b.cfg.Readings.Lock == LockAfterElements {
			b.take(p)
		}
	case FlagUNLOCK:
		if b.cfg.Readings.Unlock == UnlockAfterElements {
			b.give(p)
		}
	}
}

// take is LOCK. It does not nest (§8 [C]).
func (b *BAM) take(p *pipe) {
	l := &b.lock
	if l.held {
		if l.owner == p.id {
			b.complain(lockTwice, p, 0)
		} else {
			b.complain(lockOfPeer, p, uint64(l.group))
		}
		return
	}
	l.held, l.owner, l.ee, l.group, l.super = true, p.id, p.ee, p.group(), p.super()
	b.event(trace.Lock, p)
	b.periph.SetLock(p.by, true)
	b.relock()
}

// give is UNLOCK.
func (b *BAM) give(p *pipe) {
	switch {
	case !b.lock.held:
		b.complain(unlockWithout, p, 0)
	case b.lock.owner != p.id:
		b.complain(unlockByOther, p, uint64(b.lock.owner))
	default:
		b.unlock(trace.ByUnlock)
	}
}

// unlock releases the lock.
func (b *BAM) unlock(cause trace.UnlockCause) {
	p := &b.pipes[b.lock.owner]
	b.lock.held = false
	b.lock.blocked = 0
	if b.sink != nil {
		b.unlockEvent(p, cause)
	}
	b.periph.SetLock(p.by, false)
	b.bar()
}

// relock recomputes whom the lock blocks, after a change of the lock, or of the group or
// owner of a pipe.
func (b *BAM) relock() {
	l := &b.lock
	if !l.held {
		return
	}
	all := uint32(1)<<len(b.pipes) - 1
	peers := b.ees[l.ee].owned // nobody else can share the lock
	if b.cfg.Readings.SuperGroup == SuperGroupShares {
		peers = all
	}
	l.blocked = all &^ b.pipes[l.owner].bit
	for w := peers & l.blocked; w != 0; w &= w - 1 {
		if p := &b.pipes[bits.TrailingZeros32(w)]; b.sharesLock(p) {
			l.blocked &^= p.bit
		}
	}
	for w := b.active & b.fetch & l.blocked &^ l.waiting; w != 0; w &= w - 1 {
		b.queue(&b.pipes[bits.TrailingZeros32(w)])
	}
	b.bar()
}

func (b *BAM) sharesLock(p *pipe) bool {
	l := &b.lock
	if p.ee == l.ee && p.group() == l.group {
		return true
	}
	return b.cfg.Readings.SuperGroup == SuperGroupShares && l.super != 0 && p.super() == l.super
}

// queue lets a pipe that wants to fetch and is blocked begin to wait, and one that no
// longer wants to, stop waiting.
func (b *BAM) queue(p *pipe) {
	wants := b.active&b.fetch&p.bit != 0
	if b.lock.waiting&p.bit != 0 {
		if !wants {
			b.dequeue(p)
		}
		return
	}
	if wants && b.lock.blocked&p.bit != 0 {
		b.lock.tickets++
		p.ticket = b.lock.tickets
		b.lock.waiting |= p.bit
		b.event(trace.LockWait, p)
	}
}

func (b *BAM) dequeue(p *pipe) {
	b.lock.waiting &^= p.bit
	b.bar()
}

// bar recomputes who may not fetch now.
func (b *BAM) bar() {
	l := &b.lock
	switch {
	case l.held:
		l.barred = l.blocked
	case l.waiting == 0 || b.cfg.Readings.Arbiter == ArbiterAny:
		l.barred = 0
	default:
		first := -1
		for w := l.waiting; w != 0; w &= w - 1 {
			i := bits.TrailingZeros32(w)
			if first < 0 || b.pipes[i].ticket < b.pipes[first].ticket {
				first = i
			}
		}
		l.barred = ^(uint32(1) << first)
	}
}
