package backend

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// ring is one vring as the messages have set it up. Only the session touches
// it, except for what is marked.
//
//	          has size, addresses and a kick, is enabled
//	stopped ─────────────────────────────────────────────▶ runs (worker)
//	   ▲      GET_VRING_BASE, disabled, reset, changed        │
//	   ├──────────────────────────────────────────────────────┤
//	   │      set up again                     broken         ▼
//	   └─────────────────────────────────────────────────  broken
type ring struct {
	s     *session
	index int

	num     uint32
	addr    wire.VringAddr
	placed  bool // addr is set
	base    uint32
	enable  enableState
	kick    *vhostuser.Kick
	polling bool // there is no kick, by the front-end's wish
	kicked  bool // in-band

	worker *worker
	broken atomic.Bool // set by the worker

	mu        sync.Mutex // guards what the worker signals
	call, err event
}

func newRing(s *session, index int) *ring {
	return &ring{s: s, index: index, call: event{inband: wire.BackendVringCall}, err: event{inband: wire.BackendVringErr}}
}

// enableState is what SET_VRING_ENABLE has said of a ring.
type enableState uint8

const (
	enableUnsaid enableState = iota
	enableOn
	enableOff
)

// enabled reports whether the ring is enabled. Rings of a front-end without
// protocol features are. So are those of one that tells nothing, until it does.
func (r *ring) enabled() bool {
	if r.enable == enableUnsaid {
		return r.s.features&wire.FeatureProtocol == 0 || r.s.reticent()
	}
	return r.enable == enableOn
}

// update makes the ring run if it is to run, and stops it if not.
func (r *ring) update() {
	want := r.num > 0 && r.placed && r.enabled() && (r.kick != nil || r.polling || r.kicked) && !r.broken.Load()
	switch {
	case want && r.worker == nil:
		r.start()
	case !want && r.worker != nil:
		r.stop()
	}
}

func (r *ring) start() {
	w, err := newWorker(r)
	if err != nil {
		r.fail(err)
		return
	}
	r.worker = w
	go w.run()
}

// stop ends the worker. A request that it is in the middle of is finished or,
// if the device can, abandoned.
func (r *ring) stop() {
	if r.worker == nil {
		return
	}
	r.base = r.worker.stop()
	r.worker = nil
}

// halt stops the ring for good, until it is kicked again.
func (r *ring) halt() {
	r.stop()
	if r.kick != nil {
		r.kick.Close()
		r.kick = nil
	}
	r.polling, r.kicked = false, false
	r.broken.Store(false)
}

// reset is the ring as it was in the beginning, but for its descriptors: QEMU
// does not send them again.
func (r *ring) reset() {
	r.halt()
	r.num, r.addr, r.placed, r.base = 0, wire.VringAddr{}, false, 0
	r.enable = enableUnsaid
}

func (r *ring) release() {
	r.halt()
	r.setCall(nil)
	r.setErr(nil)
}

// change stops the ring, lets fn change how it is set up, and starts it again.
func (r *ring) change(fn func()) {
	r.stop()
	fn()
	r.broken.Store(false)
	r.update()
}

func (r *ring) setEnabled(on bool) {
	r.enable = enableOff
	if on {
		r.enable = enableOn
	}
	r.update()
}

// event is one of the two events by which the ring tells of itself.
type event struct {
	fd     *vhostuser.Eventfd
	inband wire.Request
	polled bool // the front-end polls: it has said that there is no descriptor
}

// set replaces the descriptor; nil: the front-end polls.
func (r *ring) set(e *event, fd *vhostuser.Eventfd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.fd != nil {
		e.fd.Close()
	}
	e.fd, e.polled = fd, fd == nil
}

func (r *ring) setCall(fd *vhostuser.Eventfd) { r.set(&r.call, fd) }
func (r *ring) setErr(fd *vhostuser.Eventfd)  { r.set(&r.err, fd) }

