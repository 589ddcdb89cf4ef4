package share

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hugelgupf/p9/fsimpl/templatefs"
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"

	"github.com/qcemu/qcemu/guest/job"
)

const (
	maxLine  = 1 << 20  // of one event, bytes
	maxTotal = 64 << 20 // of all events of a guest; our own init's come to some hundred KiB
	maxBad   = 20       // complaints about a guest; what comes after is dropped in silence
)

// control is the synthetic file of events.
type control struct {
	server  *Server
	onEvent func(job.Event)
	onBad   func(error)

	total atomic.Int64 // bytes written

	mu  sync.Mutex // held while a callback runs: events come one at a time
	ill int        // complaints
}

// take counts n bytes. A guest that writes without end is not listened to any
// more.
func (c *control) take(n int) error {
	total := c.total.Add(int64(n))
	if total <= maxTotal {
		return nil
	}
	if total-int64(n) <= maxTotal {
		c.bad(fmt.Errorf("the guest wrote more than %d bytes to %s: the rest is not read", maxTotal, job.ControlName))
	}
	return linux.ENOSPC
}

// event takes one line.
func (c *control) event(line []byte) error {
	var e job.Event
	if err := json.Unmarshal(line, &e); err != nil || e.Type == "" {
		if err == nil {
			err = fmt.Errorf("no type")
		}
		c.bad(fmt.Errorf("the guest wrote a line to %s that is no event (%w): %.80q", job.ControlName, err, line))
		return linux.EINVAL
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEvent(e)
	return nil
}

func (c *control) bad(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ill++; c.onBad != nil && c.ill <= maxBad {
		c.onBad(err)
	}
}

// handle makes the file object for one fid.
func (c *control) handle() (*controlFile, error) {
	if err := take(&c.server.nodes, maxNodes); err != nil {
		return nil, err
	}
	return &controlFile{control: c}, nil
}

// controlFile is the control file as one fid has it: with an incomplete line of
// its own.
type controlFile struct {
	templatefs.NoopFile
	templatefs.NotDirectoryFile
	templatefs.NotSymlinkFile
	p9.DefaultWalkGetAttr

	control *control

	mu   sync.Mutex
	line []byte // guarded by mu
}

var _ p9.File = (*controlFile)(nil)

// controlPath is the inode number of the control file, out of the way of real
// ones.
const controlPath = 1<<64 - 1

func (f *controlFile) qid() p9.QID {
	return p9.QID{Type: p9.TypeRegular, Path: controlPath}
}

// Walk implements p9.File: a copy of itself.
func (f *controlFile) Walk(names []string) ([]p9.QID, p9.File, error) {
	if len(names) != 0 {
		return nil, nil, linux.ENOTDIR
	}
	h, err := f.control.handle()
	if err != nil {
		return nil, nil, err
	}
	return nil, h, nil
}

// GetAttr implements p9.File.
func (f *controlFile) GetAttr(req p9.AttrMask) (p9.QID, p9.AttrMask, p9.Attr, error) {
	now := uint64(time.Now().Unix())
	return f.qid(), req, p9.Attr{
		Mode: p9.ModeRegular | 0o200, NLink: 1, BlockSize: 4096,
		ATimeSeconds: now, MTimeSeconds: now, CTimeSeconds: now,
	}, nil
}

// SetAttr implements p9.File: O_TRUNC sets the size.
func (f *controlFile) SetAttr(p9.SetAttrMask, p9.SetAttr) error { return nil }

// Open implements p9.File.
func (f *controlFile) Open(flags p9.OpenFlags) (p9.QID, uint32, error) {
	if flags.Mode() != p9.WriteOnly {
		return p9.QID{}, 0, linux.EACCES
	}
	return f.qid(), 0, nil
}

// WriteAt implements p9.File. The offset does not matter: lines are taken in
// the order in which they come.
func (f *controlFile) WriteAt(p []byte, _ int64) (int, error) {
	if err := f.control.take(len(p)); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	done := 0
	for {
		rest := p[done:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			if len(f.line)+len(rest) > maxLine {
				f.line = nil
				f.control.bad(fmt.Errorf("the guest wrote a line of more than %d bytes to %s", maxLine, job.ControlName))
				return 0, linux.EFBIG
			}
			f.line = append(f.line, rest...)
			return len(p), nil
		}
		line := append(f.line, rest[:end]...)
		f.line = nil
		done += end + 1
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := f.control.event(line); err != nil {
			return 0, err
		}
	}
}

// ReadAt implements p9.File.
func (f *controlFile) ReadAt([]byte, int64) (int, error) { return 0, linux.EACCES }

// FSync implements p9.File.
func (f *controlFile) FSync() error { return nil }

// Close implements p9.File.
func (f *controlFile) Close() error {
	f.control.server.nodes.Add(-1)
	return nil
}
