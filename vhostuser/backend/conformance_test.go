package backend_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

func TestFeatures(t *testing.T) {
	r := newRig(t)
	const rings = backend.FeatureVersion1 | backend.FeatureIndirect | backend.FeatureEventIdx | backend.FeaturePacked
	if diff := cmp.Diff(uint64(1<<5|rings|wire.FeatureLogAll|wire.FeatureProtocol), r.AskU64(wire.GetFeatures)); diff != "" {
		t.Errorf("GET_FEATURES (-want +got):\n%s", diff)
	}
	p := r.AskU64(wire.GetProtocolFeatures) // legal before SET_FEATURES
	for _, bit := range []uint64{wire.ProtocolMQ, wire.ProtocolLogShmFD, wire.ProtocolReplyAck, wire.ProtocolBackendReq,
		wire.ProtocolCryptoSession, wire.ProtocolConfig, wire.ProtocolInflightShmFD, wire.ProtocolResetDevice,
		wire.ProtocolInbandNotify, wire.ProtocolConfigureMemSlots, wire.ProtocolStatus} {
		if p&bit == 0 {
			t.Errorf("protocol feature %#x is missing", bit)
		}
	}
	r.Negotiate(virtioFeatures, everything)
	if errno := r.Tell(wire.SetFeatures, nil, uint64(1<<40)); errno != unix.EINVAL {
		t.Errorf("features that were not offered: %v", errno)
	}
	if errno := r.Tell(wire.SetProtocolFeatures, nil, uint64(1<<40)|p); errno != unix.EINVAL {
		t.Errorf("protocol features that were not offered: %v", errno)
	}
	if errno := r.Tell(wire.SetOwner, nil); errno != unix.EBUSY {
		t.Errorf("second SET_OWNER: %v", errno)
	}
	if got := r.AskU64(wire.GetQueueNum); got != queues {
		t.Errorf("GET_QUEUE_NUM: %d", got)
	}
}

// TestWithoutAck: a message that cannot be obeyed closes the connection if
// nobody asked for an acknowledgement.
func TestWithoutAck(t *testing.T) {
	r := newRig(t)
	r.Send(wire.SetFeatures, 0, nil, uint64(1<<40))
	if err := r.Closed(); err != nil {
		t.Error(err)
	}
	r.end()

	r.connect()
	r.Send(wire.SetProtocolFeatures, 0, nil, uint64(wire.ProtocolInbandNotify))
	if err := r.Closed(); err != nil {
		t.Errorf("in-band notifications alone: %v", err)
	}
}

// TestNeedReplyNotNegotiated: the flag means nothing without REPLY_ACK.
func TestNeedReplyNotNegotiated(t *testing.T) {
	r := newRig(t)
	if err := r.Send(wire.SetOwner, wire.NeedReply, nil); err != nil {
		t.Fatal(err)
	}
	r.AskU64(wire.GetFeatures) // the next answer is to this
}

func TestRings(t *testing.T) {
	for _, packed := range []bool{false, true} {
		for _, event := range []bool{false, true} {
			t.Run(fmt.Sprintf("packed=%v,event=%v", packed, event), func(t *testing.T) {
				r := newRig(t)
				features := uint64(backend.FeatureVersion1 | backend.FeatureIndirect)
				if packed {
					features |= backend.FeaturePacked
				}
				if event {
					features |= backend.FeatureEventIdx
				}
				r.Negotiate(features, everything&^wire.ProtocolInbandNotify)
				r.SetMemory(r.low, r.high)
				for i := range uint32(queues) {
					var d vhosttest.Driver = vhosttest.NewSplit(r.low, ringSize, event)
					if packed {
						d = vhosttest.NewPacked(r.low, ringSize-3, event)
					}
					q := r.Start(i, d, d.Base())
					for n := range 60 {
						echo(t, q, r.low, fmt.Sprintf("text %d of ring %d", n, i), n%2 == 0)
					}
					base := q.Stop()
					q.Resume(r.Frontend, base)
					echo(t, q, r.low, "once more", false)
				}
			})
		}
	}
}

