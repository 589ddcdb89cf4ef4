package backend_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
)

// TestDeafChannel: a front-end that does not answer on its back-end channel as it
// has promised cannot keep a ring from working and stopping, and is told nothing
// more.
func TestDeafChannel(t *testing.T) {
	answer := func(request wire.Request, flags, size uint32) func(*vhostuser.Socket) {
		return func(s *vhostuser.Socket) {
			b := make([]byte, wire.HeaderSize+wire.U64Size)
			(&wire.Header{Request: request, Flags: wire.Version | flags, Size: size}).Put(b)
			s.Send(b, nil)
		}
	}
	for name, reply := range map[string]func(*vhostuser.Socket){
		"silent":          func(*vhostuser.Socket) {},
		"hangs up":        (*vhostuser.Socket).Shutdown,
		"another message": answer(wire.BackendConfigChange, wire.Reply, wire.U64Size),
		"no reply":        answer(wire.BackendVringCall, 0, wire.U64Size),
		"another length":  answer(wire.BackendVringCall, wire.Reply, 0),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Negotiate(backend.FeatureVersion1, everything)
			r.SetMemory(r.low)
			back := channel(t, r)
			d := vhosttest.NewSplit(r.low, ringSize, false)
			q := &vhosttest.Queue{Driver: d, Call: vhosttest.NewEvent(t)}
			q.For(r.Frontend)
			begin := func(base uint32) {
				r.Must(wire.SetVringNum, nil, wire.VringState{Num: ringSize})
				r.Must(wire.SetVringBase, nil, wire.VringState{Num: base})
				r.Must(wire.SetVringAddr, nil, d.Addr(0))
				r.Must(wire.SetVringEnable, nil, wire.VringState{Num: 1})
			}
			submit := func() {
				d.Add([]vhosttest.Buffer{r.low.Put([]byte("x"))}, []vhosttest.Buffer{r.low.Space(1)}, false)
				d.Publish()
				r.Must(wire.VringKick, nil, wire.VringState{})
			}
			begin(0)
			submit()
			if got := back.read(t).Request; got != wire.BackendVringCall {
				t.Fatalf("message %d, want VRING_CALL", got)
			}
			reply(back.sock)
			if base := q.Stop(); base != 1 {
				t.Errorf("the ring has stopped at %d, want 1", base)
			}
			begin(1)
			for range 3 {
				submit()
			}
			for range 4 {
				q.Take()
			}
			q.Stop()
			if more, err := back.sock.WaitReadable(0); name != "hangs up" && (more || err != nil) {
				t.Errorf("there is more on the channel: %v %v", more, err)
			}
		})
	}
}

// backChannel is the front-end's end of the back-end channel.
type backChannel struct{ sock *vhostuser.Socket }

func channel(t *testing.T, r *rig) backChannel {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.Must(wire.SetBackendReqFD, []int{fds[1]})
	unix.Close(fds[1])
	s, err := vhostuser.NewSocket(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return backChannel{s}
}

func (c backChannel) read(t *testing.T) (h wire.Header) {
	t.Helper()
	b := make([]byte, 256)
	if ok, err := c.sock.WaitReadable(vhosttest.Timeout); err != nil || !ok {
		t.Fatalf("back-end channel is silent: %v", err)
	}
	n, _, err := c.sock.Recv(b, true)
	if err != nil || n < wire.HeaderSize {
		t.Fatalf("%d bytes on the back-end channel: %v", n, err)
	}
	h.Get(b)
	return h
}

// next takes a message and acknowledges it if asked to.
func (c backChannel) next(t *testing.T) wire.Request {
	t.Helper()
	h := c.read(t)
	if h.Flags&wire.NeedReply != 0 {
		out := make([]byte, wire.HeaderSize+wire.U64Size)
		(&wire.Header{Request: h.Request, Flags: wire.Version | wire.Reply, Size: wire.U64Size}).Put(out)
		c.sock.Send(out, nil)
	}
	return h.Request
}
