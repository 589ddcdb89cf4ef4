package antagonist

import (
	"fmt"
	"math/rand/v2"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/trace"
)

// Schedule decides who makes the next step in a block with antagonists. It is
// a cryptoblock.Scheduler, and a trace.Sink of the same block: some policies
// wait for events.
//
// The other side of an antagonist is everybody but itself. After each step of
// the other side, and before each access of a processor outside, the
// antagonist's policy may let it strike: then it alone makes a number of steps,
// with its processor, its pipes and the engine as far as it runs the
// antagonist's operation.
type Schedule struct {
	profile *cryptoblock.Profile
	layout  bam.Layout
	rand    *rand.Rand
	players []player
	turn    int // player whose strike goes on; -1: none
	quota   int // steps that it has left

	// What the other side has in the engine, from its register writes: whether
	// it would hang if the configuration changed now.
	committed bool
}

// player is an antagonist with its place among the parties.
type player struct {
	*antagonist
	party  cryptoblock.Party
	pipes  uint32
	steps  uint64 // of the other side, for Every
	strike int    // steps that an event asks for; 0: none
	seen   []uint64
}

// Limits of a strike, in steps.
const (
	whole    = 4096 // until the request is done, or waits
	fewSteps = 12
	burstMax = 24 // requests
)

// names are what the antagonists of a run are called, in order.
var names = []string{"secure", "modem"}

// NewSchedule returns the schedule for antagonists that follow the policies, at
// the chip's places in their order: the first is the secure side's, the second
// the modem's. Their Clients go into Options.Clients from index first on. There
// is none for a policy that is off.
func NewSchedule(p *cryptoblock.Profile, readings reading.Choice, first int, seed uint64, policies ...Policy) (*Schedule, error) {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		return nil, err
	}
	s := &Schedule{profile: p, layout: layout, rand: rand.New(rand.NewPCG(seed, 0x7363686564)), turn: -1}
	places := p.Places()
	for i, policy := range policies {
		if policy.When == Off {
			continue
		}
		if i >= len(places) || i >= len(names) {
			return nil, fmt.Errorf("SoC %s has no room for %d antagonists", p.Name, i+1)
		}
		a, err := newAntagonist(names[i], p, places[i], policy, readings, seed)
		if err != nil {
			return nil, err
		}
		pl := player{antagonist: a, party: cryptoblock.MasterParty(first + len(s.players)), pipes: 1<<a.rx.pipe | 1<<a.tx.pipe}
		if policy.Script != nil {
			pl.seen = make([]uint64, len(policy.Script.lines))
		}
		s.players = append(s.players, pl)
	}
	return s, nil
}

// Clients are the antagonists as the block has them.
func (s *Schedule) Clients() []cryptoblock.Client {
	clients := make([]cryptoblock.Client, len(s.players))
	for i := range s.players {
		clients[i] = s.players[i].Client()
	}
	return clients
}

// Reset implements cryptoblock.Scheduler.
func (s *Schedule) Reset() {
	s.turn, s.committed = -1, false
	for i := range s.players {
		s.players[i].strike = 0
	}
}

// Next implements cryptoblock.Scheduler.
func (s *Schedule) Next(c *cryptoblock.Choice) cryptoblock.Party {
	if c.Last == cryptoblock.Proceed {
		s.enter(c)
	}
	if p := s.strikeOn(c); p != cryptoblock.Proceed {
		return p
	}
	if c.Moment != cryptoblock.Idle && s.boundary(c) {
		for i := range s.players {
			if s.strikes(i) {
				if p := s.strikeOn(c); p != cryptoblock.Proceed {
					return p
				}
			}
		}
	}
	return s.others(c)
}

// enter takes note of what comes in.
func (s *Schedule) enter(c *cryptoblock.Choice) {
	e := c.Entry
	for i := range s.players {
		if c.Moment == cryptoblock.Before {
			s.players[i].rearm(c.Now)
		}
	}
	if c.Moment != cryptoblock.Before || e.Kind != cryptoblock.WriteEntry {
		return
	}
	switch off := uint32(e.Off) - s.profile.QCEOffset; {
	case off == qce.Status:
		s.committed = false
	case (off == qce.EncrSegCfg || off == qce.AuthSegCfg) && e.Value != 0, off == qce.GoProc:
		s.committed = true
	}
	if uint32(e.Off)-s.profile.QCEOffset == qce.GoProc {
		s.makeWay()
	}
}

// makeWay lets a gentle antagonist finish before the other side's GO.
func (s *Schedule) makeWay() {
	for i := range s.players {
		if p := &s.players[i]; p.policy.Gentle && p.busy() && s.turn < 0 {
			s.turn, s.quota = i, whole
		}
	}
}

// boundary reports whether the other side has just made a step, or is about to
// make an access.
func (s *Schedule) boundary(c *cryptoblock.Choice) bool {
	if c.Last == cryptoblock.Proceed {
		return c.Moment == cryptoblock.Before
	}
	return c.Last < cryptoblock.Engine && s.foreign(c.Last)
}

// foreign reports whether a pipe is no antagonist's.
func (s *Schedule) foreign(pipe cryptoblock.Party) bool {
	for i := range s.players {
		if s.players[i].pipes>>pipe&1 == 1 {
			return false
		}
	}
	return true
}

