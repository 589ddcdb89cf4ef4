package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

const (
	// maxPayload is the longest payload of a front-end's message.
	maxPayload = 4096

	// maxComplaints is how many log lines the mistakes of one front-end get. The
	// last one says that there are more.
	maxComplaints = 16

	// sendGrace is how long a front-end that does not read its replies can
	// delay the end of the server.
	sendGrace = 2 * time.Second
)

// session is the connection of one front-end.
type session struct {
	srv  *Server
	dev  Device
	sock *vhostuser.Socket
	log  *slog.Logger
	pid  int           // of the front-end; 0: not known
	gone chan struct{} // closed when the session is over

	features uint64        // as SET_FEATURES has set them
	protocol atomic.Uint64 // as SET_PROTOCOL_FEATURES has set them
	owned    bool
	status   uint8

	mem      *memTable
	rings    []*ring
	inflight *inflight
	dirty    atomic.Pointer[dirtyLog] // nil: nothing is logged
	logged   *dirtyLog                // as the messages have set it up
	channel  atomic.Pointer[channel]

	complaints atomic.Int32
	in         [wire.HeaderSize + maxPayload]byte
	out        [wire.HeaderSize + maxPayload]byte
	outFDs     []int // go with the reply, and are closed then
}

// message is one message of the front-end. The descriptors that its handler
// does not take (sets to -1) are closed.
type message struct {
	wire.Header
	payload []byte
	fds     []int
}

func newSession(srv *Server, sock *vhostuser.Socket) *session {
	s := &session{srv: srv, dev: srv.dev, sock: sock, log: srv.log, gone: make(chan struct{}), mem: newMemTable()}
	if pid, uid, err := sock.Peer(); err == nil {
		s.pid = pid
		s.log = s.log.With("pid", pid, "uid", uid)
	}
	for i := range s.dev.Queues() {
		s.rings = append(s.rings, newRing(s, i))
	}
	return s
}

// run serves the front-end until it goes away, breaks the protocol or ctx is
// done. All that it has handed over is given back.
func (s *session) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stop := context.AfterFunc(ctx, func() {
		s.sock.ShutdownRead()
		time.AfterFunc(sendGrace, s.sock.Shutdown)
	})
	s.log.Debug("front-end connected")

	err := s.begin()
	if err == nil {
		err = s.serve()
	}

	stop()
	s.release()
	if errors.Is(err, io.EOF) {
		s.log.Info("front-end disconnected")
	} else {
		s.log.Warn("connection closed", "err", err)
	}
}

// begin takes up what was kept for the front-end.
func (s *session) begin() error {
	if s.srv.state == nil {
		return nil
	}
	f, err := s.srv.state.claim(s.pid)
	if err != nil {
		return err
	}
	return s.keep(f)
}

func (s *session) release() {
	for _, r := range s.rings {
		r.release()
	}
	s.dirty.Store(nil)
	s.logged.release()
	if p, ok := s.dev.(Persistent); ok {
		p.Adopt(nil) // the state stays where it is kept
	}
	s.dev.Reset()
	s.inflight.release()
	s.channel.Load().release()
	s.mem.mem.UnmapAll()
	s.sock.Close()
}

func (s *session) serve() error {
	for {
		var m message
		err := s.receive(&m)
		if err == nil {
			err = s.handle(&m)
		}
		vhostuser.CloseFDs(taken(m.fds))
		if err != nil {
			return err
		}
	}
}

// taken returns the descriptors that are still to be closed.
func taken(fds []int) (left []int) {
	for _, fd := range fds {
		if fd >= 0 {
			left = append(left, fd)
		}
	}
	return left
}

// receive reads one message. It never reads past its end, so the descriptors
// that come are its own.
func (s *session) receive(m *message) error {
	if err := s.fill(m, s.in[:wire.HeaderSize]); err != nil {
		return err
	}
	m.Header.Get(s.in[:])
	if m.Flags&wire.VersionMask != wire.Version {
		return fmt.Errorf("%v: protocol version %d", m.Request, m.Flags&wire.VersionMask)
	}
	if m.Flags&wire.Reply != 0 {
		return fmt.Errorf("%v: a reply, nothing was asked", m.Request)
	}
	if m.Size > maxPayload {
		return fmt.Errorf("%v: payload of %d bytes is too long", m.Request, m.Size)
	}
	m.payload = s.in[wire.HeaderSize:][:m.Size]
	if err := s.fill(m, m.payload); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%v: %w", m.Request, io.ErrUnexpectedEOF)
		}
		return err
	}
	traceMessage(s.srv.trace, "<-", s.in[:wire.HeaderSize+int(m.Size)], len(m.fds))
	return nil
}

