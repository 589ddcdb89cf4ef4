package vhostuser

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestWaiter(t *testing.T) {
	a, err := OwnKick()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := OwnKick()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var w Waiter
	for name, c := range map[string]struct {
		signal *Kick
		b      *Kick
		d      time.Duration
	}{
		"first": {a, b, -1}, "second": {b, b, -1}, "one alone": {a, nil, -1}, "none": {nil, b, time.Millisecond},
	} {
		if c.signal != nil {
			c.signal.Signal()
		}
		if err := w.Wait(a, c.b, c.d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if w.ready(a) || w.ready(b) {
			t.Errorf("%s: the event was not taken back", name)
		}
	}
	closed, err := OwnKick()
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if err := w.Wait(closed, nil, -1); err == nil {
		t.Error("waiting for what is closed is no error")
	}
}

// ready reports whether an event is raised, and leaves it.
func (w *Waiter) ready(k *Kick) bool {
	w.pfd[0].Fd, w.pfd[0].Events = int32(k.fd), 1
	n, _ := w.ppoll(1, 0, false)
	return n > 0
}

// TestWaiterCollection: threads that wait do not keep the garbage collector or
// other goroutines from going on, however many there are.
func TestWaiterCollection(t *testing.T) {
	n := 2 * runtime.GOMAXPROCS(0)
	done := make(chan error, n)
	var stopped atomic.Bool
	kicks := make([]*Kick, n)
	for i := range kicks {
		var err error
		if kicks[i], err = OwnKick(); err != nil {
			t.Fatal(err)
		}
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var w Waiter
			for {
				err := w.Wait(kicks[i], nil, -1)
				if err != nil || stopped.Load() {
					done <- err
					return
				}
			}
		}()
	}
	for range 3 {
		time.Sleep(5 * time.Millisecond) // so that they wait
		runtime.GC()
		for _, k := range kicks {
			k.Signal()
		}
	}
	stopped.Store(true)
	for _, k := range kicks {
		k.Signal()
	}
	for range kicks {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, k := range kicks {
		k.Close()
	}
}
