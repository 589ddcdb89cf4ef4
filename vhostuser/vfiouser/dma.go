package vfiouser

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// dmaTimeout is how long the client may take to answer a DMA message. It is
// below QEMU's x-msg-timeout of 5 s, after which the guest is broken.
const dmaTimeout = 2 * time.Second

func (s *session) dmaMap(m *message) (int, unix.Errno) {
	q := wire.Get[wire.Map](m.payload)
	if len(m.payload) != wire.MapSize || q.Argsz < wire.MapSize || q.Flags&^(wire.MapRead|wire.MapWrite) != 0 {
		return 0, unix.EINVAL
	}
	if s.srv.mem.Len() >= wire.DefaultMaxMaps {
		return 0, unix.ENOSPC
	}
	d := vhostuser.Mapping{
		Addr: q.Addr, Size: q.Size,
		Read: q.Flags&wire.MapRead != 0, Write: q.Flags&wire.MapWrite != 0,
		FD: -1, Far: s.dma,
	}
	if len(m.fds) > 0 {
		d.FD, d.Offset = m.fds[0], q.Offset
	}
	if err := s.srv.mem.Map(d); err != nil {
		s.log.Debug("DMA_MAP refused", "err", err)
		return 0, asErrno(err)
	}
	switch {
	case !d.Write: // firmware and the like, no buffers there
	case d.FD < 0:
		s.dma.warnUnshared(s, q.Addr, q.Size, "DMA will be slow and may fail")
	case s.dma.private(s, d.FD):
		s.dma.warnUnshared(s, q.Addr, q.Size, "DMA does not see what the guest writes")
	}
	return 0, 0
}

func (s *session) dmaUnmap(m *message) (int, unix.Errno) {
	q := wire.Get[wire.Unmap](m.payload)
	if len(m.payload) != wire.UnmapSize || q.Argsz < wire.UnmapSize {
		return 0, unix.EINVAL
	}
	switch q.Flags {
	case 0:
		if _, err := s.srv.mem.Unmap(q.Addr, q.Size); err != nil {
			s.log.Debug("DMA_UNMAP refused", "err", err)
			return 0, asErrno(err)
		}
	case wire.UnmapAll:
		if q.Addr != 0 || q.Size != 0 {
			return 0, unix.EINVAL
		}
		s.srv.mem.UnmapAll()
	default: // dirty bitmaps: no migration
		return 0, unix.EINVAL
	}
	return wire.Put(s.body(), q), 0
}

// dma reaches memory that is not shared, by messages to the client. It is the
// bus.Memory behind such mappings and safe for concurrent use.
type dma struct {
	s       *session
	maxXfer uint64 // the client's limit; set by VERSION

	warned  bool
	checked int         // files that were looked at for being shared
	stalled atomic.Bool // the client owes us an answer: do not wait again

	mu      sync.Mutex
	nextID  uint16
	waiting map[uint16]*await // nil values: given up, the answer is still to come
}

// await is a DMA message under way.
type await struct {
	cmd  wire.Command
	addr uint64
	into []byte // where a DMA_READ's data goes, as long as the message is waited for
	n    int
	why  bus.Reason
	done chan struct{}
}

// maxChecked is how many of a client's files are looked at: RAM comes first, a
// vIOMMU's short mappings come by the thousand.
const maxChecked = 8

// private reports whether the client keeps to itself what it writes to a file
// that it has passed: QEMU 11.1 passes the descriptor of a memory backend with
// share=off as well.
func (d *dma) private(s *session, fd int) bool {
	if d.checked++; d.checked > maxChecked {
		return false
	}
	pid, _, err := s.sock.Peer()
	return err == nil && vhostuser.PrivatelyMapped(pid, fd)
}

// warnUnshared tells the user, once per client, what is wrong with his RAM.
func (d *dma) warnUnshared(s *session, addr, size uint64, so string) {
	if d.warned {
		return
	}
	d.warned = true
	s.log.Warn("guest RAM is not shared, "+so+": start QEMU with memory-backend-memfd,share=on",
		"addr", hex(addr), "size", hex(size))
}

// Read implements bus.Memory.
func (d *dma) Read(addr uint64, p []byte) error { return d.access(wire.DMARead, addr, p) }

