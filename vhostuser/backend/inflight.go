package backend

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// inflight is the memory that outlives the process: first the in-flight region
// of each queue, as the specification has it, then a journal for each queue,
// then the device's state. A nil inflight has nothing.
type inflight struct {
	mem      *vhostuser.Memory
	queues   int
	queue    uint64 // size of a queue's region; 0: there are none
	journals uint64 // offset of the journals
	device   uint64 // offset of the device's state; 0: there is no room for journals and state
	lasting  bool   // the server's own State
}

// inflightLayout computes the layout. size is what it takes in all.
func inflightLayout(queues int, packed bool, ringSize uint32, state uint64) (l inflight, size uint64) {
	l.queues = queues
	l.queue = virtqueue.InflightSize(packed, ringSize)
	l.journals = uint64(queues) * l.queue
	l.device = l.journals + uint64(queues)*journalArea
	return l, l.device + state
}

// ring is the in-flight region of a queue, which the front-end has ordered for
// rings of some length.
func (f *inflight) ring(i int, packed bool, num uint32) (bus.Memory, error) {
	if f == nil || i >= f.queues || f.queue == 0 {
		return nil, nil
	}
	if need := virtqueue.InflightSize(packed, num); need > f.queue {
		return nil, fmt.Errorf("in-flight memory of %d bytes for each ring, one of %d descriptors needs %d", f.queue, num, need)
	}
	return part{f.mem, uint64(i) * f.queue, f.queue}, nil
}

func (f *inflight) journal(i int) *journal {
	if f == nil || i >= f.queues || f.device == 0 {
		return nil
	}
	return newJournal(f.mem, f.journals+uint64(i)*journalArea)
}

// state is the room for the device's state, up to the end of the memory.
func (f *inflight) state() bus.Memory {
	if f == nil || f.device == 0 {
		return nil
	}
	return part{f.mem, f.device, math.MaxUint64 - f.device}
}

func (f *inflight) release() {
	if f != nil && !f.lasting {
		f.mem.UnmapAll()
	}
}

// part is a part of other memory. Its addresses begin at 0.
type part struct {
	mem        bus.Memory
	base, size uint64
}

func (m part) check(addr uint64, p []byte, write bool) error {
	if n := uint64(len(p)); n > m.size || addr > m.size-n {
		return &bus.Fault{Addr: addr, Len: len(p), Write: write, Reason: bus.Unmapped}
	}
	return nil
}

// Read implements bus.Memory.
func (m part) Read(addr uint64, p []byte) error {
	if err := m.check(addr, p, false); err != nil {
		return err
	}
	return m.mem.Read(m.base+addr, p)
}

// Write implements bus.Memory.
func (m part) Write(addr uint64, p []byte) error {
	if err := m.check(addr, p, true); err != nil {
		return err
	}
	return m.mem.Write(m.base+addr, p)
}

const pageMask = 4095

// inflightOf checks a message and computes the layout.
func (s *session) inflightOf(m *message) (wire.Inflight, inflight, uint64, error) {
	d := wire.Get[wire.Inflight](m.payload)
	if d.Queues == 0 || int(d.Queues) > len(s.rings) || d.QueueSize == 0 || d.QueueSize > virtqueue.MaxSize {
		return d, inflight{}, 0, fmt.Errorf("in-flight memory for %d queues of %d: %w", d.Queues, d.QueueSize, unix.EINVAL)
	}
	l, size := inflightLayout(int(d.Queues), s.features&FeaturePacked != 0, uint32(d.QueueSize), stateSize(s.dev))
	return d, l, size, nil
}

// getInflightFD makes the memory. It is used when the front-end sends it back.
func (s *session) getInflightFD(m *message) (int, error) {
	d, _, size, err := s.inflightOf(m)
	if err != nil {
		return 0, err
	}
	fd, err := unix.MemfdCreate("qcemu-inflight", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return 0, err
	}
	size = (size + pageMask) &^ pageMask
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return 0, err
	}
	unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	s.outFDs = []int{fd}
	d.MapSize, d.MapOffset = size, 0
	n := wire.Put(s.body(), d)
	if len(m.payload) > n {
		clear(s.body()[n:len(m.payload)])
		n = len(m.payload)
	}
	return n, nil
}

// setInflightFD takes the memory that this process, or one before it, has made.
func (s *session) setInflightFD(m *message) (int, error) {
	d, l, size, err := s.inflightOf(m)
	switch {
	case err != nil:
		return 0, err
	case len(m.fds) != 1:
		return 0, fmt.Errorf("no file descriptor: %w", unix.EINVAL)
	case d.MapSize < l.journals:
		return 0, fmt.Errorf("in-flight memory of %d bytes, %d are needed: %w", d.MapSize, l.journals, unix.EINVAL)
	case d.MapSize < size:
		l.device = 0 // somebody else's
	}
	mapped := (d.MapSize + pageMask) &^ pageMask
	if mapped < d.MapSize {
		return 0, unix.EINVAL
	}
	l.mem = &vhostuser.Memory{}
	if err := l.mem.Map(vhostuser.Mapping{Size: mapped, Read: true, Write: true, FD: m.fds[0], Offset: d.MapOffset}); err != nil {
		return 0, err
	}
	return 0, s.restart(func() error {
		return s.keep(&l)
	})
}

// keep makes f the memory for what must outlive the process.
func (s *session) keep(f *inflight) error {
	s.inflight.release()
	s.inflight = f
	p, ok := s.dev.(Persistent)
	if !ok {
		return nil
	}
	if err := p.Adopt(f.state()); err != nil {
		return fmt.Errorf("device state: %w", err)
	}
	return nil
}

func stateSize(d Device) uint64 {
	if p, ok := d.(Persistent); ok {
		return p.StateSize()
	}
	return 0
}
