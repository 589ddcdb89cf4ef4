package cryptoblock

import (
	"math/bits"
	"math/rand/v2"
	"syscall"
	"time"
)

// Party is one of those who can make the next step: a pipe by its number, the
// engine, or a master.
type Party int8

const (
	Proceed Party = -1 // nobody: what waits for the schedule goes on
	Engine  Party = 31
)

// MasterParty is the master of Options.Clients[i].
func MasterParty(i int) Party { return Party(32 + i) }

// Moment says what waits while a step is chosen.
type Moment uint8

const (
	Before Moment = iota // an access is about to be made
	After                // it has been made, its caller waits
	Idle                 // nobody waits
)

// Choice is what a schedule has to choose from.
type Choice struct {
	Moment  Moment
	Entry   *Entry // the one that is being made; not to be kept or changed
	Last    Party  // who made the step before; Proceed at the start
	Pipes   uint32 // that can make a step, one bit each
	Engine  bool
	Owner   int8   // EE whose operation the engine runs; -1: none
	Masters uint32 // one bit for each of Options.Clients
	Now     uint64 // model time, ns
}

// None reports whether nobody can make a step.
func (c *Choice) None() bool { return c.Pipes == 0 && !c.Engine && c.Masters == 0 }

// Fastest is the choice of the default order: pipes as they are numbered, then
// the engine, then masters.
func (c *Choice) Fastest() Party {
	switch {
	case c.Pipes != 0:
		return Party(bits.TrailingZeros32(c.Pipes))
	case c.Engine:
		return Engine
	case c.Masters != 0:
		return MasterParty(bits.TrailingZeros32(c.Masters))
	}
	return Proceed
}

// Pick is a choice by chance, each party alike.
func (c *Choice) Pick(r *rand.Rand) Party {
	pipes, masters := bits.OnesCount32(c.Pipes), bits.OnesCount32(c.Masters)
	n := pipes + masters
	if c.Engine {
		n++
	}
	if n == 0 {
		return Proceed
	}
	switch i := r.IntN(n); {
	case i < pipes:
		return Party(nth(c.Pipes, i))
	case i < pipes+masters:
		return MasterParty(nth(c.Masters, i-pipes))
	}
	return Engine
}

// nth is the number of the i-th bit that is set.
func nth(mask uint32, i int) int {
	for ; i > 0; i-- {
		mask &= mask - 1
	}
	return bits.TrailingZeros32(mask)
}

// Scheduler decides who makes the next step. Next is called before and after
// each access, again and again until it answers Proceed, which lets the access
// go on; whoever can still move then, moves with a later entry. At Idle it is
// not followed when it answers Proceed and somebody can move.
//
// A scheduler is part of the model: its decisions depend on nothing but what it
// was made with and what it has seen.
type Scheduler interface {
	Next(c *Choice) Party
	// Reset is the power-on reset of the chip.
	Reset()
}

// NewRandomOrder returns a schedule that lets parties move in a random order,
// and accesses come in between: any order is a legal behaviour of the hardware.
func NewRandomOrder(seed uint64) Scheduler {
	return &randomOrder{rand: rand.New(rand.NewPCG(seed, 0x6f72646572))}
}

type randomOrder struct{ rand *rand.Rand }

func (o *randomOrder) Next(c *Choice) Party {
	// Before an access mostly nobody moves, after it mostly everybody does.
	stop := 2
	if c.Moment == After {
		stop = 48
	}
	if c.Moment != Idle && o.rand.IntN(stop) == 0 {
		return Proceed
	}
	return c.Pick(o.rand)
}

func (o *randomOrder) Reset() {}

// workPerEntry bounds what one entry may set off before it returns: steps, where
// one of the engine counts as many as its bytes are worth (some milliseconds in
// all). The rest goes on without an entry. It is far more than any driver's
// request takes, so only a guest that publishes huge chains meets it: the peer
// must have its answer within seconds (docs/protocol.md).
const workPerEntry = 1 << 15

// idleAfter is how long no access comes, by the clock on the wall, until the
// block takes it that none will come before something else happens. When it
// does is for the recording: it makes an IdleEntry.
const (
	idleAfter = 50 * time.Microsecond
	maxTries  = 20 // looks until it does so though accesses come

	// With a timing that knows the clock on the wall.
	lookEvery = time.Millisecond // for accesses, while something is waited for
	maxIdle   = time.Second      // for one thing
)

// before lets the schedule have its way while an access waits.
func (b *Block) before(e *Entry) {
	if e.Kind == ResetEntry || e.Kind == IdleEntry {
		return
	}
	if b.timed {
		b.advance(b.now + b.timing.Access)
	}
	if b.faulty && int(e.EE) == b.profile.EE {
		b.faults.access()
	}
	b.schedule(Before, e)
}

