package backend

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

const (
	// batch is the number of requests after which the driver is told, even if
	// more are waiting.
	batch = 16

	// pollInterval is how often a ring without a kick descriptor is looked at.
	pollInterval = 200 * time.Microsecond
)

// errPackedState: the position of a packed ring is not in the guest's memory, and a
// front-end that has lost its back-end does not know it.
var errPackedState = errors.New("a packed ring cannot be taken up again with the server's own state: use split rings, or no state")

// worker serves a ring that runs.
type worker struct {
	r       *ring
	vq      virtqueue.Ring
	wake    *vhostuser.Kick // stop, or an in-band kick
	kick    *vhostuser.Kick // nil: in-band or polling
	poll    time.Duration   // negative: no polling
	waiter  vhostuser.Waiter
	stopped atomic.Bool
	cancel  chan struct{}
	done    chan struct{}

	chain   *virtqueue.Chain
	req     Request
	mem     requestMemory
	journal *journal
}

func newWorker(r *ring) (*worker, error) {
	c, err := r.layout()
	if err != nil {
		return nil, err
	}
	if c.Packed && r.s.inflight != nil && r.s.inflight.lasting {
		return nil, errPackedState
	}
	vq, err := virtqueue.New(r.s.mem.mem, c)
	if err != nil {
		return nil, err
	}
	wake, err := vhostuser.OwnKick()
	if err != nil {
		return nil, err
	}
	w := &worker{
		r: r, vq: vq, wake: wake, kick: r.kick, poll: -1,
		cancel: make(chan struct{}), done: make(chan struct{}),
		chain: virtqueue.NewChain(c.Size), journal: r.s.inflight.journal(r.index),
	}
	if r.polling {
		w.poll = pollInterval
	}
	w.mem = requestMemory{mem: r.s.mem.mem, s: r.s, journal: w.journal}
	w.req = Request{Chain: w.chain, Memory: &w.mem, Cancel: w.cancel}
	return w, nil
}

// stop ends the worker and returns the ring's position.
func (w *worker) stop() uint32 {
	w.stopped.Store(true)
	close(w.cancel)
	w.wake.Signal()
	<-w.done
	w.wake.Close()
	return w.vq.Base()
}

func (w *worker) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(w.done)
	defer vhostuser.Prompt()()
	err := w.restore()
	if w.resumed() {
		w.r.notify() // whoever served the ring before may not have come to it
	}
	for err == nil && !w.stopped.Load() {
		if err = w.drain(); err == nil && !w.stopped.Load() {
			err = w.waiter.Wait(w.wake, w.kick, w.poll)
			w.r.s.srv.kicks.Add(1)
		}
	}
	if err != nil && !errors.Is(err, ErrAbandoned) {
		w.r.fail(err)
	}
}

// drain serves what is in the ring until nothing is left.
func (w *worker) drain() error {
	for {
		served := false
		if err := w.vq.Busy(); err != nil {
			return err
		}
		for n := 1; ; n++ {
			more, err := w.serve()
			if err != nil {
				return err
			}
			served = served || more
			if !more || n%batch == 0 {
				if err := w.tell(); err != nil || w.stopped.Load() {
					return err
				}
			}
			if !more {
				break
			}
		}
		more, err := false, error(nil)
		if served {
			more, err = w.linger()
		}
		if err == nil && !more {
			more, err = w.vq.Idle()
		}
		if err != nil || !more {
			return err
		}
	}
}

// linger looks for the next request for a while, and reports whether there is
// one. The driver does not kick meanwhile, which saves both sides more than it
// costs: a write that QEMU has to see to, and our waking up. Whatever else wants the
// processor comes first.
func (w *worker) linger() (more bool, err error) {
	if w.r.s.srv.busy <= 0 || !vhostuser.Keep() {
		return false, nil
	}
	defer vhostuser.Unkeep()
	for end := time.Now().Add(w.r.s.srv.busy); !more && err == nil && !w.stopped.Load() && time.Now().Before(end); {
		vhostuser.Yield()
		more, err = w.vq.More()
	}
	return more, err
}

// serve does one request. It returns false if there was none.
func (w *worker) serve() (bool, error) {
	if w.stopped.Load() {
		return false, nil
	}
	if ok, err := w.vq.Next(w.chain); err != nil || !ok {
		return false, err
	}
	w.req.Written = 0
	if err := w.journal.begin(); err != nil {
		return false, err
	}
	err := w.r.s.dev.Serve(w.r.index, &w.req)
	if errors.Is(err, ErrAbandoned) {
		if err := w.vq.Return(w.chain); err != nil {
			return false, err
		}
		return false, ErrAbandoned
	}
	if err != nil {
		return false, err
	}
	if err := w.journal.commit(w.vq.Used(), w.chain, w.req.Written); err != nil {
		return false, err
	}
	return true, w.finish(w.req.Written)
}

// finish copies the results to the guest and gives the chain back.
func (w *worker) finish(written uint32) error {
	if err := w.journal.replay(&w.mem); err != nil {
		return err
	}
	if err := w.vq.Use(w.chain, written); err != nil {
		return err
	}
	return w.journal.clear()
}

// restore finishes a request that was complete when the process died, but not
// yet given back.
func (w *worker) restore() error {
	at, written, ok := w.journal.complete()
	if !ok || uint32(at) != w.vq.Used() {
		return w.journal.clear()
	}
	ok, err := w.vq.Next(w.chain)
	if err != nil {
		return err
	}
	if !ok {
		return w.journal.clear() // another ring: the guest was reset since
	}
	if at != place(w.vq.Used(), w.chain) {
		if err := w.vq.Return(w.chain); err != nil {
			return err
		}
		return w.journal.clear()
	}
	return w.finish(written)
}

// resumed reports whether the ring was in use before.
func (w *worker) resumed() bool {
	const fresh, freshPacked = 0, 1 << 15
	u := w.vq.Used()
	return u != fresh && u != freshPacked
}

// tell calls the driver if it wants that.
func (w *worker) tell() error {
	call, err := w.vq.Call()
	if err == nil && call {
		w.r.notify()
	}
	return err
}

// requestMemory is the guest's memory as a request sees it: what is written is
// logged, and goes by the journal if there is one.
type requestMemory struct {
	mem     *vhostuser.Memory
	s       *session
	journal *journal
}

var _ bus.Memory = (*requestMemory)(nil)

// Read implements bus.Memory.
func (m *requestMemory) Read(addr uint64, p []byte) error { return m.mem.Read(addr, p) }

// Write implements bus.Memory.
func (m *requestMemory) Write(addr uint64, p []byte) error {
	if m.journal.takes(len(p)) {
		return m.journal.add(addr, p)
	}
	if err := m.journal.spill(m); err != nil {
		return err
	}
	return m.direct(addr, p)
}

func (m *requestMemory) direct(addr uint64, p []byte) error {
	if err := m.mem.Write(addr, p); err != nil {
		return err
	}
	m.s.dirty.Load().mark(addr, uint64(len(p)))
	return nil
}
