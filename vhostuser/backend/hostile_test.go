package backend_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// TestRefused has messages that are well-formed and cannot be obeyed: an errno,
// and the session goes on.
func TestRefused(t *testing.T) {
	r := ready(t)
	event := vhosttest.NewEvent(t)
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer vhostuser.CloseFDs(pipe)
	region := r.low.Region
	moved := func(change func(*wire.Region)) wire.Region {
		g := wire.Region{GuestAddr: 0x300000000, UserAddr: 0x7f4000000000, Size: ramSize, Offset: 4096}
		change(&g)
		return g
	}
	for _, c := range []struct {
		name    string
		request wire.Request
		fds     []int
		payload []any
		want    unix.Errno
	}{
		{"unknown request", 77, nil, nil, unix.ENOSYS},
		{"request 0", 0, nil, nil, unix.ENOSYS},
		{"RARP", wire.SendRARP, nil, []any{uint64(0)}, unix.ENOSYS},
		{"IOTLB", wire.IOTLBMsg, nil, []any{[4]uint64{}}, unix.ENOSYS},
		{"postcopy", wire.PostcopyListen, nil, nil, unix.ENOSYS},
		{"device state", wire.SetDeviceStateFD, []int{event.FD}, []any{uint64(0)}, unix.ENOSYS},
		{"in-band kick, not negotiated", wire.VringKick, nil, []any{wire.VringState{}}, unix.EPERM},

		{"ring that does not exist", wire.SetVringNum, nil, []any{wire.VringState{Index: queues, Num: 8}}, unix.EINVAL},
		{"ring of no size", wire.SetVringNum, nil, []any{wire.VringState{Num: 0}}, unix.EINVAL},
		{"ring too large", wire.SetVringNum, nil, []any{wire.VringState{Num: 1 << 16}}, unix.EINVAL},
		{"ring index of 32 bits", wire.SetVringBase, nil, []any{wire.VringState{Index: ^uint32(0)}}, unix.EINVAL},
		{"addresses of a ring that does not exist", wire.SetVringAddr, nil, []any{wire.VringAddr{Index: 9}}, unix.EINVAL},
		{"ring with unknown flags", wire.SetVringAddr, nil, []any{wire.VringAddr{Flags: 2}}, unix.EINVAL},
		{"enable of a ring that does not exist", wire.SetVringEnable, nil, []any{wire.VringState{Index: queues, Num: 1}}, unix.EINVAL},
		{"enable with 2", wire.SetVringEnable, nil, []any{wire.VringState{Num: 2}}, unix.EINVAL},
		{"kick of a ring that does not exist", wire.SetVringKick, []int{event.FD}, []any{uint64(0xff)}, unix.EINVAL},
		{"call of a ring that does not exist", wire.SetVringCall, []int{event.FD}, []any{uint64(queues)}, unix.EINVAL},
		{"kick without descriptor", wire.SetVringKick, nil, []any{uint64(0)}, unix.EINVAL},
		{"kick with descriptor and without", wire.SetVringKick, []int{event.FD}, []any{uint64(wire.VringNoFD)}, unix.EINVAL},
		{"kick with two descriptors", wire.SetVringKick, []int{event.FD, event.FD}, []any{uint64(0)}, unix.EINVAL},
		{"kick with unknown bits", wire.SetVringKick, []int{event.FD}, []any{uint64(1 << 20)}, unix.EINVAL},
		{"kick by a pipe", wire.SetVringKick, []int{pipe[0]}, []any{uint64(0)}, unix.EINVAL},
		{"call by a pipe", wire.SetVringCall, []int{pipe[1]}, []any{uint64(0)}, unix.EINVAL},
		{"error by a memfd", wire.SetVringErr, []int{r.low.FD}, []any{uint64(0)}, unix.EINVAL},

		{"payload too short", wire.SetVringNum, nil, []any{uint32(0)}, unix.EINVAL},
		{"payload too long", wire.SetVringNum, nil, []any{[3]uint32{}}, unix.EINVAL},
		{"payload where there is none", wire.SetOwner, nil, []any{uint64(0)}, unix.EINVAL},
		{"descriptor where there is none", wire.SetFeatures, []int{event.FD}, []any{uint64(0)}, unix.EINVAL},

		{"nine regions", wire.SetMemTable, nil, []any{wire.MemTable{Count: 9}}, unix.EINVAL},
		{"more regions than the message has", wire.SetMemTable, []int{r.low.FD, r.low.FD}, []any{wire.MemTable{Count: 2}, region}, unix.EINVAL},
		{"fewer descriptors than regions", wire.SetMemTable, []int{r.low.FD}, []any{wire.MemTable{Count: 2}, region, r.high.Region}, unix.EINVAL},
		{"more descriptors than regions", wire.SetMemTable, []int{r.low.FD, r.low.FD}, []any{wire.MemTable{Count: 1}, region}, unix.EINVAL},
		{"regions that overlap", wire.SetMemTable, []int{r.low.FD, r.low.FD}, []any{wire.MemTable{Count: 2}, region, region}, unix.EEXIST},
		{"region without size", wire.AddMemReg, []int{r.low.FD}, []any{uint64(0), moved(func(g *wire.Region) { g.Size = 0 })}, unix.EINVAL},
		{"region around the end", wire.AddMemReg, []int{r.low.FD}, []any{uint64(0), moved(func(g *wire.Region) { g.Size = ^uint64(4095) })}, unix.EINVAL},
		{"region with a user address around the end", wire.AddMemReg, []int{r.low.FD}, []any{uint64(0), moved(func(g *wire.Region) { g.UserAddr = ^uint64(4095) })}, unix.EINVAL},
		{"region with odd offset", wire.AddMemReg, []int{r.low.FD}, []any{uint64(0), moved(func(g *wire.Region) { g.Offset = 1 })}, unix.EINVAL},
		{"region at an odd address", wire.AddMemReg, []int{r.low.FD}, []any{uint64(0), moved(func(g *wire.Region) { g.GuestAddr++ })}, unix.EINVAL},
		{"region without a descriptor", wire.AddMemReg, nil, []any{uint64(0), moved(func(*wire.Region) {})}, unix.EINVAL},
		{"region that cannot be mapped", wire.AddMemReg, []int{pipe[0]}, []any{uint64(0), moved(func(*wire.Region) {})}, unix.EACCES},
		{"region over another's user addresses", wire.AddMemReg, []int{r.low.FD}, []any{uint64(0), moved(func(g *wire.Region) { g.UserAddr = region.UserAddr })}, unix.EEXIST},
		{"region that is not there", wire.RemMemReg, nil, []any{uint64(0), moved(func(*wire.Region) {})}, unix.ENOENT},

		{"log event by a pipe", wire.SetLogFD, []int{pipe[0]}, nil, unix.EINVAL},
		{"log event without descriptor", wire.SetLogFD, nil, nil, unix.EINVAL},
		{"back-end channel that is no socket", wire.SetBackendReqFD, []int{event.FD}, nil, unix.ENOTSOCK},
		{"back-end channel without descriptor", wire.SetBackendReqFD, nil, nil, unix.EINVAL},
		{"in-flight memory without descriptor", wire.SetInflightFD, nil, []any{wire.Inflight{MapSize: 1 << 30, Queues: 1, QueueSize: 8}}, unix.EINVAL},
		{"in-flight memory for no queue", wire.SetInflightFD, []int{r.low.FD}, []any{wire.Inflight{MapSize: 1 << 30, QueueSize: 8}}, unix.EINVAL},
		{"in-flight memory for too many queues", wire.SetInflightFD, []int{r.low.FD}, []any{wire.Inflight{MapSize: 1 << 30, Queues: 99, QueueSize: 8}}, unix.EINVAL},
		{"in-flight memory of all the address space", wire.SetInflightFD, []int{r.low.FD}, []any{wire.Inflight{MapSize: ^uint64(0), Queues: 1, QueueSize: 8}}, unix.EINVAL},
		{"in-flight memory at an odd offset", wire.SetInflightFD, []int{r.low.FD}, []any{wire.Inflight{MapSize: 1 << 20, MapOffset: 8, Queues: 1, QueueSize: 8}}, unix.EINVAL},
		{"configuration that is not there", wire.SetConfig, nil, []any{wire.Config{Offset: ^uint32(0), Size: 4}, uint32(0)}, unix.EINVAL},
		{"configuration of another length", wire.SetConfig, nil, []any{wire.Config{Size: 8}, uint32(0)}, unix.EINVAL},
	} {
		if got := r.Tell(c.request, c.fds, c.payload...); got != c.want {
			t.Errorf("%s: errno %d (%v), want %v", c.name, int(got), got, c.want)
		}
	}
	// Nothing of it has done harm.
	q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	echo(t, q, r.low, "still alive", true)
}

