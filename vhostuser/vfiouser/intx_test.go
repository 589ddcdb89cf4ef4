package vfiouser

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// probe is the client's end of an eventfd.
type probe int

func newProbe(t *testing.T) (*vhostuser.Eventfd, probe) {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(theirs) })
	e, err := vhostuser.NewEventfd(fd)
	if err != nil {
		t.Fatal(err)
	}
	return e, probe(theirs)
}

// take returns and clears the number of signals.
func (p probe) take() int {
	var b [8]byte
	if _, err := unix.Read(int(p), b[:]); err != nil {
		return 0
	}
	return int(wire.Order.Uint64(b[:]))
}

// TestRetrigger walks through the policy of the package documentation.
func TestRetrigger(t *testing.T) {
	spend := func(n int) func(*intx) {
		return func(x *intx) {
			for range n {
				x.spend()
			}
		}
	}
	high := func(x *intx) { x.Set(true) }
	low := func(x *intx) { x.Set(false) }
	type step struct {
		name string
		do   func(*intx)
		want int // signals
	}
	for name, steps := range map[string][]step{
		"rise": {
			{"rise", high, 1},
			{"again", high, 0},
			{"fall", low, 0},
			{"rise while masked", high, 0},
		},
		"handler clears the cause": {
			{"rise", high, 1},
			{"unmask", (*intx).unmaskNow, 0},
			{"handler goes on", spend(5), 0},
			{"cleared", low, 0},
			{"silence", (*intx).settle, 0},
			{"next", high, 1},
		},
		"cause remains, then silence": {
			{"rise", high, 1},
			{"unmask", (*intx).unmaskNow, 0},
			{"silence", (*intx).settle, 1},
			{"more silence", (*intx).settle, 0},
		},
		"cause remains, no silence": {
			{"rise", high, 1},
			{"unmask", (*intx).unmaskNow, 0},
			{"polling", spend(retriggerAfter - 1), 0},
			{"polling", spend(1), 1},
			{"polling", spend(retriggerAfter), 0},
			{"unmask", (*intx).unmaskNow, 0},
			{"polling", spend(retriggerAfter), 1},
		},
		"new cause right after the old one": {
			{"rise", high, 1},
			{"unmask", (*intx).unmaskNow, 0},
			{"cleared", low, 0},
			{"rise while armed", high, 1},
		},
		"unmask of a low line": {
			{"unmask", (*intx).unmaskNow, 0},
			{"silence", (*intx).settle, 0},
			{"rise", high, 1},
		},
		"masked by the client": {
			{"mask", (*intx).maskNow, 0},
			{"rise", high, 0},
			{"unmask", (*intx).unmaskNow, 0},
			{"silence", (*intx).settle, 1},
		},
		"masked while a trigger is owed": {
			{"rise", high, 1},
			{"unmask", (*intx).unmaskNow, 0},
			{"mask", (*intx).maskNow, 0},
			{"silence", (*intx).settle, 0},
			{"unmask", (*intx).unmaskNow, 0},
			{"silence", (*intx).settle, 1},
		},
		"disabled in PCI COMMAND": {
			{"disable", func(x *intx) { x.setDisabled(true) }, 0},
			{"rise", high, 0},
			{"enable", func(x *intx) { x.setDisabled(false) }, 1},
		},
		"loopback": {
			{"trigger", (*intx).loopback, 1},
			{"rise", high, 1},
			{"trigger although masked", (*intx).loopback, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var x intx
			e, p := newProbe(t)
			x.attach(func() bool { return false })
			defer x.detach()
			x.setTrigger(e)
			for _, s := range steps {
				s.do(&x)
				if got := p.take(); got != s.want {
					t.Fatalf("%s: %d signals, want %d", s.name, got, s.want)
				}
			}
		})
	}
}

func TestTriggerReplaced(t *testing.T) {
	var x intx
	x.attach(func() bool { return false })
	defer x.detach()
	x.Set(true)
	e1, p1 := newProbe(t)
	x.setTrigger(e1)
	if n := p1.take(); n != 1 {
		t.Errorf("%d signals for a line that is high when the trigger is set, want 1", n)
	}
	x.shutOff()
	e2, p2 := newProbe(t)
	x.setTrigger(e2)
	if a, b := p1.take(), p2.take(); a != 0 || b != 1 {
		t.Errorf("%d signals to the old and %d to the new eventfd, want 0 and 1", a, b)
	}
}

// TestUnmaskByEvent: with nothing on its way the trigger is sent at once, else
// it is owed.
func TestUnmaskByEvent(t *testing.T) {
	for _, busy := range []bool{false, true} {
		var x intx
		x.attach(func() bool { return busy })
		trigger, p := newProbe(t)
		unmask, _ := newProbe(t)
		x.setTrigger(trigger)
		x.setUnmaskEvent(unmask)
		x.Set(true)
		p.take()
		x.unmaskedByEvent(unmask)
		want := 1
		if busy {
			want = 0
		}
		if got := p.take(); got != want || x.owed.Load() != busy {
			t.Errorf("busy %v: %d signals, owed %v", busy, got, x.owed.Load())
		}
		late := unmask
		x.setUnmaskEvent(nil)
		x.maskNow()
		x.unmaskedByEvent(late)
		if !x.masked {
			t.Error("an event of a replaced eventfd had an effect")
		}
		x.detach()
	}
}

// TestNoInterruptLost: whatever happens in which order, a level that is high
// and not masked has a trigger under way.
func TestNoInterruptLost(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var x intx
		x.attach(func() bool { return rnd.IntN(2) == 0 })
		var unmask *vhostuser.Eventfd
		ops := []func(){
			func() { x.Set(true) },
			func() { x.Set(true) },
			func() { x.Set(false) },
			x.maskNow, x.unmaskNow, x.unmaskNow, x.settle, x.spend, x.spend, x.loopback,
			func() { x.setDisabled(rnd.IntN(2) == 0) },
			func() { e, _ := newProbe(t); x.setTrigger(e) },
			func() { unmask, _ = newProbe(t); x.setUnmaskEvent(unmask) },
			func() {
				if unmask != nil {
					x.unmaskedByEvent(unmask)
				}
			},
			func() {
				if rnd.IntN(10) == 0 {
					x.shutOff()
				}
			},
		}
		for range 100 {
			ops[rnd.IntN(len(ops))]()
			if x.wants() && !x.owed.Load() {
				t.Fatalf("seed %d: level high, armed, and no trigger owed", seed)
			}
			if x.owed.Load() && !x.wants() {
				t.Fatalf("seed %d: a trigger is owed that nobody wants", seed)
			}
		}
		x.detach()
	}
}