func (s *session) fill(m *message, p []byte) error {
	for n := 0; n < len(p); {
		k, fds, err := s.sock.Recv(p[n:], true)
		m.fds = append(m.fds, fds...)
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case len(m.fds) > vhostuser.MaxFDs:
			return vhostuser.ErrTooManyFDs
		}
		n += k
	}
	return nil
}

// handle obeys a message and answers it if it wants an answer. An error ends
// the session.
func (s *session) handle(m *message) error {
	row := rowOf(m.Request)
	n, err := s.dispatch(row, m)
	if err != nil {
		s.complain(m, err)
	}
	ack := m.Flags&wire.NeedReply != 0 && s.protocol.Load()&wire.ProtocolReplyAck != 0
	switch {
	case err == nil && row.replies(s):
	case err == nil && !ack, harmless(err) && !ack:
		return nil
	case err != nil && row.refuse != nil:
		if n = row.refuse(s, m); n == cannotSay {
			return fmt.Errorf("%v: %w", m.Request, err)
		}
	case ack && !row.replies(s):
		n = wire.Put(s.body(), uint64(asErrno(err)))
	default:
		return fmt.Errorf("%v: %w", m.Request, err)
	}
	return s.reply(m.Request, n)
}

// cannotSay is in place of the length of a refusal when there is none.
const cannotSay = -1

// harmless reports whether a front-end that was not obeyed, and has not asked,
// can go on as if it had been: a session that it closes is gone, if only since
// this process is not the one that has made it.
func harmless(err error) bool { return errors.Is(err, ErrNoSession) }

// asErrno is the value of an acknowledgement: zero for success.
func asErrno(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok && errno != 0 {
		return errno
	}
	return unix.EINVAL
}

func (s *session) dispatch(row *row, m *message) (int, error) {
	switch {
	case row.run == nil:
		return 0, fmt.Errorf("not served: %w", unix.ENOSYS)
	case row.needs&^s.protocol.Load() != 0:
		return 0, fmt.Errorf("its protocol feature was not negotiated: %w", unix.EPERM)
	case int(m.Size) < row.min || int(m.Size) > max(row.min, row.max):
		return 0, fmt.Errorf("payload of %d bytes: %w", m.Size, unix.EINVAL)
	case len(m.fds) > row.fds:
		return 0, fmt.Errorf("%d file descriptors: %w", len(m.fds), unix.EINVAL)
	}
	return row.run(s, m)
}

// body is the room for a reply's payload.
func (s *session) body() []byte { return s.out[wire.HeaderSize:] }

// reply sends n bytes of payload, which a handler has left in body.
func (s *session) reply(r wire.Request, n int) error {
	h := wire.Header{Request: r, Flags: wire.Version | wire.Reply, Size: uint32(n)}
	h.Put(s.out[:])
	b := s.out[:wire.HeaderSize+n]
	traceMessage(s.srv.trace, "->", b, len(s.outFDs))
	err := s.sock.Send(b, nil, s.outFDs...)
	vhostuser.CloseFDs(s.outFDs)
	s.outFDs = nil
	clear(b) // a session's key may have been there
	if err != nil {
		return fmt.Errorf("reply to %v: %w", r, err)
	}
	return nil
}

// complain logs a message that was not obeyed.
func (s *session) complain(m *message, err error) {
	s.mistake("request refused", "request", m.Request, "err", err)
}

// mistake logs the first few mistakes of a front-end and its guest. Workers call
// it too.
func (s *session) mistake(what string, args ...any) {
	switch n := s.complaints.Add(1); {
	case n < maxComplaints:
		s.log.Warn(what, args...)
	case n == maxComplaints:
		s.log.Warn("more mistakes: not logged for this front-end")
	}
}
