package record

import (
	"context"
	"errors"
	"io"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
)

// session is a whole recording in memory.
type session struct {
	header   Header
	items    []item
	accesses []access
	marks    []mark
	data     []byte
	ended    bool // the books were closed
}

// item is an entry with the memory accesses that it set off.
type item struct {
	entry cryptoblock.Entry // of a load with the value that it gave
	from  int               // its accesses
	to    int
}

// access is a memory read, or an access that failed.
type access struct {
	addr   uint64
	data   int // of a read: where its bytes are
	size   int32
	pipe   int8
	failed bool
	write  bool
	reason bus.Reason
}

// mark says that the items from index on belong to a suite.
type mark struct {
	index int
	suite string
}

// sessionLimit bounds what a session takes in memory, about.
const sessionLimit = 1 << 30

// ErrTooLong says that a recording is too long to be held in memory, as all but
// a plain replay does.
var ErrTooLong = errors.New("the recording is too long for this: it does not fit into 1 GiB of memory")

// load reads a recording up to and with entry number last; 0 is the end.
func load(ctx context.Context, r *Reader, last uint64) (*session, error) {
	s := &session{header: r.Header}
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n, err := r.take()
		if errors.Is(err, errCut) {
			s.drop()
			return s, nil
		}
		if err == io.EOF || err == nil && n.kind == endRec {
			s.ended = err == nil || s.ended
			if err == nil {
				continue
			}
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		if !s.add(n) {
			return nil, damagedf("the recording is damaged before byte %d: a record is out of place", r.in.off)
		}
		if s.size() > sessionLimit {
			return nil, ErrTooLong
		}
		if n.kind == leaveRec && last != 0 && uint64(len(s.items)) == last {
			return s, nil
		}
	}
}

func (s *session) size() int {
	return 80*len(s.items) + 48*len(s.accesses) + 64*len(s.marks) + len(s.data)
}

// add takes a record in; false says that it is out of place.
func (s *session) add(n *rec) bool {
	open := len(s.items) > 0 && s.items[len(s.items)-1].to < 0
	switch n.kind {
	case readRec, writeRec, resetRec, idleRec:
		if open {
			return false
		}
		s.items = append(s.items, item{entry: n.entry, from: len(s.accesses), to: -1})
	case fetchRec, faultRec:
		if !open {
			return false
		}
		a := access{addr: n.addr, data: len(s.data), size: int32(n.size), pipe: int8(n.pipe), failed: n.kind == faultRec, write: n.write, reason: n.reason}
		s.data = append(s.data, n.data...)
		s.accesses = append(s.accesses, a)
	case leaveRec:
		if !open {
			return false
		}
		last := &s.items[len(s.items)-1]
		last.to = len(s.accesses)
		if last.entry.Kind == cryptoblock.ReadEntry {
			last.entry.Value = n.value
		}
	case suiteRec:
		s.marks = append(s.marks, mark{len(s.items), n.suite})
		return !open
	}
	return true
}

// drop forgets the last entry if it is not whole.
func (s *session) drop() {
	if n := len(s.items); n > 0 && s.items[n-1].to < 0 {
		s.accesses = s.accesses[:s.items[n-1].from]
		s.items = s.items[:n-1]
	}
}

// bytes are what a read has read.
func (s *session) bytes(a *access) []byte {
	if a.failed {
		return nil
	}
	return s.data[a.data : a.data+int(a.size)]
}

// A session is a Tap: it can be made of what a model does as well.
var _ model.Tap = (*session)(nil)

// Enter implements cryptoblock.Tap.
func (s *session) Enter(e *cryptoblock.Entry) { s.add(&rec{kind: kind(kindOf(e.Kind)), entry: *e}) }

// Leave implements cryptoblock.Tap.
func (s *session) Leave(e *cryptoblock.Entry) { s.add(&rec{kind: leaveRec, value: e.Value}) }

// MemoryRead implements cryptoblock.Tap.
func (s *session) MemoryRead(pipe int, addr uint64, p []byte, err error) {
	n := rec{kind: fetchRec, pipe: pipe, addr: addr, size: len(p), data: p}
	if err != nil {
		n.kind, n.data, n.reason = faultRec, nil, faultOf(err)
	}
	s.add(&n)
}

// MemoryWrite implements cryptoblock.Tap.
func (s *session) MemoryWrite(pipe int, addr uint64, p []byte, err error) {
	if err != nil {
		s.add(&rec{kind: faultRec, write: true, pipe: pipe, addr: addr, size: len(p), reason: faultOf(err)})
	}
}

// Begin implements model.Tap.
func (s *session) Begin(suite string) { s.add(&rec{kind: suiteRec, suite: suite}) }

// End implements model.Tap.
func (s *session) End() { s.ended = true }