// signal raises an event, in-band if there was never a word of a descriptor for
// it. The worker calls it too.
func (r *ring) signal(e *event) {
	r.mu.Lock()
	inband := e.fd == nil && !e.polled
	if e.fd != nil {
		e.fd.Signal()
	}
	r.mu.Unlock()
	if inband && r.s.protocol.Load()&wire.ProtocolInbandNotify != 0 {
		r.s.channel.Load().vring(e.inband, r.index)
	}
}

func (r *ring) notify() {
	r.s.srv.calls.Add(1)
	r.signal(&r.call)
}

// fail reports a ring that is broken. The worker calls it too.
func (r *ring) fail(err error) {
	r.broken.Store(true)
	r.s.mistake("ring is broken and stopped until it is set up again", "ring", r.index, "err", err)
	r.signal(&r.err)
}

// layout is the ring in the guest's memory.
func (r *ring) layout() (virtqueue.Config, error) {
	f := r.s.features
	c := virtqueue.Config{
		Packed:   f&FeaturePacked != 0,
		Size:     r.num,
		Indirect: f&FeatureIndirect != 0,
		EventIdx: f&FeatureEventIdx != 0,
		Base:     r.base,
	}
	if r.s.reticent() {
		c.Packed, c.Indirect, c.Unsaid = r.base>>16 != 0, true, true
	}
	for _, p := range []struct {
		name string
		user uint64
		to   *uint64
	}{{"descriptors", r.addr.Descriptor, &c.Desc}, {"available ring", r.addr.Avail, &c.Driver}, {"used ring", r.addr.Used, &c.Device}} {
		guest, ok := r.s.mem.guest(p.user)
		if !ok {
			return c, fmt.Errorf("%s at user address %#x: in no memory region", p.name, p.user)
		}
		*p.to = guest
	}
	if r.addr.Flags&wire.VringLog != 0 {
		c.Log = r.logger(&c)
	}
	var err error
	c.Inflight, err = r.s.inflight.ring(r.index, c.Packed, c.Size)
	return c, err
}

// logger marks the ring's own writes. A split ring writes to the used ring, whose
// address in the log the front-end tells. A packed ring writes to its descriptors
// and its event structure; front-ends do not agree which of them they mean (QEMU
// says the event structure), so the pages are also marked for what they are.
func (r *ring) logger(c *virtqueue.Config) func(addr, size uint64) {
	log, first := r.addr.Log, c.Device
	if !c.Packed {
		return func(addr, size uint64) { r.s.dirty.Load().mark(log+(addr-first), size) }
	}
	desc := c.Desc
	return func(addr, size uint64) {
		off := addr - desc
		if in := addr - first; in < 4 {
			off = in
		}
		dirty := r.s.dirty.Load()
		dirty.mark(addr, size)
		dirty.mark(log+off, size)
	}
}

// ringOf finds the ring of a message.
func (s *session) ringOf(index uint32) (*ring, error) {
	if int64(index) >= int64(len(s.rings)) {
		return nil, fmt.Errorf("ring %d of %d: %w", index, len(s.rings), unix.EINVAL)
	}
	return s.rings[index], nil
}

func (s *session) ringState(m *message) (*ring, uint32, error) {
	v := wire.Get[wire.VringState](m.payload)
	r, err := s.ringOf(v.Index)
	return r, v.Num, err
}

func (s *session) setVringNum(m *message) (int, error) {
	r, n, err := s.ringState(m)
	if err != nil {
		return 0, err
	}
	if n == 0 || n > virtqueue.MaxSize {
		return 0, fmt.Errorf("ring of %d descriptors: %w", n, unix.EINVAL)
	}
	r.change(func() { r.num = n })
	return 0, nil
}

