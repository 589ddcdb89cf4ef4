package backend

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qcemu/qcemu/vhostuser"
)

// Config describes what to serve.
type Config struct {
	Device Device
	Log    *slog.Logger // nil: slog.Default

	// State keeps what must outlive the process, if the front-end does not; nil:
	// then it is lost.
	State *State

	// BusyPoll is for how long a ring is looked at after a request, in case that
	// the next one comes, before the driver is asked to kick. It costs processor
	// time that nobody else wants.
	BusyPoll time.Duration

	// Inband offers INBAND_NOTIFICATIONS. QEMU accepts the feature and does not
	// have it (11.1), so it is not offered unless asked for.
	Inband bool
}

// Server presents one Device to one front-end after the other.
type Server struct {
	dev    Device
	log    *slog.Logger
	inband bool
	state  *State
	trace  *vhostuser.Trace
	busy   time.Duration

	mu     sync.Mutex
	active *session // of the present front-end

	kicks, calls atomic.Int64
}

// Events returns how often drivers have kicked rings and were called, so far.
func (s *Server) Events() (kicks, calls int64) { return s.kicks.Load(), s.calls.Load() }

// ErrBusy is returned when a front-end is being served already.
var ErrBusy = errors.New("another front-end is being served")

// New returns a server for the device.
func New(c Config) *Server {
	s := &Server{dev: c.Device, log: c.Log, inband: c.Inband, state: c.State, trace: vhostuser.NewTrace(traceEnv), busy: c.BusyPoll}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// Serve accepts front-ends until ctx is done. One that comes while another is
// served is turned away when that one does not leave soon.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	return vhostuser.Accept(ctx, l, s.log, func(c *net.UnixConn) {
		sock, err := vhostuser.Accepted(c)
		if err != nil {
			s.log.Warn("cannot take over a connection", "err", err)
			return
		}
		x, err := s.begin(ctx, sock)
		if err != nil {
			s.log.Warn("front-end turned away", "err", err)
			sock.Close()
			return
		}
		sessions.Go(func() { s.run(ctx, x) })
	})
}

// ServeConn serves one connected front-end until it goes away or ctx is done.
// It takes over sock.
func (s *Server) ServeConn(ctx context.Context, sock *vhostuser.Socket) error {
	x, err := s.begin(ctx, sock)
	if err != nil {
		sock.Close()
		return err
	}
	s.run(ctx, x)
	return nil
}

// departure is how long a front-end that has hung up may take to be gone.
const departure = 5 * time.Second

// begin makes sock the present front-end.
func (s *Server) begin(ctx context.Context, sock *vhostuser.Socket) (*session, error) {
	x := newSession(s, sock)
	for {
		s.mu.Lock()
		old := s.active
		if old == nil {
			s.active = x
		}
		s.mu.Unlock()
		if old == nil {
			return x, nil
		}
		if !old.sock.HungUp() {
			return nil, ErrBusy
		}
		select {
		case <-old.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(departure):
			return nil, ErrBusy
		}
	}
}

func (s *Server) run(ctx context.Context, x *session) {
	x.run(ctx)
	s.mu.Lock()
	s.active = nil
	s.mu.Unlock()
	close(x.gone)
}
