package backend

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// logPage is the size of the pages that a migration's log has a bit for.
const logPage = 4096

// dirtyLog is the shared memory in which pages are marked that we have changed.
// A nil log is none. Rings use it while the session may replace it: what it
// holds is only given back when the rings are stopped.
type dirtyLog struct {
	mem   *vhostuser.Memory
	begin uint64 // of the log in mem
	bytes uint64
	event *vhostuser.Eventfd // tells the front-end of marks; may be nil
}

// mark marks what a write has changed. Pages that the log has no bit for are
// left out.
func (l *dirtyLog) mark(addr, size uint64) {
	if l == nil || size == 0 || l.mem == nil {
		return
	}
	last := addr + size - 1
	if last < addr {
		return
	}
	for page := addr / logPage; page <= last/logPage && page/8 < l.bytes; page++ {
		l.mem.SetBit(l.begin+page/8, uint(page%8))
	}
	if l.event != nil {
		l.event.Signal()
	}
}

func (l *dirtyLog) release() {
	if l == nil {
		return
	}
	if l.mem != nil {
		l.mem.UnmapAll()
	}
	if l.event != nil {
		l.event.Close()
	}
}

func (s *session) hasLogShm() bool { return s.protocol.Load()&wire.ProtocolLogShmFD != 0 }

// setLogging turns logging on and off as the features say.
func (s *session) setLogging() {
	if s.features&wire.FeatureLogAll != 0 {
		s.dirty.Store(s.logged)
	} else {
		s.dirty.Store(nil)
	}
}

// setLogBase takes the log. Without LOG_SHMFD it would be an address in the
// front-end, which is of no use to us.
func (s *session) setLogBase(m *message) (int, error) {
	if len(m.payload) != wire.LogSize || len(m.fds) != 1 {
		return 0, fmt.Errorf("log that is not shared memory: %w", unix.EINVAL)
	}
	d := wire.Get[wire.Log](m.payload)
	begin := d.Offset & pageMask // the log may begin anywhere in the file
	size := (begin + d.Size + pageMask) &^ pageMask
	if size < d.Size {
		return 0, fmt.Errorf("log of %#x bytes at offset %#x: %w", d.Size, d.Offset, unix.EINVAL)
	}
	mem := &vhostuser.Memory{}
	if err := mem.Map(vhostuser.Mapping{Size: size, Read: true, Write: true, FD: m.fds[0], Offset: d.Offset - begin}); err != nil {
		return 0, err
	}
	s.restart(func() error {
		if s.logged == nil {
			s.logged = &dirtyLog{}
		}
		if s.logged.mem != nil {
			s.logged.mem.UnmapAll()
		}
		s.logged.mem, s.logged.begin, s.logged.bytes = mem, begin, d.Size
		s.setLogging()
		return nil
	})
	return 0, nil
}

// setLogFD takes the event that tells of changes in the log.
func (s *session) setLogFD(m *message) (int, error) {
	if len(m.fds) != 1 {
		return 0, fmt.Errorf("no file descriptor: %w", unix.EINVAL)
	}
	e, err := vhostuser.NewEventfd(m.fds[0])
	if err != nil {
		return 0, err
	}
	m.fds[0] = -1
	s.restart(func() error {
		if s.logged == nil {
			s.logged = &dirtyLog{}
		}
		if s.logged.event != nil {
			s.logged.event.Close()
		}
		s.logged.event = e
		s.setLogging()
		return nil
	})
	return 0, nil
}