// TestSecondRegion has buffers in both regions and in one that comes later.
func TestSecondRegion(t *testing.T) {
	r := ready(t)
	if n := r.AskU64(wire.GetMaxMemSlots); n < 32 {
		t.Errorf("GET_MAX_MEM_SLOTS: %d", n)
	}
	q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	echo(t, q, r.high, "in the second region", false)
	third := vhosttest.NewRAM(t, 0x200000000, 0x7f3000000000, ramSize)
	r.Must(wire.AddMemReg, []int{third.FD}, uint64(0), third.Region)
	echo(t, q, third, "in a third", true)
	echo(t, q, r.low, "and the first", true)
	if errno := r.Tell(wire.AddMemReg, []int{third.FD}, uint64(0), third.Region); errno != unix.EEXIST {
		t.Errorf("region twice: %v", errno)
	}
	gone := third.Region
	gone.Offset = 77 // does not matter
	r.Must(wire.RemMemReg, nil, uint64(0), gone)
	if errno := r.Tell(wire.RemMemReg, []int{third.FD}, uint64(0), gone); errno != unix.ENOENT {
		t.Errorf("region that is gone: %v", errno)
	}
	echo(t, q, r.low, "still there", false)

	// The new table replaces the old one, under a ring that runs.
	r.SetMemory(r.low)
	echo(t, q, r.low, "with one region", true)
	q.Add([]vhosttest.Buffer{r.high.Put([]byte("x"))}, []vhosttest.Buffer{r.low.Space(1)}, false)
	q.Publish()
	q.Kick.Signal()
	if !q.Err.Wait(vhosttest.Timeout) {
		t.Error("buffer in a region that is gone: no error event")
	}
}

// TestRingStates goes through the states that the specification has.
func TestRingStates(t *testing.T) {
	r := ready(t)
	d := vhosttest.NewSplit(r.low, ringSize, true)
	q := r.Start(0, d, 0)
	echo(t, q, r.low, "runs", false)

	r.Must(wire.SetVringEnable, nil, wire.VringState{Index: 0, Num: 0})
	in := r.low.Space(8)
	q.Add([]vhosttest.Buffer{r.low.Put([]byte("disabled"))}, []vhosttest.Buffer{in}, false)
	q.Publish()
	q.Kick.Signal()
	if !q.Quiet(50 * time.Millisecond) {
		t.Error("a disabled ring was served")
	}
	r.Must(wire.SetVringEnable, nil, wire.VringState{Index: 0, Num: 1})
	if _, n := q.Take(); n != 8 {
		t.Errorf("%d bytes", n)
	}
	check(t, r.low, in, "disabled")

	if base := q.Stop(); base != 2 {
		t.Errorf("position is %d, want 2", base)
	}
	q.Add([]vhosttest.Buffer{r.low.Put([]byte("stopped"))}, []vhosttest.Buffer{r.low.Space(7)}, false)
	q.Publish()
	q.Kick.Signal()
	if !q.Quiet(50 * time.Millisecond) {
		t.Error("a stopped ring was served")
	}
	q.Resume(r.Frontend, 2)
	if _, n := q.Take(); n != 7 {
		t.Errorf("%d bytes", n)
	}
	r.Must(wire.ResetOwner, nil) // disables
	q.Add([]vhosttest.Buffer{r.low.Put([]byte("no owner"))}, []vhosttest.Buffer{r.low.Space(8)}, false)
	q.Publish()
	q.Kick.Signal()
	if !q.Quiet(50 * time.Millisecond) {
		t.Error("a ring was served after RESET_OWNER")
	}
}

// TestDisabledUntilEnabled: with protocol features a ring begins disabled, without
// enabled.
func TestDisabledUntilEnabled(t *testing.T) {
	for _, protocol := range []bool{true, false} {
		r := newRig(t)
		features := uint64(virtioFeatures)
		if protocol {
			features |= wire.FeatureProtocol
		}
		r.Must(wire.SetOwner, nil)
		r.Must(wire.SetFeatures, nil, features)
		r.SetMemory(r.low)
		d := vhosttest.NewSplit(r.low, ringSize, true)
		kick, call := vhosttest.NewEvent(t), vhosttest.NewEvent(t)
		r.Must(wire.SetVringNum, nil, wire.VringState{Num: ringSize})
		r.Must(wire.SetVringAddr, nil, d.Addr(0))
		r.Must(wire.SetVringCall, []int{call.FD}, uint64(0))
		r.Must(wire.SetVringKick, []int{kick.FD}, uint64(0))
		d.Add([]vhosttest.Buffer{r.low.Put([]byte("x"))}, []vhosttest.Buffer{r.low.Space(1)}, false)
		d.Publish()
		kick.Signal()
		wait := vhosttest.Timeout
		if protocol {
			wait = 50 * time.Millisecond
		}
		if got := call.Wait(wait); got == protocol {
			t.Errorf("protocol features %v: served %v", protocol, got)
		}
		if protocol {
			continue
		}
		r.Send(wire.SetVringEnable, 0, nil, wire.VringState{Num: 1})
		if err := r.Closed(); err != nil {
			t.Errorf("SET_VRING_ENABLE without protocol features: %v", err)
		}
	}
}