// TestClosed has messages after which there is no going on.
func TestClosed(t *testing.T) {
	fds := func(n int) (all []int) {
		e := vhosttest.NewEvent(t)
		for range n {
			all = append(all, e.FD)
		}
		return all
	}
	raw := func(h wire.Header, payload int) func(r *rig) error {
		return func(r *rig) error {
			b := make([]byte, wire.HeaderSize+payload)
			h.Put(b)
			return r.Sock.Send(b, nil)
		}
	}
	for name, send := range map[string]func(*rig) error{
		"version 0":             raw(wire.Header{Request: wire.GetFeatures}, 0),
		"version 2":             raw(wire.Header{Request: wire.GetFeatures, Flags: 2}, 0),
		"reply":                 raw(wire.Header{Request: wire.GetFeatures, Flags: wire.Version | wire.Reply}, 0),
		"payload of 4 GiB":      raw(wire.Header{Request: wire.SetFeatures, Flags: wire.Version, Size: ^uint32(0)}, 0),
		"payload of 5000 bytes": raw(wire.Header{Request: wire.SetFeatures, Flags: wire.Version, Size: 5000}, 0),
		"17 descriptors": func(r *rig) error {
			return r.Send(wire.SetMemTable, 0, fds(17), wire.MemTable{Count: 8}, [8]wire.Region{})
		},
		"a reply that is impossible": func(r *rig) error {
			return r.Send(wire.GetVringBase, wire.NeedReply, nil, wire.VringState{Index: 99})
		},
		"in-flight memory that is impossible": func(r *rig) error {
			return r.Send(wire.GetInflightFD, 0, nil, wire.Inflight{Queues: 99, QueueSize: 8})
		},
		"log that is no shared memory": func(r *rig) error {
			return r.Send(wire.SetLogBase, 0, nil, uint64(0x1234))
		},
		"log of all the address space": func(r *rig) error {
			return r.Send(wire.SetLogBase, wire.NeedReply, []int{r.low.FD}, wire.Log{Size: ^uint64(0)})
		},
		"log that cannot be mapped": func(r *rig) error {
			return r.Send(wire.SetLogBase, wire.NeedReply, fds(1), wire.Log{Size: 4096})
		},
		"session between the two lengths": func(r *rig) error {
			return r.Send(wire.CreateCryptoSession, 0, nil, make([]byte, wire.OldCryptoSessionSize+8))
		},
		"session that is too short": func(r *rig) error {
			return r.Send(wire.CreateCryptoSession, wire.NeedReply, nil, make([]byte, 16))
		},
		"session that is too long": func(r *rig) error {
			return r.Send(wire.CreateCryptoSession, wire.NeedReply, nil, make([]byte, wire.CryptoSessionSize+8))
		},
		"unknown request, nobody asks": func(r *rig) error { return r.Send(55, 0, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			r := ready(t)
			if err := send(r); err != nil {
				t.Fatal(err)
			}
			if err := r.Closed(); err != nil {
				t.Error(err)
			}
			r.end()
			r.connect() // the next one is welcome
			r.AskU64(wire.GetFeatures)
		})
	}
}

