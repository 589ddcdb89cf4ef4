package vhosttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// Timeout is how long a back-end may take to answer that answers at once, unless
// it hangs or the machine stands still.
const Timeout = time.Minute

// Frontend is one connection.
type Frontend struct {
	tb   testing.TB
	Sock *vhostuser.Socket
	// Ack asks for an acknowledgement of each message without a reply.
	Ack bool
	// Reply is what came with the last reply beside its payload.
	Reply wire.Header
	FDs   []int
}

// Pair returns a front-end and the socket for the back-end.
func Pair(tb testing.TB) (*Frontend, *vhostuser.Socket) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := vhostuser.NewSocket(fds[1])
	if err != nil {
		tb.Fatal(err)
	}
	return newFrontend(tb, fds[0]), b
}

// Dial connects to a server.
func Dial(tb testing.TB, path string) (*Frontend, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return newFrontend(tb, fd), nil
}

func newFrontend(tb testing.TB, fd int) *Frontend {
	s, err := vhostuser.NewSocket(fd)
	if err != nil {
		tb.Fatal(err)
	}
	f := &Frontend{tb: tb, Sock: s}
	tb.Cleanup(f.Close)
	return f
}

// Close hangs up.
func (f *Frontend) Close() {
	f.Sock.Shutdown()
	f.Sock.Close()
}

// Send sends a message whose payload is the concatenation of what is given.
func (f *Frontend) Send(r wire.Request, flags uint32, fds []int, payload ...any) error {
	var body []byte
	for _, p := range payload {
		var err error
		if body, err = binary.Append(body, wire.Order, p); err != nil {
			f.tb.Fatal(err)
		}
	}
	head := make([]byte, wire.HeaderSize)
	(&wire.Header{Request: r, Flags: wire.Version | flags, Size: uint32(len(body))}).Put(head)
	return f.Sock.Send(head, body, fds...)
}

// errSilent means that the back-end has not answered in time.
var errSilent = errors.New("no answer")

// Receive returns the payload of the next reply.
func (f *Frontend) Receive() ([]byte, error) {
	head := make([]byte, wire.HeaderSize)
	f.FDs = nil
	if err := f.fill(head); err != nil {
		return nil, err
	}
	f.Reply.Get(head)
	body := make([]byte, f.Reply.Size)
	return body, f.fill(body)
}

func (f *Frontend) fill(p []byte) error {
	for len(p) > 0 {
		ready, err := f.Sock.WaitReadable(Timeout)
		if err != nil {
			return err
		}
		if !ready {
			return errSilent
		}
		n, fds, err := f.Sock.Recv(p, true)
		f.FDs = append(f.FDs, fds...)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Ask sends a message that has a reply of its own.
func (f *Frontend) Ask(r wire.Request, payload ...any) []byte {
	f.tb.Helper()
	if err := f.Send(r, 0, nil, payload...); err != nil {
		f.tb.Fatalf("%v: %v", r, err)
	}
	body, err := f.Receive()
	if err != nil {
		f.tb.Fatalf("reply to %v: %v", r, err)
	}
	if f.Reply.Request != r || f.Reply.Flags != wire.Version|wire.Reply {
		f.tb.Fatalf("reply to %v: %+v", r, f.Reply)
	}
	return body
}

// AskU64 does the same for a reply that is a number.
func (f *Frontend) AskU64(r wire.Request, payload ...any) uint64 {
	f.tb.Helper()
	b := f.Ask(r, payload...)
	if len(b) != wire.U64Size {
		f.tb.Fatalf("reply to %v has %d bytes", r, len(b))
	}
	return wire.Order.Uint64(b)
}

// Tell sends a message without a reply, and with Ack returns the errno of its
// acknowledgement.
func (f *Frontend) Tell(r wire.Request, fds []int, payload ...any) unix.Errno {
	f.tb.Helper()
	flags := uint32(0)
	if f.Ack {
		flags = wire.NeedReply
	}
	if err := f.Send(r, flags, fds, payload...); err != nil {
		f.tb.Fatalf("%v: %v", r, err)
	}
	if !f.Ack {
		return 0
	}
	b, err := f.Receive()
	if err != nil {
		f.tb.Fatalf("acknowledgement of %v: %v", r, err)
	}
	if f.Reply.Request != r || f.Reply.Flags != wire.Version|wire.Reply || len(b) != wire.U64Size {
		f.tb.Fatalf("acknowledgement of %v: %+v", r, f.Reply)
	}
	return unix.Errno(wire.Order.Uint64(b))
}

// Must is a Tell that has to work.
func (f *Frontend) Must(r wire.Request, fds []int, payload ...any) {
	f.tb.Helper()
	if errno := f.Tell(r, fds, payload...); errno != 0 {
		f.tb.Fatalf("%v: %v", r, errno)
	}
}

// Closed reports whether the back-end closes the connection, as it must.
func (f *Frontend) Closed() error {
	b, err := f.Receive()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("answer %+v with %d bytes", f.Reply, len(b))
}

// Negotiate does what every front-end begins with, and turns acknowledgements
// on. Features and protocol features are those that both sides have.
func (f *Frontend) Negotiate(features, protocol uint64) (haveFeatures, haveProtocol uint64) {
	f.tb.Helper()
	offered := f.AskU64(wire.GetFeatures)
	haveFeatures = offered & (features | wire.FeatureProtocol)
	haveProtocol = f.AskU64(wire.GetProtocolFeatures) & (protocol | wire.ProtocolReplyAck)
	f.Must(wire.SetProtocolFeatures, nil, haveProtocol)
	f.Ack = haveProtocol&wire.ProtocolReplyAck != 0
	f.Must(wire.SetOwner, nil)
	f.Must(wire.SetFeatures, nil, haveFeatures)
	return haveFeatures, haveProtocol
}

// SetMemory sends the memory table.
func (f *Frontend) SetMemory(regions ...*RAM) {
	f.tb.Helper()
	payload := []any{wire.MemTable{Count: uint32(len(regions))}}
	var fds []int
	for _, r := range regions {
		payload = append(payload, r.Region)
		fds = append(fds, r.FD)
	}
	f.Must(wire.SetMemTable, fds, payload...)
}

// Event is an eventfd of the front-end's.
type Event struct{ FD int }

// NewEvent creates an eventfd.
func NewEvent(tb testing.TB) *Event {
	tb.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return &Event{fd}
}

// Signal raises the event.
func (e *Event) Signal() { unix.Write(e.FD, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// Wait takes the event back; it reports whether it was raised in time.
func (e *Event) Wait(d time.Duration) bool {
	p := []unix.PollFd{{Fd: int32(e.FD), Events: unix.POLLIN}}
	end := time.Now().Add(d)
	for {
		n, err := unix.Poll(p, int(max(time.Until(end).Milliseconds(), 0)))
		if err == unix.EINTR {
			continue
		}
		if n > 0 {
			unix.Read(e.FD, make([]byte, 8))
		}
		return n > 0
	}
}
