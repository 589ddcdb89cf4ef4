package vfiouser_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

const (
	none    = wire.IRQDataNone
	boolean = wire.IRQDataBool
	evfd    = wire.IRQDataEventfd
	mask    = wire.IRQActionMask
	unmask  = wire.IRQActionUnmask
	trigger = wire.IRQActionTrigger
)

// TestInterrupt is QEMU's way with INTx, without and with KVM.
func TestInterrupt(t *testing.T) {
	w := dial(t)
	irq := newEvent(t)
	if err := w.c.Trigger(irq.fd); err != nil {
		t.Fatal(err)
	}
	w.writeReg(t, regLine, 1)
	irq.wait()

	// The level stays: the interrupt comes again, some time after the unmask.
	for range 3 {
		if err := w.c.Unmask(); err != nil {
			t.Fatal(err)
		}
		irq.wait()
	}

	// So it does for a guest that never stops reading.
	if err := w.c.Unmask(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "interrupt under load", func() bool {
		w.readReg(t, 0)
		return irq.take() > 0
	})

	// The same with an unmask eventfd.
	resample := newEvent(t)
	if err := w.c.SetIRQs(wire.IRQSet{Flags: evfd | unmask, Count: 1}, nil, resample.fd); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		resample.signal()
		irq.wait()
	}

	w.writeReg(t, regLine, 0)
	if err := w.c.Unmask(); err != nil {
		t.Fatal(err)
	}
	irq.take()

	// The model raises the line from another goroutine, the socket is silent.
	go w.dev.line.Set(true)
	irq.wait()
	if err := w.c.SetIRQs(wire.IRQSet{Flags: none | trigger}, nil); err != nil { // disable
		t.Fatal(err)
	}
	w.writeReg(t, regLine, 0)
	w.writeReg(t, regLine, 1)
	if n := irq.take(); n != 0 {
		t.Errorf("%d interrupts after disable", n)
	}
	// Enabled again with the level high.
	if err := w.c.Trigger(irq.fd); err != nil {
		t.Fatal(err)
	}
	irq.wait()
}

func TestMaskByEvent(t *testing.T) {
	w := dial(t)
	irq, m := newEvent(t), newEvent(t)
	if err := w.c.SetIRQs(wire.IRQSet{Flags: evfd | mask, Count: 1}, nil, m.fd); err != nil {
		t.Fatal(err)
	}
	if err := w.c.Trigger(irq.fd); err != nil {
		t.Fatal(err)
	}
	m.signal()
	eventually(t, "mask by eventfd", func() bool {
		w.dev.line.Set(false)
		w.dev.line.Set(true)
		if irq.take() == 0 {
			return true
		}
		w.dev.line.Set(false)
		w.c.Unmask()
		m.signal()
		return false
	})
	eventually(t, "interrupt after the unmask", func() bool {
		if err := w.c.Unmask(); err != nil { // the second event may mask after the first of these
			t.Fatal(err)
		}
		return irq.take() > 0
	})
}

// TestBoolAndLoopback: the forms that QEMU does not use.
func TestBoolAndLoopback(t *testing.T) {
	w := dial(t)
	irq := newEvent(t)
	if err := w.c.Trigger(irq.fd); err != nil {
		t.Fatal(err)
	}
	set := func(flags uint32, data ...byte) {
		t.Helper()
		if err := w.c.SetIRQs(wire.IRQSet{Flags: flags, Count: 1}, data); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, want uint64) {
		t.Helper()
		if got := irq.take(); got != want {
			t.Errorf("%s: %d interrupts, want %d", what, got, want)
		}
	}
	set(none | trigger)
	expect("trigger", 1)
	set(boolean|trigger, 1)
	expect("trigger by true", 1)
	set(boolean|trigger, 0)
	expect("trigger by false", 0)
	set(boolean|mask, 0)
	w.writeReg(t, regLine, 1)
	expect("not masked by false", 1)
	w.writeReg(t, regLine, 0)
	set(boolean|unmask, 1)
	set(boolean|mask, 1)
	w.writeReg(t, regLine, 1)
	expect("masked by true", 0)
	set(boolean|unmask, 0)
	expect("not unmasked by false", 0)
	set(boolean|unmask, 1)
	irq.wait()
	// De-assign: an eventfd message without an eventfd.
	if err := w.c.SetIRQs(wire.IRQSet{Flags: evfd | trigger, Count: 1}, nil); err != nil {
		t.Fatal(err)
	}
	set(none | trigger)
	expect("trigger after de-assign", 0)
}