// beReticent is how QEMU's cryptodev begins: it tells nothing of what the driver
// has negotiated.
func (r *rig) beReticent() {
	r.t.Helper()
	r.Must(wire.SetProtocolFeatures, nil, uint64(wire.ProtocolReplyAck))
	r.Ack = true
	r.Must(wire.SetOwner, nil)
	r.Must(wire.SetFeatures, nil, uint64(wire.FeatureProtocol))
	r.SetMemory(r.low)
}

// startReticent sets up the first ring, and does not enable it.
func (r *rig) startReticent(d vhosttest.Driver) *vhosttest.Queue {
	r.t.Helper()
	q := &vhosttest.Queue{Driver: d, Kick: vhosttest.NewEvent(r.t), Call: vhosttest.NewEvent(r.t), Err: vhosttest.NewEvent(r.t)}
	q.For(r.Frontend)
	r.Must(wire.SetVringNum, nil, wire.VringState{Num: ringSize})
	r.Must(wire.SetVringBase, nil, wire.VringState{Num: d.Base()})
	r.Must(wire.SetVringAddr, nil, d.Addr(0))
	r.Must(wire.SetVringErr, []int{q.Err.FD}, uint64(0))
	r.Must(wire.SetVringKick, []int{q.Kick.FD}, uint64(0))
	r.Must(wire.SetVringCall, []int{q.Call.FD}, uint64(0))
	return q
}

// TestReticent serves both kinds of rings without knowing which.
func TestReticent(t *testing.T) {
	for _, packed := range []bool{false, true} {
		r := newRig(t)
		r.beReticent()
		q := r.startReticent(keeper{packed: packed}.driver(r.low))
		for n := range 40 {
			echo(t, q, r.low, fmt.Sprint("text ", n), n%2 == 0)
		}
	}
}

func TestPolling(t *testing.T) {
	r := ready(t)
	d := vhosttest.NewSplit(r.low, ringSize, false)
	q := r.Start(0, d, 0)
	q.Stop()
	r.Must(wire.SetVringKick, nil, uint64(wire.VringNoFD))
	in := r.low.Space(6)
	d.Add([]vhosttest.Buffer{r.low.Put([]byte("polled"))}, []vhosttest.Buffer{in}, false)
	d.Publish()
	if _, n := q.Take(); n != 6 {
		t.Errorf("%d bytes", n)
	}
	check(t, r.low, in, "polled")
}

// TestInband has the kick, the call and the error as messages.
func TestInband(t *testing.T) {
	r := newRig(t)
	r.Negotiate(backend.FeatureVersion1, everything)
	r.SetMemory(r.low)
	back := channel(t, r)
	d := vhosttest.NewSplit(r.low, ringSize, false)
	r.Must(wire.SetVringNum, nil, wire.VringState{Num: ringSize})
	r.Must(wire.SetVringAddr, nil, d.Addr(0))
	r.Must(wire.SetVringEnable, nil, wire.VringState{Num: 1})
	for n := range 3 {
		in := r.low.Space(4)
		d.Add([]vhosttest.Buffer{r.low.Put([]byte("kick"))}, []vhosttest.Buffer{in}, false)
		d.Publish()
		r.Must(wire.VringKick, nil, wire.VringState{})
		if got := back.next(t); got != wire.BackendVringCall {
			t.Fatalf("message %d on the back-end channel, want VRING_CALL", got)
		}
		if _, written, ok := d.Used(); !ok || written != 4 {
			t.Fatalf("round %d: %d bytes, %v", n, written, ok)
		}
		check(t, r.low, in, "kick")
	}
	d.Head(99)
	d.Publish()
	r.Must(wire.VringKick, nil, wire.VringState{})
	if got := back.next(t); got != wire.BackendVringErr {
		t.Errorf("message %d on the back-end channel, want VRING_ERR", got)
	}
	if errno := r.Tell(wire.VringKick, nil, wire.VringState{Num: 1}); errno != unix.EINVAL {
		t.Errorf("reserved field: %v", errno)
	}
	if errno := r.Tell(wire.VringKick, nil, wire.VringState{Index: queues}); errno != unix.EINVAL {
		t.Errorf("ring that does not exist: %v", errno)
	}
}

