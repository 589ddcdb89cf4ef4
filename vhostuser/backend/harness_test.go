package backend_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/qcemu/qcemu/devices/bus"

	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

const (
	guestLow  = 0x40000000
	guestHigh = 0x100000000
	userLow   = 0x7f1000000000
	userHigh  = 0x7f2000000000
	ramSize   = 1 << 20

	queues   = 3
	ringSize = 16

	virtioFeatures = backend.FeatureVersion1 | backend.FeatureIndirect | backend.FeatureEventIdx
	everything     = ^uint64(0)
)

// inverter is a device that puts out what it takes in, inverted. Its sessions
// are numbers.
type inverter struct {
	served atomic.Int64
	resets atomic.Int64

	mu       sync.Mutex
	blocked  chan struct{} // while it is not nil, requests wait for it, or to be canceled
	entered  chan struct{} // gets a token for each request that waits
	sessions map[uint64]wire.CryptoSession
	next     uint64
	kept     bus.Memory
}

var errSenseless = errors.New("request without buffers")

func newInverter() *inverter { return &inverter{sessions: map[uint64]wire.CryptoSession{}} }

func (d *inverter) Features() uint64 { return 1 << 5 }
func (d *inverter) Queues() int      { return queues }
func (d *inverter) Config() []byte   { return []byte("0123456789abcdef") }
func (d *inverter) Reset()           { d.resets.Add(1) }

// block lets requests wait until what it returns is closed.
func (d *inverter) block() (blocked chan<- struct{}, entered <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.blocked, d.entered = make(chan struct{}), make(chan struct{}, 8)
	return d.blocked, d.entered
}

func (d *inverter) Serve(_ int, r *backend.Request) error {
	d.mu.Lock()
	blocked, entered := d.blocked, d.entered
	d.mu.Unlock()
	if blocked != nil {
		entered <- struct{}{}
		select {
		case <-blocked:
		case <-r.Cancel:
			return backend.ErrAbandoned
		}
	}
	if r.Chain.OutLen == 0 {
		return errSenseless
	}
	p := make([]byte, r.Chain.OutLen)
	var v virtqueue.View
	v.Reset(r.Chain.Out, 0, r.Chain.OutLen)
	if err := v.Read(r.Memory, 0, p); err != nil {
		return err
	}
	for i := range p {
		p[i] ^= 0xff
	}
	p = p[:min(uint64(len(p)), r.Chain.InLen)]
	v.Reset(r.Chain.In, 0, r.Chain.InLen)
	r.Written = uint32(len(p))
	d.served.Add(1)
	return v.Write(r.Memory, 0, p)
}

func (d *inverter) CreateSession(s *wire.CryptoSession) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.CipherAlg == 99 {
		return 0, errors.New("no such algorithm")
	}
	d.next++
	d.sessions[d.next] = *s
	return d.next, nil
}

func (d *inverter) CloseSession(id uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.sessions[id]; !ok {
		return fmt.Errorf("%d: %w", id, backend.ErrNoSession)
	}
	delete(d.sessions, id)
	return nil
}

func (d *inverter) session(id uint64) wire.CryptoSession {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions[id]
}

func (d *inverter) hasState() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept != nil
}

func (d *inverter) StateSize() uint64 { return 64 }

// noState is the first byte of what makes no sense to the device.
const noState = 0xee

func (d *inverter) Adopt(mem bus.Memory) error {
	var b [1]byte
	if mem != nil {
		if err := mem.Read(0, b[:]); err != nil {
			return err
		}
	}
	if b[0] == noState {
		return errors.New("no state of this device")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = mem
	return nil
}

// rig is a server with a front-end connected to it.
type rig struct {
	*vhosttest.Frontend
	t         testing.TB
	dev       *inverter
	server    *backend.Server
	low, high *vhosttest.RAM
	over      chan error
	cancel    context.CancelFunc
}

func newServer(dev backend.Device, state *backend.State) *backend.Server {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("QCEMU_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return backend.New(backend.Config{Device: dev, Log: log, Inband: true, State: state})
}

func newRig(t testing.TB) *rig {
	dev := newInverter()
	r := &rig{t: t, dev: dev, server: newServer(dev, nil)}
	r.low = vhosttest.NewRAM(t, guestLow, userLow, ramSize)
	r.high = vhosttest.NewRAM(t, guestHigh, userHigh, ramSize)
	r.connect()
	return r
}

// connect makes a new connection.
func (r *rig) connect() {
	f, sock := vhosttest.Pair(r.t)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	r.Frontend, r.over, r.cancel = f, over, cancel
	go func() { over <- r.server.ServeConn(ctx, sock) }()
	r.t.Cleanup(func() {
		f.Close()
		cancel()
		over <- <-over
	})
}

// end waits for the end of the session.
func (r *rig) end() {
	r.Close()
	r.over <- <-r.over
}

// ready is a rig with memory and everything negotiated.
func ready(t testing.TB) *rig {
	r := newRig(t)
	r.Negotiate(virtioFeatures, everything&^wire.ProtocolInbandNotify)
	r.SetMemory(r.low, r.high)
	return r
}

// echo sends a text through a ring and checks what comes back.
func echo(t testing.TB, q *vhosttest.Queue, ram *vhosttest.RAM, text string, indirect bool) {
	t.Helper()
	mark := ram.Mark()
	defer ram.Free(mark)
	in := ram.Space(len(text) + 8)
	if n := q.Do([]vhosttest.Buffer{ram.Put([]byte(text))}, []vhosttest.Buffer{in}, indirect); n != uint32(len(text)) {
		t.Errorf("%d bytes were written, want %d", n, len(text))
	}
	check(t, ram, in, text)
}

func check(t testing.TB, ram *vhosttest.RAM, in vhosttest.Buffer, text string) {
	t.Helper()
	for i, b := range ram.Of(in) {
		want := byte(0xaa)
		if i < len(text) {
			want = ^text[i]
		}
		if b != want {
			t.Fatalf("byte %d is %#x, want %#x", i, b, want)
		}
	}
}

// openFDs counts the descriptors of the process.
func openFDs(t testing.TB) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(e)
}

// mappings counts the mappings of shared files.
func mappings(t testing.TB) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if i+6 < len(b) && string(b[i:i+6]) == "/memfd" {
			n++
		}
	}
	return n
}