func TestInterruptDisableBit(t *testing.T) {
	w := dial(t)
	irq := newEvent(t)
	if err := w.c.Trigger(irq.fd); err != nil {
		t.Fatal(err)
	}
	command := func(v uint16) {
		t.Helper()
		if err := w.c.Write(wire.RegionConfig, 4, []byte{byte(v), byte(v >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	command(1<<10 | 6)
	w.writeReg(t, regLine, 1)
	if n := irq.take(); n != 0 {
		t.Errorf("%d interrupts with INTx disabled", n)
	}
	command(6)
	irq.wait()
}

func TestSetIRQsErrors(t *testing.T) {
	w := dial(t)
	e, f := newEvent(t), memfd(t, 0)
	for _, tt := range []struct {
		name string
		q    wire.IRQSet
		data []byte
		fds  []int
	}{
		{"no data kind", wire.IRQSet{Flags: trigger, Count: 1}, nil, nil},
		{"two data kinds", wire.IRQSet{Flags: none | boolean | trigger, Count: 1}, []byte{1}, nil},
		{"no action", wire.IRQSet{Flags: none, Count: 1}, nil, nil},
		{"two actions", wire.IRQSet{Flags: none | mask | unmask, Count: 1}, nil, nil},
		{"unknown flag", wire.IRQSet{Flags: none | mask | 1<<6, Count: 1}, nil, nil},
		{"no such index", wire.IRQSet{Flags: none | mask, Index: 5, Count: 1}, nil, nil},
		{"huge index", wire.IRQSet{Flags: none | mask, Index: ^uint32(0), Count: 1}, nil, nil},
		{"index without interrupts", wire.IRQSet{Flags: evfd | trigger, Index: 1, Count: 1}, nil, []int{e.fd}},
		{"start too high", wire.IRQSet{Flags: none | mask, Start: 1, Count: 1}, nil, nil},
		{"start and count wrap", wire.IRQSet{Flags: none | mask, Start: 2, Count: ^uint32(0)}, nil, nil},
		{"giant count", wire.IRQSet{Flags: boolean | mask, Count: ^uint32(0)}, []byte{1}, nil},
		{"mask none", wire.IRQSet{Flags: none | mask}, nil, nil},
		{"disable with start", wire.IRQSet{Flags: none | trigger, Start: 1}, nil, nil},
		{"bool without data", wire.IRQSet{Flags: boolean | trigger, Count: 1}, nil, nil},
		{"bool with too much", wire.IRQSet{Flags: boolean | trigger, Count: 1}, []byte{1, 1}, nil},
		{"none with data", wire.IRQSet{Flags: none | trigger, Count: 1}, []byte{1}, nil},
		{"none with fd", wire.IRQSet{Flags: none | trigger, Count: 1}, nil, []int{e.fd}},
		{"eventfd with data", wire.IRQSet{Flags: evfd | trigger, Count: 1}, []byte{1}, []int{e.fd}},
		{"too many fds", wire.IRQSet{Flags: evfd | trigger, Count: 1}, nil, []int{e.fd, e.fd}},
		{"not an eventfd", wire.IRQSet{Flags: evfd | trigger, Count: 1}, nil, []int{int(f.Fd())}},
	} {
		if err := w.c.SetIRQs(tt.q, tt.data, tt.fds...); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v, want EINVAL", tt.name, err)
		}
	}
	if err := w.c.SetIRQs(wire.IRQSet{Flags: none | trigger, Index: 1}, nil); err != nil {
		t.Errorf("disable of an index without interrupts: %v", err)
	}
}