func (s *session) setVringAddr(m *message) (int, error) {
	a := wire.Get[wire.VringAddr](m.payload)
	r, err := s.ringOf(a.Index)
	if err != nil {
		return 0, err
	}
	if a.Flags&^wire.VringLog != 0 {
		return 0, fmt.Errorf("flags %#x of a ring: %w", a.Flags, unix.EINVAL)
	}
	r.change(func() { r.addr, r.placed = a, true })
	return 0, nil
}

func (s *session) setVringBase(m *message) (int, error) {
	r, n, err := s.ringState(m)
	if err != nil {
		return 0, err
	}
	r.change(func() { r.base = n })
	return 0, nil
}

// getVringBase stops the ring.
func (s *session) getVringBase(m *message) (int, error) {
	r, _, err := s.ringState(m)
	if err != nil {
		return 0, err
	}
	r.halt()
	return wire.Put(s.body(), wire.VringState{Index: uint32(r.index), Num: r.base}), nil
}

func (s *session) setVringEnable(m *message) (int, error) {
	r, n, err := s.ringState(m)
	switch {
	case err != nil:
		return 0, err
	case s.features&wire.FeatureProtocol == 0:
		return 0, fmt.Errorf("protocol features were not negotiated: %w", unix.EPERM)
	case n > 1:
		return 0, fmt.Errorf("enable %d: %w", n, unix.EINVAL)
	}
	r.setEnabled(n == 1)
	return 0, nil
}

// vringKick is the in-band kick.
func (s *session) vringKick(m *message) (int, error) {
	r, n, err := s.ringState(m)
	switch {
	case err != nil:
		return 0, err
	case n != 0:
		return 0, fmt.Errorf("reserved field is %#x: %w", n, unix.EINVAL)
	}
	r.kicked = true
	if r.worker == nil {
		r.update()
	} else {
		r.worker.wake.Signal()
	}
	return 0, nil
}

// vringFD finds the ring and the descriptor of a message that sets one; fd is
// -1 if there is to be none.
func (s *session) vringFD(m *message) (r *ring, fd int, err error) {
	v := wire.Order.Uint64(m.payload)
	if v&^(wire.VringIndexMask|wire.VringNoFD) != 0 || (v&wire.VringNoFD != 0) != (len(m.fds) == 0) {
		return nil, -1, fmt.Errorf("%#x with %d file descriptors: %w", v, len(m.fds), unix.EINVAL)
	}
	if r, err = s.ringOf(uint32(v & wire.VringIndexMask)); err != nil || len(m.fds) == 0 {
		return r, -1, err
	}
	return r, m.fds[0], nil
}

func (s *session) setVringKick(m *message) (int, error) {
	r, fd, err := s.vringFD(m)
	if err != nil {
		return 0, err
	}
	var k *vhostuser.Kick
	if fd >= 0 {
		if k, err = vhostuser.NewKick(fd); err != nil {
			return 0, err
		}
		m.fds[0] = -1
	}
	r.halt()
	r.kick, r.polling = k, k == nil
	r.update()
	return 0, nil
}

func (s *session) setVringErr(m *message) (int, error) { return s.setVringEvent(m, (*ring).setErr) }

func (s *session) setVringEvent(m *message, set func(*ring, *vhostuser.Eventfd)) (int, error) {
	r, fd, err := s.vringFD(m)
	if err != nil {
		return 0, err
	}
	var e *vhostuser.Eventfd
	if fd >= 0 {
		if e, err = vhostuser.NewEventfd(fd); err != nil {
			return 0, err
		}
		m.fds[0] = -1
	}
	set(r, e)
	return 0, nil
}

// setVringCall calls at once if the ring runs: what was used before may have been
// told to a descriptor that nobody looks at any more. QEMU sets the right one
// after the kick.
func (s *session) setVringCall(m *message) (int, error) {
	n, err := s.setVringEvent(m, (*ring).setCall)
	if err == nil {
		if r := s.rings[wire.Order.Uint64(m.payload)&wire.VringIndexMask]; r.worker != nil {
			r.notify()
		}
	}
	return n, err
}
