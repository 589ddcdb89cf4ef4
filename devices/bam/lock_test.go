package bam_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/trace"
)

// What a held lock blocks: pipes of other groups and of other EEs, at their next fetch.
func TestLockBlocks(t *testing.T) {
	shares := bam.Readings{SuperGroup: bam.SuperGroupShares}
	for _, tt := range []struct {
		name         string
		ee           uint8
		group        uint32
		superA       uint8 // of the owner
		superB       uint8
		readings     bam.Readings
		blocked      bool
		ownerInGroup uint32
	}{
		{name: "same group and EE"},
		{name: "other group", group: 1, blocked: true},
		{name: "other EE", ee: 1, blocked: true},
		{name: "other EE and group", ee: 1, group: 1, blocked: true},
		{name: "group 7 of both", group: 7, ownerInGroup: 7},
		{name: "super group, ignored", ee: 1, superA: 3, superB: 3, blocked: true},
		{name: "super group, shared", ee: 1, superA: 3, superB: 3, readings: shares},
		{name: "super group 0, shared", ee: 1, readings: shares, blocked: true},
		{name: "other super group, shared", ee: 1, superA: 3, superB: 4, readings: shares, blocked: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, bam.Config{Owners: []uint8{6: tt.ee}, SuperGroups: []uint8{4: tt.superA, 6: tt.superB}, Readings: tt.readings})
			s.rx.Group = tt.ownerInGroup
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
			other := s.ringOf(int(tt.ee), 6, 0x2000, 64)
			other.Group = tt.group
			other.Init(0)
			other.Elements(code+0x4000, write(0x40, 5))
			other.Push(buf(code+0x4000, 16, bam.FlagCMD))
			other.Publish()
			bamtest.Run(s.bam, 100)
			if blocked := s.loop.Regs[0x10] == 0; blocked != tt.blocked {
				t.Fatalf("blocked: %v, want %v", blocked, tt.blocked)
			}
			if got := s.rec.Count(trace.LockWait) != 0; got != tt.blocked {
				t.Errorf("waiting reported: %v", got)
			}
			s.bam.Step(6)
			s.more(s.command(bam.FlagUNLOCK, write(0, 1)))
			if s.loop.Regs[0x10] != 5 {
				t.Error("still blocked after UNLOCK")
			}
			if s.loop.Held {
				t.Error("the peripheral still sees the lock")
			}
		})
	}
}

// A blocked pipe finishes the descriptor that it has fetched (§8 [I]).
func TestBlockedPipeFinishesItsDescriptor(t *testing.T) {
	s := newScene(t, bam.Config{})
	other := s.ring(6, 0x2000, 64)
	other.Group = 1
	other.Init(0)
	other.Elements(code+0x4000, write(0x40, 1), write(0x44, 2))
	other.Push(buf(code+0x4000, 32, bam.FlagCMD), buf(code+0x4000, 32, bam.FlagCMD))
	other.Publish()
	s.bam.Step(6)
	s.bam.Step(6)
	s.play(s.command(bam.FlagLOCK, write(0, 1)))
	if got := other.Read(bam.PSWOfsts); got != 8 {
		t.Errorf("P_SW_OFSTS = %#x, want the first descriptor done and the second not begun", got)
	}
	if s.loop.Regs[0x11] != 2 {
		t.Error("the second element was not executed")
	}
}

// When LOCK and UNLOCK take effect relative to the elements of their descriptor.
func TestLockPoint(t *testing.T) {
	for _, tt := range []struct {
		readings bam.Readings
		want     []trace.Kind
	}{
		{bam.Readings{}, []trace.Kind{trace.Lock, trace.Element, trace.Element, trace.Unlock}},
		{bam.Readings{Lock: bam.LockAfterElements}, []trace.Kind{trace.Element, trace.Lock, trace.Element, trace.Unlock}},
		{bam.Readings{Unlock: bam.UnlockBeforeElements}, []trace.Kind{trace.Lock, trace.Element, trace.Unlock, trace.Element}},
	} {
		s := newScene(t, bam.Config{Readings: tt.readings})
		s.play(s.command(bam.FlagLOCK, write(0, 1)), s.command(bam.FlagUNLOCK, write(0, 1)))
		got := slices.DeleteFunc(s.rec.Kinds(), func(k trace.Kind) bool {
			return k != trace.Lock && k != trace.Unlock && k != trace.Element
		})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.readings, diff)
		}
	}
}

