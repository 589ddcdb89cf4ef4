package vhosttest

import (
	"testing"
	"time"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// Driver is the guest's side of a ring.
type Driver interface {
	// Add makes a chain of buffers available and returns its number. With
	// indirect the descriptors are in a table.
	Add(out, in []Buffer, indirect bool) uint16
	// Publish lets the device see what was added.
	Publish()
	// NeedsKick reports whether the device wants a kick for what was published
	// last.
	NeedsKick() bool
	// Used takes back a chain: its number and the bytes that were written.
	Used() (id uint16, written uint32, ok bool)
	// WantCall asks the device to call for the next chain that it uses, or not
	// to.
	WantCall(on bool)
	// Addr is the payload of SET_VRING_ADDR.
	Addr(index uint32) wire.VringAddr
	// Base is where a new driver begins.
	Base() uint32
	// Size is the number of descriptors.
	Size() uint32
}

// Queue is a ring that the back-end knows of.
type Queue struct {
	Driver
	f               *Frontend
	tb              testing.TB
	Index           uint32
	Kick, Call, Err *Event
}

// For attaches a queue that was set up by hand.
func (q *Queue) For(f *Frontend) { q.f, q.tb = f, f.tb }

// Start sets a ring up as QEMU does, and enables it.
func (f *Frontend) Start(index uint32, d Driver, base uint32) *Queue {
	f.tb.Helper()
	q := &Queue{Driver: d, f: f, tb: f.tb, Index: index, Kick: NewEvent(f.tb), Call: NewEvent(f.tb), Err: NewEvent(f.tb)}
	q.Resume(f, base)
	return q
}

// Resume sets the ring up, for a back-end that is new.
func (q *Queue) Resume(f *Frontend, base uint32) {
	q.tb.Helper()
	q.f = f
	f.Must(wire.SetVringNum, nil, wire.VringState{Index: q.Index, Num: q.Size()})
	f.Must(wire.SetVringBase, nil, wire.VringState{Index: q.Index, Num: base})
	f.Must(wire.SetVringAddr, nil, q.Addr(q.Index))
	f.Must(wire.SetVringCall, []int{q.Call.FD}, uint64(q.Index))
	f.Must(wire.SetVringErr, []int{q.Err.FD}, uint64(q.Index))
	f.Must(wire.SetVringKick, []int{q.Kick.FD}, uint64(q.Index))
	f.Must(wire.SetVringEnable, nil, wire.VringState{Index: q.Index, Num: 1})
}

// Stop stops the ring and returns its position.
func (q *Queue) Stop() uint32 {
	q.tb.Helper()
	v := wire.Get[wire.VringState](q.f.Ask(wire.GetVringBase, wire.VringState{Index: q.Index}))
	if v.Index != q.Index {
		q.tb.Fatalf("GET_VRING_BASE of ring %d answers for ring %d", q.Index, v.Index)
	}
	return v.Num
}

// Submit publishes a chain and kicks if the device wants that.
func (q *Queue) Submit(out, in []Buffer, indirect bool) uint16 {
	id := q.Add(out, in, indirect)
	q.Publish()
	if q.NeedsKick() {
		q.Kick.Signal()
	}
	return id
}

// Take waits for a chain to be used, by the call event.
func (q *Queue) Take() (id uint16, written uint32) {
	q.tb.Helper()
	for deadline := time.Now().Add(Timeout); ; {
		q.WantCall(true)
		if id, written, ok := q.Used(); ok {
			return id, written
		}
		if time.Now().After(deadline) {
			q.tb.Fatalf("ring %d: nothing was used", q.Index)
		}
		q.Call.Wait(time.Second)
	}
}

// Quiet reports whether no chain is used for a while, however often the ring is
// called for.
func (q *Queue) Quiet(d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, _, ok := q.Used(); ok {
			return false
		}
		q.Call.Wait(time.Until(end))
	}
	return true
}

// Do submits a chain and waits until it is used.
func (q *Queue) Do(out, in []Buffer, indirect bool) (written uint32) {
	q.tb.Helper()
	want := q.Submit(out, in, indirect)
	id, written := q.Take()
	if id != want {
		q.tb.Fatalf("ring %d: chain %d was used, %d was submitted", q.Index, id, want)
	}
	return written
}
