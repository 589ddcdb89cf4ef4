package share

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"

	"github.com/qcemu/qcemu/guest/job"
)

// Limits of one server, over all its connections.
const (
	maxOpen  = 256     // files open on the host
	maxNodes = 1 << 16 // files the client holds on to, open or not
)

// Server exports one folder.
type Server struct {
	root    *os.Root
	control *control
	job     atomic.Pointer[[]byte] // content of the job file; nil: the folder's own, if it has one
	open    atomic.Int64
	nodes   atomic.Int64
}

// New makes a server for a folder. onEvent is called with each event of the
// guest, one at a time; onBad with each line to the control file that is none.
func New(dir string, onEvent func(job.Event), onBad func(error)) (*Server, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("shared folder: %w", err)
	}
	s := &Server{root: root}
	s.control = &control{server: s, onEvent: onEvent, onBad: onBad}
	return s, nil
}

// SetJob makes the server show a job file (job.FileName) that is not in the
// folder. A later call counts for a guest that reads it anew.
func (s *Server) SetJob(data []byte) { s.job.Store(&data) }

// Close gives up the folder. It does not end connections.
func (s *Server) Close() error { return s.root.Close() }

// Serve speaks 9P on conn until the peer closes it, breaks the protocol (an
// error), or ctx ends. It closes conn.
func (s *Server) Serve(ctx context.Context, conn io.ReadWriteCloser) error {
	h := newHold(s.attach)
	g := newGuard(conn, attachRequest, h.held)
	stop := context.AfterFunc(ctx, func() { g.Close() })
	defer stop()
	// One 9P server for each connection: fids of different connections share
	// nothing, so a rename in one cannot wait for the other.
	h.handle(g)
	if err := ctx.Err(); err != nil {
		return err
	}
	return g.fault()
}

// attach is the root of what is shared.
func (s *Server) attach() (p9.File, error) {
	n, err := s.node(".")
	if err != nil {
		return nil, err
	}
	return n, nil
}

// take counts one more against a limit.
func take(n *atomic.Int64, limit int64) error {
	if n.Add(1) > limit {
		n.Add(-1)
		return linux.EMFILE
	}
	return nil
}

// node makes the file object for a path.
func (s *Server) node(path string) (*node, error) {
	if err := take(&s.nodes, maxNodes); err != nil {
		return nil, err
	}
	return &node{server: s, path: path}, nil
}
