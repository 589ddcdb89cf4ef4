package vfiouser

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

const (
	// maxXfer is the most data that we take or send with one message.
	maxXfer = wire.DefaultMaxXfer

	// maxMessage is the longest message that is received: a DMA_READ reply.
	// Everything that a client may send on its own is shorter.
	maxMessage = wire.HeaderSize + wire.DMAAccessSize + maxXfer

	// Limits of what is kept for later while a reply is awaited.
	maxParked      = 4096
	maxParkedBytes = 4 << 20
	maxParkedFDs   = 4 * vhostuser.MaxFDs
)

// message is one message of the client. Payload and fds belong to the handler
// until it returns; fds it does not take (sets to -1) are closed.
type message struct {
	wire.Header
	payload []byte
	fds     []int
}

// receiver cuts the byte stream into messages and finds the file descriptors
// of each. It is used by one goroutine at a time, the one that has the token.
type receiver struct {
	sock  *vhostuser.Socket
	trace *vhostuser.Trace
	token chan struct{}

	buf    []byte // received bytes are buf[r:w]
	r, w   int
	total  uint64   // stream position of buf[w]
	passed []passed // descriptors not yet claimed by a message, in stream order
	pinned bool     // a handler is looking at a payload in buf: leave it in place

	parked      []message // commands that arrived while a reply was awaited
	parkedBytes int
	parkedFDs   int

	err error // the stream is beyond repair
}

// passed are descriptors that belong to the message that the byte before
// stream position end is part of; see Socket.Recv.
type passed struct {
	end uint64
	fds []int
}

var (
	errSize  = errors.New("message size out of range")
	errFDs   = errors.New("too many file descriptors for one message")
	errFlood = errors.New("too many messages while a reply is awaited")
)

func newReceiver(sock *vhostuser.Socket, t *vhostuser.Trace) *receiver {
	return &receiver{
		sock: sock, trace: t,
		token: make(chan struct{}, 1),
		buf:   make([]byte, 2*maxMessage), // untouched pages cost nothing
	}
}

// parse takes the next complete message out of the buffer.
func (rx *receiver) parse(m *message) (bool, error) {
	have := rx.w - rx.r
	if have < wire.HeaderSize {
		return false, nil
	}
	m.Header.Get(rx.buf[rx.r:])
	if m.Size < wire.HeaderSize || m.Size > maxMessage {
		return false, fmt.Errorf("%v of %d bytes: %w", m.Cmd, m.Size, errSize)
	}
	size := int(m.Size)
	if have < size {
		return false, nil
	}
	raw := rx.buf[rx.r : rx.r+size : rx.r+size]
	m.payload = raw[wire.HeaderSize:]
	m.fds = nil
	rx.r += size
	end := rx.total - uint64(rx.w-rx.r)
	for len(rx.passed) > 0 && rx.passed[0].end <= end {
		m.fds = append(m.fds, rx.passed[0].fds...)
		rx.passed = slices.Delete(rx.passed, 0, 1)
	}
	if len(m.fds) > vhostuser.MaxFDs {
		vhostuser.CloseFDs(m.fds)
		return false, fmt.Errorf("%v with %d: %w", m.Cmd, len(m.fds), errFDs)
	}
	traceMessage(rx.trace, "<-", raw, len(m.fds))
	return true, nil
}

// room makes space for the rest of the message at r.
func (rx *receiver) room() {
	if rx.r == rx.w && !rx.pinned {
		rx.r, rx.w = 0, 0
		return
	}
	if len(rx.buf)-rx.r >= maxMessage && len(rx.buf)-rx.w >= maxMessage/2 {
		return
	}
	to := rx.buf
	if rx.pinned {
		to = make([]byte, len(rx.buf))
	}
	rx.w = copy(to, rx.buf[rx.r:rx.w])
	rx.r = 0
	rx.buf = to
}

// fill receives once. Without wait it may receive nothing.
func (rx *receiver) fill(wait bool) error {
	held := 0 // by a message of which only a part has arrived
	for _, p := range rx.passed {
		held += len(p.fds)
	}
	if held > vhostuser.MaxFDs {
		return errFDs
	}
	rx.room()
	n, fds, err := rx.sock.Recv(rx.buf[rx.w:], wait)
	if err != nil {
		return err
	}
	rx.w += n
	rx.total += uint64(n)
	if len(fds) > 0 {
		rx.passed = append(rx.passed, passed{rx.total, fds})
	}
	return nil
}

// next returns the next message, parked ones first. ok is false if there is
// none in memory and more must be received.
func (rx *receiver) next(m *message) (ok bool, err error) {
	if len(rx.parked) > 0 {
		*m = rx.parked[0]
		rx.parked = slices.Delete(rx.parked, 0, 1)
		rx.parkedBytes -= len(m.payload)
		rx.parkedFDs -= len(m.fds)
		return true, nil
	}
	if rx.err != nil {
		return false, rx.err
	}
	return rx.parse(m)
}

// park keeps a command for later. Its payload is copied: the buffer moves on.
func (rx *receiver) park(m message) error {
	if len(rx.parked) >= maxParked || rx.parkedBytes+len(m.payload) > maxParkedBytes || rx.parkedFDs+len(m.fds) > maxParkedFDs {
		vhostuser.CloseFDs(m.fds)
		return errFlood
	}
	m.payload = slices.Clone(m.payload)
	rx.parked = append(rx.parked, m)
	rx.parkedBytes += len(m.payload)
	rx.parkedFDs += len(m.fds)
	return nil
}

// pump receives for somebody who awaits a reply, at most for d: replies go to
// deliver, commands are parked.
func (rx *receiver) pump(d time.Duration, deliver func(*message)) (err error) {
	defer func() { rx.err = err }()
	if rx.err != nil {
		return rx.err
	}
	for first := true; ; first = false {
		progress := false
		for {
			var m message
			ok, err := rx.parse(&m)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			progress = true
			if m.Flags&wire.TypeMask == wire.TypeReply {
				deliver(&m)
			} else if err := rx.park(m); err != nil {
				return err
			}
		}
		if progress || !first {
			return nil
		}
		if ready, err := rx.sock.WaitReadable(d); err != nil || !ready {
			return err
		}
		if err := rx.fill(false); err != nil {
			return err
		}
	}
}

// release closes the descriptors that no message has claimed.
func (rx *receiver) release() {
	for _, p := range rx.passed {
		vhostuser.CloseFDs(p.fds)
	}
	for _, m := range rx.parked {
		vhostuser.CloseFDs(m.fds)
	}
	rx.passed, rx.parked = nil, nil
}

// ended reports whether err is the ordinary end of a connection.
func ended(err error) bool { return errors.Is(err, io.EOF) }
