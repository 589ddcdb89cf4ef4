package vfiouser_test

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// trivial is a device that costs nothing.
type trivial struct{ reg [8]byte }

func (d *trivial) Attach(bus.Memory, bus.Line)            {}
func (d *trivial) Reset()                                 {}
func (d *trivial) ReadRegion(_ uint64, p []byte) error    { copy(p, d.reg[:]); return nil }
func (d *trivial) WriteRegion(off uint64, p []byte) error { copy(d.reg[:], p); return nil }

func socketpair(tb testing.TB) (a, b *vhostuser.Socket) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if a, err = vhostuser.NewSocket(fds[0]); err != nil {
		tb.Fatal(err)
	}
	if b, err = vhostuser.NewSocket(fds[1]); err != nil {
		tb.Fatal(err)
	}
	return a, b
}

// trivialServer returns the client's end of a negotiated session.
func trivialServer(tb testing.TB) *vhostuser.Socket {
	tb.Helper()
	srv, err := vfiouser.New(vfiouser.Config{Device: &trivial{}, BARSize: 4096, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	ours, theirs := socketpair(tb)
	done := make(chan struct{})
	go func() { defer close(done); srv.ServeConn(context.Background(), ours) }()
	tb.Cleanup(func() { theirs.Close(); <-done })
	var b [64]byte
	theirs.Send(vfiotest.Encode(wire.Header{Cmd: wire.Version}, make([]byte, 4)), nil)
	if _, _, err := theirs.Recv(b[:], true); err != nil {
		tb.Fatal(err)
	}
	return theirs
}

// pingPong returns the client's end of a thread that answers 32 bytes with 36,
// as a register read does, and does nothing else.
func pingPong(tb testing.TB) *vhostuser.Socket {
	tb.Helper()
	ours, theirs := socketpair(tb)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var b [64]byte
		for {
			if _, _, err := ours.Recv(b[:], true); err != nil {
				ours.Close()
				return
			}
			ours.Send(b[:36], nil)
		}
	}()
	tb.Cleanup(func() { theirs.Close(); <-done })
	return theirs
}

var readMessage = vfiotest.Encode(wire.Header{ID: 1, Cmd: wire.RegionRead}, vfiotest.Access(0, 8, 4, nil))

func roundTrip(tb testing.TB, s *vhostuser.Socket, b []byte) {
	if err := s.Send(readMessage, nil); err != nil {
		tb.Fatal(err)
	}
	if n, _, err := s.Recv(b, true); n != 36 || err != nil {
		tb.Fatal(n, err)
	}
}

// BenchmarkRegisterRead compares a register read through the server with a bare
// ping-pong of messages of the same length, taking turns in one run.
func BenchmarkRegisterRead(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	bare, server := pingPong(b), trivialServer(b)
	var buf [64]byte
	measure := func(s *vhostuser.Socket, into []int64) []int64 {
		for range 100 {
			start := time.Now()
			roundTrip(b, s, buf[:])
			into = append(into, int64(time.Since(start)))
		}
		return into
	}
	b.ReportAllocs()
	bareNS, serverNS := make([]int64, 0, 1<<20), make([]int64, 0, 1<<20)
	for b.Loop() {
		bareNS = measure(bare, bareNS)
		serverNS = measure(server, serverNS)
	}
	p50 := func(ns []int64) float64 { slices.Sort(ns); return float64(ns[len(ns)/2]) }
	b.ReportMetric(p50(bareNS), "bare-p50-ns")
	b.ReportMetric(p50(serverNS), "server-p50-ns")
	b.ReportMetric(p50(serverNS)/p50(bareNS), "ratio")
	b.ReportMetric(0, "ns/op") // of 200 round trips: says nothing
}

// BenchmarkPostedWrites is a burst of register writes, then a read.
func BenchmarkPostedWrites(b *testing.B) {
	s := trivialServer(b)
	write := vfiotest.Encode(wire.Header{Cmd: wire.RegionWrite, Flags: wire.NoReply}, vfiotest.Access(0, 8, 4, []byte{1, 2, 3, 4}))
	var buf [64]byte
	b.ReportAllocs()
	for b.Loop() {
		for range 20 {
			s.Send(write, nil)
		}
		roundTrip(b, s, buf[:])
	}
}

func TestAccessAllocatesNothing(t *testing.T) {
	s := trivialServer(t)
	write := vfiotest.Encode(wire.Header{Cmd: wire.RegionWrite, Flags: wire.NoReply}, vfiotest.Access(0, 8, 4, []byte{1, 2, 3, 4}))
	multi := vfiotest.Encode(wire.Header{Cmd: wire.RegionWriteMulti, Flags: wire.NoReply}, vfiotest.Writes(0, []uint64{0, 8}, []uint32{1, 2}))
	var buf [64]byte
	if n := testing.AllocsPerRun(1000, func() {
		s.Send(write, nil)
		s.Send(multi, nil)
		roundTrip(t, s, buf[:])
	}); n != 0 {
		t.Errorf("%v allocations for three messages", n)
	}
}
