package vfiouser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

const (
	// maxReplyData is the longest data of a reply: all of config space. The
	// VERSION reply is shorter.
	maxReplyData = configSize

	// maxComplaints is how many mistakes of one client are logged.
	maxComplaints = 16

	// sendGrace is how long a client that does not read its replies can delay
	// the end of the server.
	sendGrace = 2 * time.Second
)

// session is the connection of one client.
type session struct {
	srv  *Server
	sock *vhostuser.Socket
	log  *slog.Logger
	rx   *receiver
	dma  *dma

	asleep     atomic.Bool // the thread is, or is about to be, in a blocking receive
	negotiated bool        // VERSION is done
	complaints atomic.Int32
	closing    error // set by a handler: send the reply, then end the session

	out    [wire.HeaderSize + wire.RegionAccessSize + maxReplyData]byte
	sendMu sync.Mutex // one message at a time goes out
}

func newSession(srv *Server, sock *vhostuser.Socket) *session {
	s := &session{srv: srv, sock: sock, log: srv.log}
	if pid, uid, err := sock.Peer(); err == nil {
		s.log = s.log.With("pid", pid, "uid", uid)
	}
	s.rx = newReceiver(sock, srv.trace)
	s.dma = &dma{s: s, maxXfer: wire.DefaultMaxXfer}
	return s
}

// run serves the client until it goes away, breaks the protocol or ctx is done.
// All that the client has handed over is given back.
func (s *session) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer vhostuser.Prompt()()

	// At the end refuses further messages, but answers those that the client
	// has sent: QEMU aborts if its server leaves while it waits.
	stop := context.AfterFunc(ctx, func() {
		s.sock.ShutdownRead()
		time.AfterFunc(sendGrace, s.sock.Shutdown)
	})
	s.srv.line.attach(s.busy)
	s.log.Debug("client connected")

	err := s.serve()

	stop()
	s.sock.Shutdown() // whoever awaits a DMA reply gives up
	s.srv.line.detach()
	s.srv.mem.UnmapAll()
	s.rx.release()
	s.sock.Close()
	if ended(err) {
		s.log.Info("client disconnected")
	} else {
		s.log.Warn("connection closed", "err", err)
	}
}

// busy reports whether messages of the client are on their way to the device.
func (s *session) busy() bool { return !s.asleep.Load() || s.sock.Unread() > 0 }

func (s *session) serve() error {
	var m message
	for {
		if err := s.receive(&m); err != nil {
			return err
		}
		if m.Flags&wire.TypeMask == wire.TypeReply {
			s.dma.deliver(&m)
			s.done(&m)
			continue
		}
		owed := s.srv.line.owed.Load()
		err := s.handle(&m)
		s.done(&m)
		if err != nil {
			return err
		}
		if owed {
			s.srv.line.spend()
		}
	}
}

// receive waits for the next message. Its payload stays in place until done.
func (s *session) receive(m *message) error {
	rx := s.rx
	rx.token <- struct{}{}
	defer func() { <-rx.token }()
	rx.pinned = false
	for {
		ok, err := rx.next(m)
		if err != nil {
			return err
		}
		if ok {
			rx.pinned = true
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// fill receives at least one byte, or settles what is owed to the client in a
// silence.
//
// It sleeps at once. Looking at the socket a few times first was measured and
// made a register read up to 1.6 times as long: the kernel wakes a thread that
// sleeps on the client's own CPU sooner than one that spins on another sees the
// message.
func (s *session) fill() error {
	s.asleep.Store(true)
	defer s.asleep.Store(false)
	if line := s.srv.line; line.owed.Load() {
		ready, err := s.sock.WaitReadable(retriggerQuiet)
		if err != nil {
			return err
		}
		if !ready {
			line.settle()
		}
	}
	return s.rx.fill(true)
}

// done closes the descriptors that the handler did not take.
func (s *session) done(m *message) {
	for _, fd := range m.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	m.fds = nil
}

// handle executes a command and replies to it. An error ends the session.
func (s *session) handle(m *message) error {
	if m.Flags&wire.TypeMask != wire.TypeCommand {
		return fmt.Errorf("message of unknown type, flags %#x", m.Flags)
	}
	n, errno := s.dispatch(m)
	if errno != 0 {
		s.complain(m, errno)
	}
	if m.Flags&wire.NoReply == 0 {
		if err := s.reply(m, n, errno); err != nil {
			return fmt.Errorf("reply to %v: %w", m.Cmd, err)
		}
	}
	if s.closing != nil {
		s.sock.WaitReadable(refuseTimeout) // let the client hang up, see Server.refuse
	}
	return s.closing
}

var (
	errNoVersion = errors.New("client did not begin with VERSION")
	errVersion   = errors.New("no common protocol version")
)

func (s *session) dispatch(m *message) (int, unix.Errno) {
	if !s.negotiated && m.Cmd != wire.Version {
		s.closing = errNoVersion
		return 0, unix.EINVAL
	}
	if int(m.Cmd) >= len(commands) || commands[m.Cmd].run == nil {
		return 0, unix.ENOSYS
	}
	c := &commands[m.Cmd]
	if len(m.payload) < c.min || len(m.fds) > c.fds {
		return 0, unix.EINVAL
	}
	return c.run(s, m)
}

// reply sends n bytes of payload, which the handler has left in s.out behind
// the header, or errno.
func (s *session) reply(m *message, n int, errno unix.Errno) error {
	h := wire.Header{ID: m.ID, Cmd: m.Cmd, Flags: wire.TypeReply}
	if errno != 0 {
		n = 0
		h.Flags |= wire.Error
		h.Errno = uint32(errno)
	}
	h.Size = uint32(wire.HeaderSize + n)
	h.Put(s.out[:])
	return s.send(s.out[:h.Size], nil)
}

// send sends a message of two parts.
func (s *session) send(p, q []byte) error {
	traceMessage(s.srv.trace, "->", p, 0)
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return s.sock.Send(p, q)
}

// body is the room for a reply's payload.
func (s *session) body() []byte { return s.out[wire.HeaderSize:] }

// complain logs a command that failed, the first few of a client.
func (s *session) complain(m *message, errno unix.Errno) {
	switch n := s.complaints.Add(1); {
	case n < maxComplaints:
		s.log.Warn("request refused", "command", m.Cmd, "len", m.Size, "fds", len(m.fds), "err", errno)
	case n == maxComplaints:
		s.log.Warn("more requests refused: not logged for this client")
	}
}