func TestConfigChanged(t *testing.T) {
	r := ready(t)
	back := channel(t, r)
	done := make(chan struct{})
	go func() { defer close(done); r.server.ConfigChanged() }()
	if got := back.next(t); got != wire.BackendConfigChange {
		t.Errorf("message %d", got)
	}
	<-done
}

func TestConfig(t *testing.T) {
	r := ready(t)
	get := func(off, size uint32) []byte {
		return r.Ask(wire.GetConfig, wire.Config{Offset: off, Size: size}, make([]byte, size))
	}
	got := get(4, 8)
	if want := wire.Get[wire.Config](got); want.Offset != 4 || want.Size != 8 || !bytes.Equal(got[wire.ConfigSize:], []byte("456789ab")) {
		t.Errorf("GET_CONFIG: %+v %q", want, got[wire.ConfigSize:])
	}
	if got := get(10, 8); len(got) != 0 {
		t.Errorf("beyond the end: payload of %d bytes, the error has none", len(got))
	}
	set := func(flags uint32, data string) unix.Errno {
		return r.Tell(wire.SetConfig, nil, wire.Config{Size: uint32(len(data)), Flags: flags}, []byte(data))
	}
	if errno := set(0, "0123"); errno != unix.EPERM {
		t.Errorf("write by the driver: %v", errno)
	}
	if errno := set(wire.ConfigMigration, "0123"); errno != 0 {
		t.Errorf("migration from the same device: %v", errno)
	}
	if errno := set(wire.ConfigMigration, "012x"); errno != unix.EINVAL {
		t.Errorf("migration from another: %v", errno)
	}
}

func TestStatusAndReset(t *testing.T) {
	r := ready(t)
	q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	r.Must(wire.SetStatus, nil, uint64(0xf))
	if got := r.AskU64(wire.GetStatus); got != 0xf {
		t.Errorf("GET_STATUS: %#x", got)
	}
	echo(t, q, r.low, "driver is ok", false)
	before := r.dev.resets.Load()
	r.Must(wire.SetStatus, nil, uint64(0))
	if got := r.dev.resets.Load(); got != before {
		t.Error("SET_STATUS has reset the device")
	}
	q.Add([]vhosttest.Buffer{r.low.Put([]byte("x"))}, []vhosttest.Buffer{r.low.Space(1)}, false)
	q.Publish()
	q.Kick.Signal()
	if !q.Quiet(50 * time.Millisecond) {
		t.Error("served with status 0")
	}
	q.Resume(r.Frontend, 1)
	q.Take()
	r.Must(wire.SetStatus, nil, uint64(0xf))
	r.Must(wire.ResetDevice, nil)
	if got := r.dev.resets.Load(); got != before+1 {
		t.Errorf("%d resets by RESET_DEVICE", got-before)
	}
	if got := r.AskU64(wire.GetStatus); got != 0 {
		t.Errorf("GET_STATUS after the reset: %#x", got)
	}
	if base := q.Stop(); base != 0 {
		t.Errorf("ring position after the reset: %d", base)
	}
	q.Resume(r.Frontend, 2)
	echo(t, q, r.low, "after the reset", false)
	if errno := r.Tell(wire.SetStatus, nil, uint64(0x100)); errno != unix.EINVAL {
		t.Errorf("status of nine bits: %v", errno)
	}
}