// TestCutOff hangs up in the middle of a message.
func TestCutOff(t *testing.T) {
	r := ready(t)
	for n := 1; n < wire.HeaderSize+wire.U64Size; n++ {
		b := make([]byte, wire.HeaderSize+wire.U64Size)
		(&wire.Header{Request: wire.SetVringKick, Flags: wire.Version, Size: wire.U64Size}).Put(b)
		e := vhosttest.NewEvent(t)
		if err := r.Sock.Send(b[:n], nil, e.FD); err != nil {
			t.Fatal(err)
		}
		r.end()
		r.connect()
	}
	r.AskU64(wire.GetFeatures)
}

// TestLeaks: descriptors and mappings are given back, whatever has happened.
func TestLeaks(t *testing.T) {
	r := ready(t)
	r.end()
	files, maps := openFDs(t), mappings(t)
	for range 5 {
		r.connect()
		r.Negotiate(virtioFeatures, everything)
		r.SetMemory(r.low, r.high)
		channel(t, r)
		reply := r.Ask(wire.GetInflightFD, wire.Inflight{Queues: queues, QueueSize: ringSize})
		memory := r.FDs
		r.Must(wire.SetInflightFD, memory, wire.Get[wire.Inflight](reply))
		vhostuser.CloseFDs(memory)
		q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
		for range 2 { // what was there is replaced
			if err := r.Send(wire.SetLogBase, 0, []int{r.high.FD}, wire.Log{Size: 4096}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Receive(); err != nil {
				t.Fatal(err)
			}
			r.Must(wire.SetLogFD, []int{q.Err.FD})
		}
		echo(t, q, r.low, "x", false)
		r.Tell(wire.SetMemTable, []int{r.low.FD, r.high.FD}, wire.MemTable{Count: 1}, r.low.Region)
		r.Tell(wire.SetVringKick, []int{q.Kick.FD, q.Call.FD}, uint64(0))
		r.Tell(99, []int{q.Kick.FD})
		r.low.Free(0)
		clear(r.low.Bytes(guestLow, ramSize))
		r.end()
	}
	// What the test itself holds open grows: three events and one end of a
	// channel in each round.
	if got, want := openFDs(t), files+5*4; got > want {
		t.Errorf("%d descriptors are open, %d before", got, want)
	}
	if got := mappings(t); got > maps {
		t.Errorf("%d mappings, %d before", got, maps)
	}
}

// TestBrokenRing: the guest breaks a ring, the front-end is told, the other
// rings go on, and so does this one when it is set up again.
func TestBrokenRing(t *testing.T) {
	r := ready(t)
	d := vhosttest.NewSplit(r.low, ringSize, true)
	q := r.Start(0, d, 0)
	other := r.Start(1, vhosttest.NewSplit(r.low, ringSize, true), 0)
	d.Descriptor(d.Desc, 0, vhosttest.Buffer{Addr: 0x10, Len: 4}, 0, 0)
	d.Head(0)
	d.Publish()
	q.Kick.Signal()
	if !q.Err.Wait(vhosttest.Timeout) {
		t.Fatal("no error event")
	}
	echo(t, other, r.low, "other ring", false)
	q.Stop()
	fresh := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	echo(t, fresh, r.low, "set up again", false)

	// A request that the device cannot make sense of stops the ring too.
	fresh.Submit(nil, []vhosttest.Buffer{r.low.Space(4)}, false)
	if !fresh.Err.Wait(vhosttest.Timeout) {
		t.Error("senseless request: no error event")
	}
}

// TestRingOutside: a ring whose place is nonsense is broken, not the session.
func TestRingOutside(t *testing.T) {
	r := ready(t)
	good := vhosttest.NewSplit(r.low, ringSize, true).Addr(0)
	for i, change := range []func(*wire.VringAddr){
		func(a *wire.VringAddr) { a.Descriptor = 0 },
		func(a *wire.VringAddr) { a.Used += 2 },
		func(a *wire.VringAddr) { a.Avail = r.low.UserAddr + ramSize - 2 },
	} {
		a := good
		change(&a)
		kick, errEvent := vhosttest.NewEvent(t), vhosttest.NewEvent(t)
		r.Must(wire.SetVringNum, nil, wire.VringState{Num: ringSize})
		r.Must(wire.SetVringErr, []int{errEvent.FD}, uint64(0))
		r.Must(wire.SetVringAddr, nil, a)
		r.Must(wire.SetVringKick, []int{kick.FD}, uint64(0))
		r.Must(wire.SetVringEnable, nil, wire.VringState{Num: 1})
		if !errEvent.Wait(vhosttest.Timeout) {
			t.Errorf("case %d: no error event", i)
		}
		r.Ask(wire.GetVringBase, wire.VringState{})
	}
}

// TestManyMistakes: refused messages and broken rings together fill the log with
// no more than a few lines, of which the last says so.
func TestManyMistakes(t *testing.T) {
	r := newRig(t)
	r.end()
	var log bytes.Buffer
	r.server = backend.New(backend.Config{Device: r.dev, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	r.connect()
	r.Negotiate(virtioFeatures, everything)
	a := vhosttest.NewSplit(r.low, ringSize, true).Addr(0)
	kick := vhosttest.NewEvent(t)
	for range 20 {
		r.Tell(wire.SetVringNum, nil, wire.VringState{Index: queues})
		r.Must(wire.SetVringNum, nil, wire.VringState{Num: ringSize})
		r.Must(wire.SetVringAddr, nil, a) // there is no memory
		r.Must(wire.SetVringKick, []int{kick.FD}, uint64(0))
		r.Must(wire.SetVringEnable, nil, wire.VringState{Num: 1})
	}
	r.end()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 16 || !strings.Contains(log.String(), "ring is broken") || !strings.Contains(lines[len(lines)-1], "more mistakes") {
		t.Errorf("%d lines:\n%s", len(lines), log.String())
	}
}

// TestInflightTooSmall: a ring that is longer than those for which the front-end
// has ordered in-flight memory does not get at the memory of the next one.
func TestInflightTooSmall(t *testing.T) {
	for name, longer := range map[string]func(*vhosttest.RAM) vhosttest.Driver{
		"split":  func(m *vhosttest.RAM) vhosttest.Driver { return vhosttest.NewSplit(m, 4*ringSize, true) },
		"packed": func(m *vhosttest.RAM) vhosttest.Driver { return vhosttest.NewPacked(m, 4*ringSize, true) },
	} {
		t.Run(name, func(t *testing.T) {
			packed := name == "packed"
			r := newRig(t)
			features := uint64(virtioFeatures) &^ backend.FeaturePacked
			if packed {
				features |= backend.FeaturePacked
			}
			r.Negotiate(features, everything&^wire.ProtocolInbandNotify)
			r.SetMemory(r.low)
			got := wire.Get[wire.Inflight](r.Ask(wire.GetInflightFD, wire.Inflight{Queues: queues, QueueSize: ringSize}))
			fd := r.FDs[0]
			defer unix.Close(fd)
			r.Must(wire.SetInflightFD, []int{fd}, got)

			q := r.Start(0, longer(r.low), 0)
			if !q.Err.Wait(vhosttest.Timeout) {
				t.Error("no error event")
			}
			next := make([]byte, virtqueue.InflightSize(packed, ringSize))
			if _, err := unix.Pread(fd, next, int64(len(next))); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(next, make([]byte, len(next))) {
				t.Error("the next ring's in-flight memory was written")
			}
		})
	}
}

// TestInflightNonsense: in-flight memory in which there is nothing that the device
// can take up is refused, and the next front-end is served.
func TestInflightNonsense(t *testing.T) {
	r := ready(t)
	got := wire.Get[wire.Inflight](r.Ask(wire.GetInflightFD, wire.Inflight{Queues: queues, QueueSize: ringSize}))
	fd := r.FDs[0]
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, bytes.Repeat([]byte{noState}, int(got.MapSize)), 0); err != nil {
		t.Fatal(err)
	}
	if errno := r.Tell(wire.SetInflightFD, []int{fd}, got); errno != unix.EINVAL {
		t.Errorf("errno %v, want EINVAL", errno)
	}
	r.end()
	r.connect()
	r.Negotiate(virtioFeatures, everything&^wire.ProtocolInbandNotify)
	r.SetMemory(r.low)
	echo(t, r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0), r.low, "the next one", false)
}

// TestShrunkMemory: the front-end takes the file away from under a ring.
func TestShrunkMemory(t *testing.T) {
	r := ready(t)
	q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	out := r.high.Put([]byte("text"))
	if err := unix.Ftruncate(r.high.FD, 0); err != nil {
		t.Fatal(err)
	}
	q.Add([]vhosttest.Buffer{out}, []vhosttest.Buffer{r.low.Space(4)}, false)
	q.Publish()
	q.Kick.Signal()
	if !q.Err.Wait(vhosttest.Timeout) {
		t.Error("no error event")
	}
}

// TestStuckRequest: a request that does not end does not keep the front-end
// from stopping its ring; it comes again.
func TestStuckRequest(t *testing.T) {
	r := ready(t)
	blocked, entered := r.dev.block()
	q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	in := r.low.Space(5)
	q.Submit([]vhosttest.Buffer{r.low.Put([]byte("stuck"))}, []vhosttest.Buffer{in}, false)
	<-entered
	if base := q.Stop(); base != 0 {
		t.Errorf("position %d, but nothing was done", base)
	}
	close(blocked)
	q.Resume(r.Frontend, 0)
	if _, n := q.Take(); n != 5 {
		t.Errorf("%d bytes", n)
	}
	check(t, r.low, in, "stuck")
}

// TestBusy: a second front-end is turned away, and one that comes when the first
// has hung up is not.
func TestBusy(t *testing.T) {
	r := ready(t)
	f, sock := vhosttest.Pair(t)
	if err := r.server.ServeConn(t.Context(), sock); err == nil {
		t.Error("two front-ends at a time")
	}
	if err := f.Closed(); err != nil {
		t.Error(err)
	}
	for range 5 {
		r.Close()
		r.connect() // at once
		r.AskU64(wire.GetFeatures)
	}
}

// TestChanges changes everything that can be changed while a ring is busy.
func TestChanges(t *testing.T) {
	r := ready(t)
	q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	var served atomic.Int64
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			q.Do([]vhosttest.Buffer{r.low.Put([]byte("busy"))}, []vhosttest.Buffer{r.low.Space(4)}, false)
			served.Add(1)
		}
	}()
	other := vhosttest.NewRAM(t, 0x500000000, 0x7f5000000000, ramSize)
	end, late := time.Now().Add(300*time.Millisecond), time.Now().Add(vhosttest.Timeout)
	for i := 0; time.Now().Before(end) || served.Load() == 0 && time.Now().Before(late); i++ {
		r.Must(wire.SetVringCall, []int{q.Call.FD}, uint64(0))
		r.Must(wire.SetVringErr, []int{q.Err.FD}, uint64(0))
		r.Must(wire.SetVringEnable, nil, wire.VringState{Num: uint32(i % 2)})
		r.Must(wire.SetVringEnable, nil, wire.VringState{Num: 1})
		r.Must(wire.AddMemReg, []int{other.FD}, uint64(0), other.Region)
		r.Must(wire.RemMemReg, nil, uint64(0), other.Region)
		r.SetMemory(r.low, r.high)
		r.Must(wire.SetVringAddr, nil, q.Addr(0))
	}
	close(stop)
	<-stopped
	if n := served.Load(); n == 0 {
		t.Error("nothing was served")
	} else {
		t.Logf("%d requests", n)
	}
}