// strikes asks a player's policy whether it strikes now, and how far.
func (s *Schedule) strikes(i int) bool {
	p := &s.players[i]
	n := 0
	switch pol := &p.policy; pol.When {
	case Between:
		if s.rand.Float64() < pol.Rate {
			n = s.length()
		}
	case Every:
		if p.steps++; p.steps >= pol.Every {
			p.steps, n = 0, whole
		}
	case Random:
		if s.rand.Float64() < pol.Rate {
			n = s.length()
		}
	case Burst:
		if !p.busy() && s.rand.Float64() < pol.Rate {
			for range 1 + s.rand.IntN(burstMax) {
				p.begin("")
			}
		}
		if p.busy() && s.rand.IntN(4) == 0 {
			n = s.length()
		}
	case DuringUnlock:
		// A request that has begun goes on whenever it can, so that it is
		// first when the lock is free.
		if n = p.strike; n == 0 && p.busy() {
			n = s.length()
		}
	case Scripted:
		n = p.strike
	}
	p.strike = 0
	if n == 0 || p.policy.Gentle && s.committed {
		return false
	}
	if !p.busy() && p.policy.When != Scripted && p.policy.When != Burst {
		p.begin("")
	}
	if p.policy.Gentle {
		n = whole
	}
	s.turn, s.quota = i, n
	return true
}

// length draws how far a strike goes: a few steps, or to the request's end.
func (s *Schedule) length() int {
	if s.rand.IntN(2) == 0 {
		return whole
	}
	return 1 + s.rand.IntN(fewSteps)
}

// strikeOn makes the next step of a strike that goes on.
func (s *Schedule) strikeOn(c *cryptoblock.Choice) cryptoblock.Party {
	if s.turn < 0 {
		return cryptoblock.Proceed
	}
	p := &s.players[s.turn]
	if s.quota > 0 {
		if q := p.own(c, s.rand); q != cryptoblock.Proceed {
			s.quota--
			return q
		}
	}
	s.turn = -1
	return cryptoblock.Proceed
}

// own picks a party of the player's side that can move.
func (p *player) own(c *cryptoblock.Choice, r *rand.Rand) cryptoblock.Party {
	mine := cryptoblock.Choice{Pipes: c.Pipes & p.pipes, Engine: c.Engine && int(c.Owner) == p.place.EE}
	mine.Masters = c.Masters & (1 << (p.party - cryptoblock.MasterParty(0)))
	if p.state == idle && p.Runnable(c.Now) { // it has just begun
		mine.Masters = 1 << (p.party - cryptoblock.MasterParty(0))
	}
	return mine.Pick(r)
}

// others lets everybody else move.
func (s *Schedule) others(c *cryptoblock.Choice) cryptoblock.Party {
	if c.Moment == cryptoblock.Idle {
		return c.Pick(s.rand)
	}
	rest := *c
	for i := range s.players {
		if s.players[i].policy.When != Burst { // who competes with everybody
			rest.Pipes &^= s.players[i].pipes
			rest.Masters &^= 1 << (s.players[i].party - cryptoblock.MasterParty(0))
			rest.Engine = rest.Engine && int(c.Owner) != s.players[i].place.EE
		}
	}
	// Before an access mostly nobody moves, after it mostly everybody does.
	stop := 2
	if c.Moment == cryptoblock.After {
		stop = 256
	}
	if s.rand.IntN(stop) == 0 {
		return cryptoblock.Proceed
	}
	return rest.Pick(s.rand)
}

// Wants implements trace.Selective.
func (s *Schedule) Wants(k trace.Kind) bool {
	for i := range s.players {
		switch p := &s.players[i].policy; p.When {
		case DuringUnlock:
			if k == trace.DescFetch || k == trace.OpDone {
				return true
			}
		case Scripted:
			for j := range p.Script.lines {
				if p.Script.lines[j].kind == k {
					return true
				}
			}
		}
	}
	return false
}

// Emit implements trace.Sink.
func (s *Schedule) Emit(e *trace.Event) {
	for i := range s.players {
		p := &s.players[i]
		if int(e.By.EE) == p.place.EE {
			continue
		}
		switch p.policy.When {
		case DuringUnlock:
			switch {
			case e.Kind == trace.DescFetch && e.Flags&bam.FlagUNLOCK != 0:
				p.strike = whole
			case e.Kind == trace.OpDone && e.Op != nil && !e.Op.Locked:
				p.strike = s.length()
			}
		case Scripted:
			s.script(p, e)
		}
	}
}

// script does what a script says after an event.
func (s *Schedule) script(p *player, e *trace.Event) {
	for i := range p.policy.Script.lines {
		l := &p.policy.Script.lines[i]
		if e.Kind != l.kind || !l.reg.is(e, s.layout) {
			continue
		}
		p.seen[i]++
		if n := p.seen[i]; l.nth != 0 && (!l.every && n != l.nth || l.every && n%l.nth != 0) {
			continue
		}
		switch l.do {
		case actBegin:
			p.begin(l.alg)
			p.strike = 1
		case actStep:
			p.strike = l.steps
		case actFinish:
			p.strike = whole
		case actRequest:
			p.begin(l.alg)
			p.strike = whole
		}
	}
}

// Counts returns what came of each antagonist's requests. It may be called
// while the model runs.
func (s *Schedule) Counts() []Counts {
	out := make([]Counts, len(s.players))
	for i := range s.players {
		out[i] = s.players[i].Counts()
	}
	return out
}