func TestCryptoSessions(t *testing.T) {
	for _, size := range []int{wire.CryptoSessionSize, wire.OldCryptoSessionSize} {
		r := ready(t)
		want := wire.CryptoSession{CipherAlg: 3, CipherKeyLen: 16, HashAlg: 4, HashResultLen: 20, AuthKeyLen: 32, AADLen: 7, OpType: 2, Direction: 1, HashMode: 2, ChainOrder: 1}
		copy(want.CipherKey[:], "cipher key here!")
		copy(want.AuthKey[:], "authentication key")
		if size == wire.CryptoSessionSize {
			want.OpCode = 2
		}
		body := make([]byte, size)
		wire.PutCryptoSession(body, &want)
		reply := r.Ask(wire.CreateCryptoSession, body)
		if len(reply) != size || wire.SessionID(reply) != 1 {
			t.Fatalf("reply of %d bytes, session %d", len(reply), wire.SessionID(reply))
		}
		if bytes.Contains(reply, []byte("key")) {
			t.Error("the reply has the key in it")
		}
		if diff := cmp.Diff(want, r.dev.session(1)); diff != "" {
			t.Errorf("session (-sent +created):\n%s", diff)
		}
		bad := want
		bad.CipherAlg = 99
		wire.PutCryptoSession(body, &bad)
		if id := wire.SessionID(r.Ask(wire.CreateCryptoSession, body)); id >= 0 {
			t.Errorf("session that cannot be: %d", id)
		}
		bad = want
		bad.CipherKeyLen = 65
		wire.PutCryptoSession(body, &bad)
		if id := wire.SessionID(r.Ask(wire.CreateCryptoSession, body)); id >= 0 {
			t.Errorf("key that does not fit: %d", id)
		}
		r.Must(wire.CloseCryptoSession, nil, uint64(1))
		if errno := r.Tell(wire.CloseCryptoSession, nil, uint64(1)); errno != unix.ENOENT {
			t.Errorf("session closed twice: %v", errno)
		}
	}
}

// TestUnknownSession closes sessions of a process before this one, as QEMU does:
// without asking for an answer.
func TestUnknownSession(t *testing.T) {
	r := ready(t)
	for range 3 {
		if err := r.Send(wire.CloseCryptoSession, 0, nil, uint64(77)); err != nil {
			t.Fatal(err)
		}
	}
	r.AskU64(wire.GetFeatures) // the connection is there, and has no reply too many
}

// TestLog: what the device writes is marked while logging is on.
func TestLog(t *testing.T) {
	for _, begin := range []uint64{0, 104} {
		t.Run(fmt.Sprint("offset ", begin), func(t *testing.T) { testLog(t, begin) })
	}
}

// testLog has a log that begins somewhere in a page of its file.
func testLog(t *testing.T, begin uint64) {
	const size = 63 << 10
	r := ready(t)
	log := vhosttest.NewRAM(t, 0, 0, 64<<10) // covers nearly 2 GiB
	event := vhosttest.NewEvent(t)
	d := vhosttest.NewSplit(r.low, ringSize, true)
	q := r.Start(0, d, 0)

	reply := r.Send(wire.SetLogBase, 0, []int{log.FD}, wire.Log{Size: size, Offset: log.Offset + begin})
	if reply != nil {
		t.Fatal(reply)
	}
	if b, err := r.Receive(); err != nil || r.Reply.Request != wire.SetLogBase {
		t.Fatalf("SET_LOG_BASE: %x %v", b, err)
	}
	r.Must(wire.SetLogFD, []int{event.FD})
	enable := func(on uint32) { r.Must(wire.SetVringEnable, nil, wire.VringState{Num: on}) }
	// marked stops the ring, which also writes when it has nothing more to do.
	marked := func() (pages []uint64) {
		enable(0)
		bits := log.Bytes(begin, size)
		for i, b := range bits {
			for k := range 8 {
				if b>>k&1 == 1 {
					pages = append(pages, uint64(i*8+k))
				}
			}
			bits[i] = 0
		}
		return pages
	}
	r.low.Alloc(0, 4096)
	out := r.low.Put([]byte("a text"))
	in := vhosttest.Buffer{Addr: r.low.Alloc(8192, 4096) + 4093, Len: 6} // over the end of a page
	page := in.Addr / 4096
	q.Do([]vhosttest.Buffer{out}, []vhosttest.Buffer{in}, false)
	if got := marked(); got != nil {
		t.Errorf("marked while logging is off: %v", got)
	}
	r.Must(wire.SetFeatures, nil, uint64(virtioFeatures|wire.FeatureProtocol|wire.FeatureLogAll))
	enable(1)
	q.Do([]vhosttest.Buffer{out}, []vhosttest.Buffer{in}, false)
	if diff := cmp.Diff([]uint64{page, page + 1}, marked()); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if !event.Wait(vhosttest.Timeout) {
		t.Error("nobody was told")
	}
	// The used ring, at an address of its own, also one that the guest has not.
	a := d.Addr(0)
	a.Flags, a.Log = wire.VringLog, 0x70000ff0
	r.Must(wire.SetVringAddr, nil, a)
	enable(1)
	q.Do([]vhosttest.Buffer{out}, []vhosttest.Buffer{in}, false)
	if diff := cmp.Diff([]uint64{page, page + 1, 0x70000, 0x70001}, marked()); diff != "" {
		t.Errorf("pages with the used ring (-want +got):\n%s", diff)
	}
	r.Must(wire.SetFeatures, nil, uint64(virtioFeatures|wire.FeatureProtocol))
	enable(1)
	q.Do([]vhosttest.Buffer{out}, []vhosttest.Buffer{in}, false)
	if got := marked(); got != nil {
		t.Errorf("marked after logging: %v", got)
	}
}

