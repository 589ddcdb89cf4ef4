package vfiouser

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/qcemu/qcemu/vhostuser"
)

// The re-trigger policy; see the package documentation. Under TCG the accesses
// of an interrupt handler are 50 to 300 µs apart.
const (
	retriggerQuiet = 400 * time.Microsecond
	retriggerAfter = 32
)

// intx is the INTx interrupt: the device's level on one side, the client's
// eventfds on the other. It implements bus.Line.
//
//	         rise, or trigger set while high
//	armed ────────────────────────────────────▶ masked  (eventfd signalled)
//	  ▲ ▲                                         │  ▲
//	  │ │        unmask, level low                │  │
//	  │ └─────────────────────────────────────────┤  │ quiet, or enough messages
//	  │ level falls                               ▼  │
//	  └───────────────────────────────────────── owed
//	                                    unmask, level high
type intx struct {
	asserted atomic.Bool // the device's level, for PCI STATUS
	owed     atomic.Bool // a trigger is owed; set and cleared under mu

	mu       sync.Mutex
	disabled bool // by PCI COMMAND
	masked   bool // by the client, or by ourselves after a trigger
	left     int  // messages until an owed trigger is sent
	trigger  *vhostuser.Eventfd
	mask     *vhostuser.Eventfd // signalled by the client to mask
	unmask   *vhostuser.Eventfd // signalled by the client (KVM) to unmask

	// busy reports whether the client has messages on their way to the device.
	// It is nil without a client.
	busy func() bool
}

// Set implements bus.Line. It may be called from any goroutine.
func (x *intx) Set(asserted bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.asserted.Load() == asserted {
		return
	}
	x.asserted.Store(asserted)
	x.fire()
}

// wants reports whether a trigger should be sent. x.mu is held.
func (x *intx) wants() bool {
	return x.asserted.Load() && !x.disabled && !x.masked && x.trigger != nil
}

// fire sends a trigger if one is due, which masks the line, and settles what
// was owed. x.mu is held.
func (x *intx) fire() {
	x.owed.Store(false)
	if x.wants() {
		x.masked = true
		x.trigger.Signal()
	}
}

// owe notes that a trigger is due, but not yet. x.mu is held.
func (x *intx) owe() {
	if x.wants() {
		x.left = retriggerAfter
		x.owed.Store(true)
	}
}

// settle sends the owed trigger: the client has been silent.
func (x *intx) settle() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.owed.Load() {
		x.fire()
	}
}

// spend counts a message of the client against an owed trigger.
func (x *intx) spend() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.owed.Load() {
		return
	}
	if x.left--; x.left <= 0 {
		x.fire()
	}
}

// setDisabled follows PCI COMMAND.INTx Disable.
func (x *intx) setDisabled(v bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.disabled != v {
		x.disabled = v
		x.fire()
	}
}

// maskNow and unmaskNow are the actions of a message.
func (x *intx) maskNow() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.masked = true
	x.owed.Store(false)
}

func (x *intx) unmaskNow() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.masked = false
	x.owe()
}

// maskedByEvent and unmaskedByEvent are the actions of eventfd e. An event that
// comes late, after e was replaced, is dropped.
func (x *intx) maskedByEvent(e *vhostuser.Eventfd) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mask == e {
		x.masked = true
		x.owed.Store(false)
	}
}

// By the time of an unmask event the guest's handler has ended.
func (x *intx) unmaskedByEvent(e *vhostuser.Eventfd) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.unmask != e {
		return
	}
	x.masked = false
	x.owe()
	// The session looks at owed before it goes to sleep, and busy tells
	// whether it will: one of the two sends the trigger.
	if x.owed.Load() && !x.busy() {
		x.fire()
	}
}

// loopback is a trigger that the client asked for itself, whatever the level.
func (x *intx) loopback() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.trigger != nil {
		x.trigger.Signal()
	}
}

// setTrigger replaces the eventfd that is signalled; nil takes it away.
func (x *intx) setTrigger(e *vhostuser.Eventfd) {
	x.mu.Lock()
	old := x.trigger
	x.trigger = e
	x.fire()
	x.mu.Unlock()
	closeEvent(old)
}

// setMaskEvent and setUnmaskEvent replace the eventfds that are watched.
func (x *intx) setMaskEvent(e *vhostuser.Eventfd)   { x.watch(&x.mask, e, x.maskedByEvent) }
func (x *intx) setUnmaskEvent(e *vhostuser.Eventfd) { x.watch(&x.unmask, e, x.unmaskedByEvent) }

func (x *intx) watch(at **vhostuser.Eventfd, e *vhostuser.Eventfd, raised func(*vhostuser.Eventfd)) {
	x.mu.Lock()
	old := *at
	*at = e
	x.mu.Unlock()
	closeEvent(old)
	if e != nil {
		e.Watch(func() { raised(e) })
	}
}

// attach begins a client's time, detach ends it.
func (x *intx) attach(busy func() bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.busy = busy
}

func (x *intx) detach() {
	x.shutOff()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.busy = nil
}

// shutOff gives up all eventfds and unmasks, as after power-on.
func (x *intx) shutOff() {
	x.setTrigger(nil)
	x.setMaskEvent(nil)
	x.setUnmaskEvent(nil)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.masked = false
	x.owed.Store(false)
}

func closeEvent(e *vhostuser.Eventfd) {
	if e != nil {
		e.Close()
	}
}