// What becomes of the lock when its owner is reset or disabled, or the BAM is.
func TestLockAndReset(t *testing.T) {
	for _, tt := range []struct {
		name     string
		readings bam.Readings
		do       func(*scene)
		held     bool
		cause    trace.UnlockCause
	}{
		{"pipe reset", bam.Readings{}, func(s *scene) { s.rx.Write(bam.PRst, 1) }, false, trace.ByPipeReset},
		{"pipe reset, kept", bam.Readings{LockOnPipeRst: bam.KeepOnPipeRst}, func(s *scene) { s.rx.Write(bam.PRst, 1) }, true, 0},
		{"reset of another pipe", bam.Readings{}, func(s *scene) { s.tx.Write(bam.PRst, 1) }, true, 0},
		{"disable", bam.Readings{}, func(s *scene) { s.rx.Write(bam.PCtrl, 0x20) }, true, 0},
		{"disable, released", bam.Readings{LockOnDisable: bam.ReleaseOnDisable}, func(s *scene) { s.rx.Write(bam.PCtrl, 0x20) }, false, trace.ByDisable},
		{"halt", bam.Readings{}, func(s *scene) { s.rx.Write(bam.PHalt, 1) }, true, 0},
		{"BAM reset", bam.Readings{LockOnPipeRst: bam.KeepOnPipeRst}, func(s *scene) { s.global(0, bam.BAMCtrl, 1) }, false, trace.ByBAMReset},
		{"power-on", bam.Readings{LockOnPipeRst: bam.KeepOnPipeRst}, func(s *scene) { s.bam.Reset() }, false, trace.ByBAMReset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, bam.Config{Readings: tt.readings})
			s.play(s.command(bam.FlagLOCK, write(0, 1)))
			if owner, held := s.bam.Lock(); !held || owner.Pipe != 4 || owner.EE != 0 {
				t.Fatalf("lock: %v %v", owner, held)
			}
			tt.do(s)
			if _, held := s.bam.Lock(); held != tt.held || s.loop.Held != tt.held {
				t.Errorf("held: %v, for the peripheral %v, want %v", held, s.loop.Held, tt.held)
			}
			var cause trace.UnlockCause
			for _, e := range s.rec.Events {
				if e.Kind == trace.Unlock {
					cause = trace.UnlockCause(e.Value)
				}
			}
			if cause != tt.cause {
				t.Errorf("cause %d, want %d", cause, tt.cause)
			}
		})
	}
}

// Only the pipe that locked may unlock (§8.3).
func TestPeerCannotUnlock(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.play(s.command(bam.FlagLOCK, write(0, 1)))
	owner := s.rx
	s.rx = s.ring(6, 0x2000, 64)
	s.play(s.command(bam.FlagUNLOCK, write(0, 1)))
	if _, held := s.bam.Lock(); !held {
		t.Error("a peer released the lock")
	}
	s.rx = owner
	s.more(s.command(bam.FlagUNLOCK, write(0, 1)))
	if _, held := s.bam.Lock(); held {
		t.Error("the owner did not release the lock")
	}
}

// contender locks, writes a register n times, and unlocks, again and again.
type contender struct {
	*bamtest.Ring
	base uint64
}

func newContender(r *rig, ee, pipe int, group uint32) *contender {
	c := &contender{Ring: r.ringOf(ee, pipe, uint64(pipe)*0x1000, 0xFF8), base: code + uint64(pipe)*0x100}
	c.Group = group
	c.Init(0)
	for i := range 4 {
		c.Elements(c.base+uint64(i)*16, write(uint32(pipe)*4, uint32(i)))
	}
	return c
}

func (c *contender) push(requests int) {
	for range requests {
		for i, flags := range []uint32{bam.FlagCMD | bam.FlagLOCK, bam.FlagCMD, bam.FlagCMD, bam.FlagCMD | bam.FlagUNLOCK} {
			c.Push(buf(c.base+uint64(i)*16, 16, flags))
		}
	}
	c.Publish()
}

// Three groups of two EEs, in any order of steps: nobody gets in between, and everybody's
// turn comes as often as everybody else's.
func TestArbitration(t *testing.T) {
	cfg := bam.Config{Owners: []uint8{2: 0, 4: 0, 6: 1}}
	orders := map[string]func(*rig, *rand.Rand) int{
		"lowest first": func(r *rig, _ *rand.Rand) int { return bamtest.Run(r.bam, 100000) },
		"random":       func(r *rig, rng *rand.Rand) int { return bamtest.RunRandom(r.bam, rng, 100000) },
		"highest first": func(r *rig, _ *rand.Rand) int {
			n := 0
			for m := r.bam.Runnable(); m != 0 && n < 100000; m = r.bam.Runnable() {
				for p := 31; p >= 0; p-- {
					if m>>p&1 != 0 {
						r.bam.Step(p)
						break
					}
				}
				n++
			}
			return n
		},
	}
	for name, run := range orders {
		for seed := range uint64(10) {
			r := newTraced(t, cfg)
			const each = 50
			cs := []*contender{newContender(r, 0, 2, 0), newContender(r, 0, 4, 1), newContender(r, 1, 6, 0)}
			for _, c := range cs {
				c.push(each)
			}
			if n := run(r, rand.New(rand.NewPCG(seed, 1))); n == 100000 {
				t.Fatalf("%s: does not end", name)
			}
			for _, c := range cs {
				if got := c.Read(bam.PSWOfsts); got != c.Tail {
					t.Fatalf("%s: pipe %d stopped at %#x of %#x", name, c.Pipe, got, c.Tail)
				}
			}
			checkExclusive(t, r.rec.Events)
			checkFair(t, name, r.rec.Events, len(cs))
		}
	}
}