// TestLogPacked: a packed ring's own writes are marked where they are, and by the
// address that the front-end has told for them.
func TestLogPacked(t *testing.T) {
	const size = 64 << 10
	r := newRig(t)
	r.Negotiate(virtioFeatures|backend.FeaturePacked|wire.FeatureLogAll, everything&^wire.ProtocolInbandNotify)
	r.SetMemory(r.low, r.high)
	log := vhosttest.NewRAM(t, 0, 0, size)
	if err := r.Send(wire.SetLogBase, 0, []int{log.FD}, wire.Log{Size: size, Offset: log.Offset}); err != nil {
		t.Fatal(err)
	}
	if b, err := r.Receive(); err != nil || r.Reply.Request != wire.SetLogBase {
		t.Fatalf("SET_LOG_BASE: %x %v", b, err)
	}
	marked := func(page uint64) bool { return log.Bytes(page/8, 1)[0]>>(page%8)&1 == 1 }

	r.low.Alloc(0, 4096)
	d := vhosttest.NewPacked(r.low, ringSize, true)
	q := r.Start(0, d, d.Base())
	const told = 0x70000ff8
	a := d.Addr(0)
	a.Flags, a.Log = wire.VringLog, told
	r.Must(wire.SetVringAddr, nil, a)
	in := vhosttest.Buffer{Addr: r.low.Alloc(4096, 4096), Len: 1}
	q.Do([]vhosttest.Buffer{r.low.Put([]byte("x"))}, []vhosttest.Buffer{in}, false)
	q.Stop()
	ring := a.Descriptor - r.low.UserAddr + r.low.GuestAddr
	device := a.Used - r.low.UserAddr + r.low.GuestAddr
	for name, addr := range map[string]uint64{"descriptors": ring, "event structure": device, "log address": told, "text": in.Addr} {
		if !marked(addr / 4096) {
			t.Errorf("%s: page of %#x is not marked", name, addr)
		}
	}
}

func TestInflightFD(t *testing.T) {
	r := ready(t)
	want := wire.Inflight{Queues: queues, QueueSize: ringSize}
	reply := r.Ask(wire.GetInflightFD, want, uint32(0)) // padded, as QEMU sends it
	got := wire.Get[wire.Inflight](reply)
	if len(r.FDs) != 1 || got.Queues != queues || got.QueueSize != ringSize || got.MapSize < queues*virtqueue.InflightSize(false, ringSize) {
		t.Fatalf("GET_INFLIGHT_FD: %+v with %d descriptors", got, len(r.FDs))
	}
	fd := r.FDs[0]
	defer unix.Close(fd)
	r.Must(wire.SetInflightFD, []int{fd}, got)
	if !r.dev.hasState() {
		t.Error("the device has no place for its state")
	}
	q := r.Start(0, vhosttest.NewSplit(r.low, ringSize, true), 0)
	for range 20 {
		echo(t, q, r.low, "tracked", true)
	}
	// More than a journal holds, in several writes: what it has by then goes to
	// the guest first.
	const part = 100 << 10
	long := bytes.Repeat([]byte("long "), 3*part/5)
	var in []vhosttest.Buffer
	for range 3 {
		in = append(in, r.low.Space(part))
	}
	if n := q.Do([]vhosttest.Buffer{r.low.Put(long)}, in, false); n != 3*part {
		t.Errorf("%d bytes were written, want %d", n, 3*part)
	}
	for i, b := range in {
		check(t, r.low, b, string(long[i*part:][:part]))
	}
	echo(t, q, r.low, "a short one again", false)

	// Memory of somebody else's, with room for the specification's part only.
	small := got
	small.MapSize = queues * virtqueue.InflightSize(false, ringSize)
	r.Must(wire.SetInflightFD, []int{fd}, small)
	echo(t, q, r.low, "tracked too", true)
	small.MapSize--
	if errno := r.Tell(wire.SetInflightFD, []int{fd}, small); errno != unix.EINVAL {
		t.Errorf("too small: %v", errno)
	}
}