// Write implements bus.Memory.
func (d *dma) Write(addr uint64, p []byte) error { return d.access(wire.DMAWrite, addr, p) }

func (d *dma) access(cmd wire.Command, addr uint64, p []byte) error {
	for len(p) > 0 {
		n := int(min(uint64(len(p)), d.maxXfer))
		if why := d.exchange(cmd, addr, p[:n]); why != 0 {
			return &bus.Fault{Addr: addr, Len: len(p), Write: cmd == wire.DMAWrite, Reason: why}
		}
		addr += uint64(n)
		p = p[n:]
	}
	return nil
}

// exchange sends one message and waits for its reply.
func (d *dma) exchange(cmd wire.Command, addr uint64, p []byte) bus.Reason {
	if d.stalled.Load() {
		return bus.Unmapped
	}
	w := &await{cmd: cmd, addr: addr, n: len(p), done: make(chan struct{})}
	if cmd == wire.DMARead {
		w.into = p
	}
	id := d.register(w)

	var head [wire.HeaderSize + wire.DMAAccessSize]byte
	var data []byte
	if cmd == wire.DMAWrite {
		data = p
	}
	h := wire.Header{ID: id, Cmd: cmd, Size: uint32(len(head) + len(data))}
	h.Put(head[:])
	(&wire.DMAAccess{Addr: addr, Count: uint64(len(p))}).Put(head[wire.HeaderSize:])
	err := d.s.send(head[:], data)
	if err == nil {
		err = d.wait(w)
	}
	if err != nil && !d.giveUp(id, err) {
		return bus.Unmapped
	}
	return w.why
}

// wait returns when the reply is there. Whoever waits also receives, unless
// another goroutine does.
func (d *dma) wait(w *await) error {
	deadline := time.Now().Add(dmaTimeout)
	timeout := time.NewTimer(dmaTimeout)
	defer timeout.Stop()
	for {
		select {
		case <-w.done:
			return nil
		case <-timeout.C:
			return os.ErrDeadlineExceeded
		case d.s.rx.token <- struct{}{}:
		}
		var err error
		select {
		case <-w.done: // whoever had the token before has delivered it
		default:
			err = d.s.rx.pump(max(time.Until(deadline), 0), d.deliver)
		}
		<-d.s.rx.token
		if err != nil {
			return err
		}
	}
}

// register chooses an ID for w.
func (d *dma) register(w *await) uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = map[uint16]*await{}
	}
	for {
		d.nextID++
		if _, used := d.waiting[d.nextID]; !used {
			d.waiting[d.nextID] = w
			return d.nextID
		}
	}
}

// giveUp stops waiting for id because of err. It returns true if the reply has
// come after all.
func (d *dma) giveUp(id uint16, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.waiting[id]; !ok {
		return true
	}
	d.waiting[id] = nil
	if !d.stalled.Swap(true) && errors.Is(err, os.ErrDeadlineExceeded) {
		d.s.log.Warn("client does not answer DMA messages while it waits for us: DMA fails until it does; share the RAM")
	}
	return false
}

// deliver takes a reply of the client.
func (d *dma) deliver(m *message) {
	vhostuser.CloseFDs(m.fds)
	m.fds = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	w, known := d.waiting[m.ID]
	if !known || w != nil && m.Cmd != w.cmd {
		d.s.complain(m, unix.ENOMSG)
		return
	}
	delete(d.waiting, m.ID)
	if w == nil {
		d.stalled.Store(false)
		return
	}
	w.why = w.take(m)
	close(w.done)
}

// take copies the data out of the reply. QEMU's reply to DMA_WRITE has no
// payload, the specification's has the address and a count.
func (w *await) take(m *message) bus.Reason {
	if m.Flags&wire.Error != 0 {
		if w.cmd == wire.DMAWrite && errors.Is(unix.Errno(m.Errno), unix.EPERM) {
			return bus.ReadOnly
		}
		return bus.Unmapped
	}
	if w.cmd == wire.DMAWrite {
		return 0
	}
	if len(m.payload) != wire.DMAAccessSize+w.n {
		return bus.Unmapped
	}
	var a wire.DMAAccess
	a.Get(m.payload)
	if a.Addr != w.addr || a.Count != uint64(w.n) {
		return bus.Unmapped
	}
	copy(w.into, m.payload[wire.DMAAccessSize:])
	return 0
}