// checkExclusive says whether an element of another group or EE ran under a lock. All
// contenders are of different ones.
func checkExclusive(t *testing.T, events []trace.Event) {
	t.Helper()
	owner := int8(-1)
	for _, e := range events {
		switch e.Kind {
		case trace.Lock:
			if owner != -1 {
				t.Fatalf("pipe %d locks under the lock of %d", e.Pipe, owner)
			}
			owner = e.Pipe
		case trace.Unlock:
			owner = -1
		case trace.DescFetch:
			if owner != -1 && e.Pipe != owner {
				t.Fatalf("pipe %d fetches under the lock of %d", e.Pipe, owner)
			}
		}
	}
}

// checkFair looks at the order of LOCKs while all contend: after a pipe's turn each of
// the others must have had one before it has the next.
func checkFair(t *testing.T, name string, events []trace.Event, n int) {
	t.Helper()
	var turns []int8
	for _, e := range events {
		if e.Kind == trace.Lock {
			turns = append(turns, e.Pipe)
		}
	}
	for i := n; i+n <= len(turns); i++ {
		seen := map[int8]bool{}
		for _, p := range turns[i : i+n] {
			seen[p] = true
		}
		if len(seen) != n {
			t.Fatalf("%s: turns %d to %d are %v", name, i, i+n, turns[i:i+n])
		}
	}
}

// With the other reading the scheduler decides, so the lowest pipe may starve the others.
func TestArbiterAny(t *testing.T) {
	r := newTraced(t, bam.Config{Owners: []uint8{2: 0, 4: 0, 6: 1}, Readings: bam.Readings{Arbiter: bam.ArbiterAny}})
	cs := []*contender{newContender(r, 0, 2, 0), newContender(r, 0, 4, 1), newContender(r, 1, 6, 0)}
	for _, c := range cs {
		c.push(5)
	}
	bamtest.Run(r.bam, 100000)
	var turns []int8
	for _, e := range r.rec.Events {
		if e.Kind == trace.Lock {
			turns = append(turns, e.Pipe)
		}
	}
	if got, want := fmt.Sprint(turns), "[2 2 2 2 2 4 4 4 4 4 6 6 6 6 6]"; got != want {
		t.Errorf("turns %s, want %s", got, want)
	}
	checkExclusive(t, r.rec.Events)
}

// A waiting pipe that is reset or halted must not hold up the others.
func TestWaitingPipeGoesAway(t *testing.T) {
	for name, away := range map[string]func(*contender){
		"reset":   func(c *contender) { c.Write(bam.PRst, 1) },
		"disable": func(c *contender) { c.Write(bam.PCtrl, 0x20) },
		"halt":    func(c *contender) { c.Write(bam.PHalt, 1) },
		"empty":   func(c *contender) { c.Write(bam.PEvntReg, c.Read(bam.PSWOfsts)&0xFFFF) },
	} {
		r := newRig(t, bam.Config{Owners: []uint8{2: 0, 4: 0, 6: 1}})
		cs := []*contender{newContender(r, 0, 2, 0), newContender(r, 0, 4, 1), newContender(r, 1, 6, 0)}
		cs[0].push(1)
		r.bam.Step(2)
		cs[1].push(1) // waits first
		cs[2].push(1)
		away(cs[1])
		bamtest.Run(r.bam, 1000)
		if got := cs[2].Read(bam.PSWOfsts); got != cs[2].Tail {
			t.Errorf("%s: the second waiting pipe stopped at %#x", name, got)
		}
	}
}

// A group changed under a lock counts at the next fetch.
func TestGroupChangeUnderLock(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.play(s.command(bam.FlagLOCK, write(0, 1)))
	other := s.ring(6, 0x2000, 64)
	other.Group = 1
	other.Init(0)
	other.Elements(code+0x4000, write(0x40, 5))
	other.Push(buf(code+0x4000, 16, bam.FlagCMD))
	other.Publish()
	if s.bam.Runnable() != 0 {
		t.Fatal("not blocked")
	}
	other.Group = 0
	other.Write(bam.PCtrl, other.Ctrl())
	bamtest.Run(s.bam, 100)
	if s.loop.Regs[0x10] != 5 {
		t.Error("blocked although it is of the owner's group now")
	}
}
