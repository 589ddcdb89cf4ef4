package backend

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// channelTimeout is how long the front-end may take to make room for a message
// of ours, and to answer it. Then the channel is given up.
const channelTimeout = time.Second

// channel is the back-end channel: messages from us to the front-end. A nil
// channel drops them.
type channel struct {
	s    *session
	sock *vhostuser.Socket

	mu   sync.Mutex // one message at a time
	dead bool
	buf  [wire.HeaderSize + wire.VringStateSize]byte
}

func (c *channel) release() {
	if c != nil {
		c.sock.Shutdown()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sock.Close()
		c.dead = true
	}
}

// vring tells of a ring.
func (c *channel) vring(r wire.Request, index int) {
	c.send(r, wire.VringState{Index: uint32(index)})
}

// send sends a message, and waits until the front-end has obeyed it if it can
// say so.
func (c *channel) send(r wire.Request, payload any) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	if err := c.exchange(r, payload); err != nil {
		c.dead = true
		c.s.log.Warn("back-end channel given up", "request", uint32(r), "err", err)
	}
}

func (c *channel) exchange(r wire.Request, payload any) error {
	n := 0
	if payload != nil {
		n = wire.Put(c.buf[wire.HeaderSize:], payload)
	}
	h := wire.Header{Request: r, Flags: wire.Version, Size: uint32(n)}
	ack := c.s.protocol.Load()&wire.ProtocolReplyAck != 0
	if ack {
		h.Flags |= wire.NeedReply
	}
	h.Put(c.buf[:])
	traceMessage(c.s.srv.trace, "=>", c.buf[:wire.HeaderSize+n], 0)
	if room, err := c.sock.WaitWritable(channelTimeout); err != nil || !room {
		return fmt.Errorf("nobody reads it: %w", unix.ETIMEDOUT)
	}
	if err := c.sock.Send(c.buf[:wire.HeaderSize+n], nil); err != nil || !ack {
		return err
	}
	return c.answer(r)
}

// answer waits for the acknowledgement. That the front-end could not obey is
// its own affair.
func (c *channel) answer(r wire.Request) error {
	b := c.buf[:wire.HeaderSize+wire.U64Size]
	for n := 0; n < len(b); {
		ready, err := c.sock.WaitReadable(channelTimeout)
		if err != nil {
			return err
		}
		if !ready {
			return fmt.Errorf("no answer: %w", unix.ETIMEDOUT)
		}
		k, fds, err := c.sock.Recv(b[n:], true)
		vhostuser.CloseFDs(fds)
		if err != nil {
			return err
		}
		n += k
	}
	var h wire.Header
	h.Get(b)
	if h.Request != r || h.Flags&wire.Reply == 0 || h.Size != wire.U64Size {
		return fmt.Errorf("answer to another message: %w", unix.EPROTO)
	}
	return nil
}

// setBackendReqFD takes the socket of the channel.
func (s *session) setBackendReqFD(m *message) (int, error) {
	if len(m.fds) != 1 {
		return 0, fmt.Errorf("no file descriptor: %w", unix.EINVAL)
	}
	sock, err := vhostuser.NewSocket(m.fds[0])
	if err != nil {
		return 0, err
	}
	m.fds[0] = -1
	return 0, s.restart(func() error {
		s.channel.Swap(&channel{s: s, sock: sock}).release()
		return nil
	})
}

// ConfigChanged tells the front-end, if there is one that wants to know, that
// the device's configuration has changed.
func (s *Server) ConfigChanged() {
	s.mu.Lock()
	x := s.active
	s.mu.Unlock()
	if x != nil && x.protocol.Load()&wire.ProtocolConfig != 0 {
		x.channel.Load().send(wire.BackendConfigChange, nil)
	}
}
