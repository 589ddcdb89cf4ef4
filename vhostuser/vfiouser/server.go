package vfiouser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// Config describes the function to serve.
type Config struct {
	Device  Device
	PCI     PCI
	BARSize uint64       // of BAR0: a power of two, 4 KiB to 2 GiB
	Log     *slog.Logger // nil: slog.Default
}

// Server presents one Device to one client after the other.
type Server struct {
	dev     Device
	barSize uint64
	log     *slog.Logger
	trace   *vhostuser.Trace

	mem  *vhostuser.Memory
	line *intx
	cfg  *config

	mu     sync.Mutex
	active *vhostuser.Socket // of the present client
	idle   chan struct{}     // closed when the present client is gone
}

// ErrBusy is returned when a client is being served already.
var ErrBusy = errors.New("another client is being served")

// New returns a server for the device, which it attaches to its memory and its
// interrupt line.
func New(c Config) (*Server, error) {
	if c.BARSize < 4096 || c.BARSize > 1<<31 || bits.OnesCount64(c.BARSize) != 1 {
		return nil, fmt.Errorf("BAR of %#x bytes: not a power of two between 4 KiB and 2 GiB", c.BARSize)
	}
	s := &Server{dev: c.Device, barSize: c.BARSize, log: c.Log, mem: &vhostuser.Memory{}, line: &intx{}, trace: vhostuser.NewTrace(traceEnv)}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.cfg = newConfig(c.PCI, c.BARSize, &s.line.asserted)
	s.dev.Attach(s.mem, s.line)
	return s, nil
}

// Serve accepts clients until ctx is done, then lets the present one have the
// replies to what it has sent, closes the listener and returns nil. A client
// that comes while another is served is told EBUSY.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	refusals := make(chan struct{}, maxRefusals)
	return vhostuser.Accept(ctx, l, s.log, func(c *net.UnixConn) {
		s.awaitDeparture(ctx)
		if s.isBusy() {
			select {
			case refusals <- struct{}{}:
				clients.Go(func() { s.refuse(c); <-refusals })
			default:
				c.Close()
			}
			return
		}
		sock, err := vhostuser.Accepted(c)
		if err != nil {
			s.log.Warn("cannot take over a connection", "err", err)
			return
		}
		done, err := s.begin(sock)
		if err != nil { // ServeConn was quicker
			sock.Close()
			return
		}
		clients.Go(func() { newSession(s, sock).run(ctx); done() })
	})
}

// ServeConn serves one connected client until it goes away or ctx is done. It
// takes over sock.
func (s *Server) ServeConn(ctx context.Context, sock *vhostuser.Socket) error {
	done, err := s.begin(sock)
	if err != nil {
		sock.Close()
		return err
	}
	defer done()
	newSession(s, sock).run(ctx)
	return nil
}

// begin makes sock the present client. done ends its time.
func (s *Server) begin(sock *vhostuser.Socket) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != nil {
		return nil, ErrBusy
	}
	s.active, s.idle = sock, make(chan struct{})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.idle)
		s.active, s.idle = nil, nil
	}, nil
}

func (s *Server) isBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active != nil
}

const (
	// departure is how long the session of a client that has hung up may take
	// to end. The kernel may close the socket of a QEMU that was killed some
	// time after the process is gone (io_uring): so long a newcomer waits.
	departure = 5 * time.Second
	lateClose = 500 * time.Millisecond

	// Limits for clients that come while another is served.
	refuseTimeout = time.Second
	maxRefusals   = 8
)

// awaitDeparture gives the present client time to be gone, so that a QEMU that
// is restarted at once is not refused.
func (s *Server) awaitDeparture(ctx context.Context) {
	s.mu.Lock()
	sock, idle := s.active, s.idle
	s.mu.Unlock()
	if sock == nil {
		return
	}
	limit := lateClose
	if sock.HungUp() {
		limit = departure
	}
	select {
	case <-idle:
	case <-ctx.Done():
	case <-time.After(limit):
	}
}

// refuse answers the first message of a client with EBUSY.
func (s *Server) refuse(c *net.UnixConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(refuseTimeout))
	var b [wire.HeaderSize]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return // somebody looked whether we are alive
	}
	s.log.Warn("client refused: another one is being served")
	var h wire.Header
	h.Get(b[:])
	h.Size = wire.HeaderSize
	h.Flags = wire.TypeReply | wire.Error
	h.Errno = uint32(unix.EBUSY)
	h.Put(b[:])
	c.Write(b[:])
	// Let the client hang up: QEMU 11.1 aborts if the end of the connection
	// comes with the reply.
	io.Copy(io.Discard, io.LimitReader(c, maxMessage))
}

// regionSize returns the size of a region, 0 for one that does not exist.
func (s *Server) regionSize(index uint32) uint64 {
	switch index {
	case wire.RegionBAR0:
		return s.barSize
	case wire.RegionConfig:
		return configSize
	}
	return 0
}

// check says whether an access is one that a region takes. BAR0 takes aligned
// accesses of 1, 2, 4 and 8 bytes, config space any run of bytes.
func (s *Server) check(a *wire.RegionAccess) unix.Errno {
	size, count := s.regionSize(a.Region), uint64(a.Count)
	switch {
	case count == 0, count > size, a.Offset > size-count:
		return unix.EINVAL
	case a.Region == wire.RegionBAR0 && (count > 8 || count&(count-1) != 0 || a.Offset&(count-1) != 0):
		return unix.EINVAL
	}
	return 0
}

// read and write make an access that check has passed.
func (s *Server) read(a *wire.RegionAccess, p []byte) unix.Errno {
	if a.Region == wire.RegionConfig {
		s.cfg.read(a.Offset, p)
		return 0
	}
	return asErrno(s.dev.ReadRegion(a.Offset, p))
}

func (s *Server) write(a *wire.RegionAccess, p []byte) unix.Errno {
	if a.Region == wire.RegionConfig {
		s.cfg.write(a.Offset, p)
		s.line.setDisabled(s.cfg.intxDisabled())
		return 0
	}
	return asErrno(s.dev.WriteRegion(a.Offset, p))
}

// reset is DEVICE_RESET: the function and the device are as after power-on.
// Mappings and eventfds are the client's and stay.
func (s *Server) reset() {
	s.dev.Reset()
	s.cfg.reset()
	s.line.setDisabled(false)
}

func hex(v uint64) string { return fmt.Sprintf("%#x", v) }