// after lets pipes, engine and masters move once the access is made.
func (b *Block) after(e *Entry) {
	done := false
	switch {
	case !b.ordered:
		done = b.fastest(workPerEntry)
	case e.Kind == IdleEntry:
		if done = b.schedule(Idle, e); done {
			b.stuck()
		}
	default:
		done = b.schedule(After, e)
	}
	b.rest = !done
	if b.rest && !b.manual && !b.bg {
		b.bg = true
		go b.background(b.entries)
	}
}

// fastest does work worth n steps and reports whether nothing can move any more.
// It is the loop of a block without masters, times and a schedule of its own.
func (b *Block) fastest(n int) bool {
	for n > 0 {
		if n -= b.bam.Run(n); n == 0 {
			break
		}
		if !b.engine.Runnable() {
			return true
		}
		n -= b.engine.Step()
	}
	return false
}

// schedule makes steps until the schedule says that it is enough, and reports
// whether nothing is left to happen. At Idle time passes when nobody can move; with
// a timing that knows the clock on the wall, only to the one thing that was waited
// for.
func (b *Block) schedule(m Moment, e *Entry) (done bool) {
	moved := false // or time has passed
	c := &b.choices
	*c = Choice{Moment: m, Entry: e, Last: Proceed}
	for left := workPerEntry; left > 0; left-- {
		b.choice(c)
		p := c.Fastest()
		if b.scheduler != nil {
			if q := b.scheduler.Next(c); q != Proceed || m != Idle {
				p = q
			}
		}
		if p == Proceed {
			at, ok := b.next()
			if m != Idle {
				return !ok && c.None()
			}
			if !ok {
				return true
			}
			if moved && b.timing.Wall > 0 {
				return false
			}
			moved = true
			b.advance(at)
			continue
		}
		moved = true
		left -= b.step(p)
		c.Last = p
	}
	return false
}

// choice finds out who can move now.
func (b *Block) choice(c *Choice) {
	c.Now = b.now
	c.Pipes = b.bam.Runnable()
	c.Engine = b.engine.Runnable()
	c.Owner = -1
	if by, ok := b.engine.Operation(); ok {
		c.Owner = int8(by.EE)
	}
	c.Masters = 0
	for i := range b.masters {
		if b.masters[i].master.Runnable(b.now) {
			c.Masters |= 1 << b.masters[i].index
		}
	}
	if b.timed {
		b.hold(c)
	}
}

// step lets a party make one step. It returns how many more it is worth.
func (b *Block) step(p Party) (work int) {
	switch {
	case p < Engine:
		b.bam.Step(int(p))
	case p == Engine:
		work = b.engine.Step()
	default:
		for i := range b.masters {
			if m := &b.masters[i]; MasterParty(m.index) == p {
				m.master.Step(&m.bus)
			}
		}
	}
	if b.timed {
		b.spend(p)
	}
	return work
}

// background goes on with what entries have left over. seen is how many there
// were when it was started.
func (b *Block) background(seen uint64) {
	b.mu.Lock()
	due := time.Now().Add(b.wall())
	b.mu.Unlock()
	for tries := 0; ; tries++ {
		if b.ordered {
			pause(max(idleAfter, min(time.Until(due), lookEvery)))
		}
		b.mu.Lock()
		if b.ordered && b.entries != seen && tries < maxTries {
			seen = b.entries // accesses still come
			due = time.Now().Add(b.wall())
			b.mu.Unlock()
			continue
		}
		if time.Until(due) > 0 {
			tries-- // a look is not a try
			b.mu.Unlock()
			continue
		}
		tries = 0
		if b.rest {
			b.enter(&Entry{Kind: IdleEntry})
			seen = b.entries
			due = time.Now().Add(b.wall())
		}
		if !b.rest {
			b.bg = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}

// wall returns how long the next thing that is due lets wait by the clock on the
// wall.
func (b *Block) wall() time.Duration {
	if b.timing.Wall == 0 {
		return 0
	}
	at, ok := b.next()
	if !ok || at <= b.now {
		return 0
	}
	if ns := at - b.now; ns < uint64(maxIdle)/b.timing.Wall {
		return time.Duration(ns * b.timing.Wall)
	}
	return maxIdle
}

// pause sleeps, also for less than a millisecond, which the runtime's timers round
// up to one where nothing else runs.
func pause(d time.Duration) {
	if d >= time.Millisecond {
		time.Sleep(d)
		return
	}
	t := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&t, nil) // an interrupted sleep is long enough
}

// Settle lets everything happen that is still to happen, as when no access
// comes for a while.
func (b *Block) Settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		b.enter(&Entry{Kind: IdleEntry})
		if !b.rest {
			return
		}
	}
}

// Kick lets the block look for work, for a master that got some from another
// goroutine. It returns at once.
func (b *Block) Kick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest = true
	if !b.manual && !b.bg {
		b.bg = true
		go b.background(b.entries)
	}
}
