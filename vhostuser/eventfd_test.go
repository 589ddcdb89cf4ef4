package vhostuser

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostileEventfd is an eventfd of ours after a peer has switched it to blocking
// mode, with its counter full or empty. A peer has the same open file.
func hostileEventfd(t *testing.T, full bool) (fd int) {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if full {
		if _, err := unix.Write(fd, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func blocking(t *testing.T, fd int) {
	t.Helper()
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// hostileEnv names the case that the test program is to play. A thread that waits
// and keeps what it needs to run Go code is not to be ended from within: another
// process looks after it.
const hostileEnv = "QCEMU_TEST_EVENTFD"

var hostile = map[string]func(*testing.T){
	"signal": func(t *testing.T) {
		fd := hostileEventfd(t, true)
		e, err := NewEventfd(fd)
		if err != nil {
			t.Fatal(err)
		}
		blocking(t, fd)
		e.Signal()
		e.Close()
	},
	// The peer was quicker than the look at the counter.
	"signal, race": func(t *testing.T) {
		for range 3 {
			fd := hostileEventfd(t, true)
			e, err := NewEventfd(fd)
			if err != nil {
				t.Fatal(err)
			}
			blocking(t, fd)
			collected := make(chan bool)
			go func() {
				runtime.GC()
				close(collected)
			}()
			e.write()
			<-collected
			e.Close()
		}
	},
	"take": func(t *testing.T) {
		fd := hostileEventfd(t, false)
		k, err := NewKick(fd)
		if err != nil {
			t.Fatal(err)
		}
		blocking(t, fd)
		var w Waiter
		if errno := w.take(fd); errno != unix.EAGAIN {
			t.Errorf("an event that was not raised: %v", errno)
		}
		k.Close()
	},
	"watch": func(t *testing.T) {
		fd := hostileEventfd(t, false)
		e, err := NewEventfd(fd)
		if err != nil {
			t.Fatal(err)
		}
		raised := make(chan bool)
		e.Watch(func() { raised <- true })
		blocking(t, fd)
		for range 2 {
			if _, err := unix.Write(fd, one[:]); err != nil {
				t.Fatal(err)
			}
			<-raised
		}
		e.Close()
	},
}

// TestHostileEventfd: a peer that makes the event block cannot stop us.
func TestHostileEventfd(t *testing.T) {
	if name := os.Getenv(hostileEnv); name != "" {
		hostile[name](t)
		runtime.GC()
		return
	}
	for name := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHostileEventfd$")
			cmd.Env = append(os.Environ(), hostileEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if ctx.Err() != nil {
				t.Fatal("the process hangs")
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestEventfdRest: the timer of the rescue rests without signals, and starts
// again with them.
func TestEventfdRest(t *testing.T) {
	fd := hostileEventfd(t, false)
	e, err := NewEventfd(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 2 {
		start := time.Now()
		e.Signal()
		// It rests after its second look at the earliest.
		if !e.rescue.running.Load() && time.Since(start) < rescueAfter {
			t.Fatal("a signal does not start the timer")
		}
		for e.rescue.running.Load() {
			time.Sleep(time.Millisecond)
		}
	}
}

func BenchmarkSignal(b *testing.B) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	e, err := NewEventfd(fd)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var w Waiter
	for b.Loop() {
		e.Signal()
		w.take(fd)
	}
}
