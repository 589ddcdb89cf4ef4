package vfiouser_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

const barSize = 0x40000

var identity = vfiouser.PCI{
	VendorID: 0x17cb, DeviceID: 0xce50, SubsystemVendor: 0x1234, SubsystemID: 0x5678,
	Class: 0x108001, Revision: 3,
}

// Registers of the model below. The rest of the BAR is memory.
const (
	regLine  = 0x100   // the line follows bit 0
	regFail  = 0x104   // accesses fail
	regBlock = 0x108   // a write blocks until the test lets it go on
	regDMA   = 0x200   // a write of an address copies 16 bytes from there to 0x210, inverts them and writes them behind
	regBig   = 0x204   // a write of an address reads bigDMA bytes from there
	regBuf   = 0x210   // see regDMA
	regLast  = 0x3fff8 // the last 8 bytes
)

const bigDMA = 1<<20 + 12345

// model is a device that does what the tests need.
type model struct {
	mem  bus.Memory
	line bus.Line

	mu     sync.Mutex
	bar    [barSize]byte
	resets int
	faults []error
	big    []byte

	entered, leave chan struct{} // for regBlock
}

func newModel() *model {
	return &model{entered: make(chan struct{}, 16), leave: make(chan struct{}, 16)}
}

func (d *model) Attach(mem bus.Memory, line bus.Line) { d.mem, d.line = mem, line }

func (d *model) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.bar[:])
	d.resets++
	d.line.Set(false)
}

func (d *model) ReadRegion(off uint64, p []byte) error {
	if off == regFail {
		return errors.New("the register does not like it")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(p, d.bar[off:])
	return nil
}

func (d *model) WriteRegion(off uint64, p []byte) error {
	switch off {
	case regFail:
		return unix.EPERM
	case regBlock:
		d.entered <- struct{}{}
		<-d.leave
	case regLine:
		d.line.Set(p[0]&1 != 0)
	case regDMA:
		d.dma(uint64(binary.LittleEndian.Uint32(p)))
	case regBig:
		big := make([]byte, bigDMA)
		d.fault(d.mem.Read(uint64(binary.LittleEndian.Uint32(p)), big))
		d.mu.Lock()
		d.big = big
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(d.bar[off:], p)
	return nil
}

func (d *model) dma(addr uint64) {
	var b [16]byte
	if d.fault(d.mem.Read(addr, b[:])) {
		return
	}
	d.mu.Lock()
	copy(d.bar[regBuf:], b[:])
	d.mu.Unlock()
	for i := range b {
		b[i] = ^b[i]
	}
	d.fault(d.mem.Write(addr+16, b[:]))
}

func (d *model) fault(err error) bool {
	if err == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, err)
	return true
}

func (d *model) takeFaults() []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.faults
	d.faults = nil
	return f
}

// logBuffer keeps what the server logs.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a server with its device and one client.
type world struct {
	dev    *model
	srv    *vfiouser.Server
	log    *logBuffer
	c      *vfiotest.Client
	cancel context.CancelFunc
	ended  chan struct{} // the session is over
}

func newServer(t testing.TB) *world {
	t.Helper()
	w := &world{dev: newModel(), log: &logBuffer{}}
	var err error
	w.srv, err = vfiouser.New(vfiouser.Config{
		Device: w.dev, PCI: identity, BARSize: barSize,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// connect starts a session over a socket pair.
func (w *world) connect(t testing.TB) {
	t.Helper()
	sock, _ := w.join(t)
	w.c = vfiotest.New(sock)
}

// join starts a session and returns the client's socket.
func (w *world) join(t testing.TB) (sock *vhostuser.Socket, fd int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := vhostuser.NewSocket(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := vhostuser.NewSocket(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.ended = make(chan struct{})
	ended := w.ended
	go func() {
		defer close(ended)
		if err := w.srv.ServeConn(ctx, ours); err != nil {
			t.Error(err)
		}
	}()
	return theirs, fds[1]
}

// hangUp ends the session and waits for it.
func (w *world) hangUp() {
	w.c.Close()
	<-w.ended
	w.cancel()
}

// dial returns a negotiated session, which ends with the test. File descriptors
// and mappings must be what they were before.
func dial(t testing.TB) *world {
	t.Helper()
	checkLeaks(t)
	w := newServer(t)
	w.connect(t)
	t.Cleanup(w.hangUp)
	if _, err := w.c.Version(vfiotest.QEMUCapabilities); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestMain(m *testing.M) {
	// The runtime's poller opens files of its own at its first use: now, so
	// that they are not taken for leaks.
	r, w, err := os.Pipe()
	if err == nil {
		r.Close()
		w.Close()
	}
	os.Exit(m.Run())
}

// checkLeaks compares the process at the end of the test with now.
func checkLeaks(t testing.TB) {
	t.Helper()
	fds, maps := openFDs(t), mappings(t)
	t.Cleanup(func() {
		// The runtime closes a file when its last user has returned, which may
		// be a moment after Close.
		eventually(t, "all file descriptors and mappings given back", func() bool {
			return openFDs(t) <= fds && mappings(t) <= maps
		})
	})
}

func openFDs(t testing.TB) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

func mappings(t testing.TB) int {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	return strings.Count(string(b), "vfio-user-test")
}

// memfd returns a file of n bytes that is closed at the end of the test.
func memfd(t testing.TB, n int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("vfio-user-test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(n); err != nil {
		t.Fatal(err)
	}
	return f
}

// event is an eventfd of the client.
type event struct {
	t  testing.TB
	fd int
}

func newEvent(t testing.TB) *event {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &event{t, fd}
}

// take returns and clears the number of signals.
func (e *event) take() uint64 {
	var b [8]byte
	if _, err := unix.Read(e.fd, b[:]); err != nil {
		return 0
	}
	return wire.Order.Uint64(b[:])
}

// wait waits for a signal and clears it.
func (e *event) wait() {
	e.t.Helper()
	p := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 60_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			e.t.Fatalf("no interrupt: %v", err)
		}
		e.take()
		return
	}
}

func (e *event) signal() {
	var b [8]byte
	wire.Order.PutUint64(b[:], 1)
	unix.Write(e.fd, b[:])
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for range 60_000 {
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s: did not happen", what)
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// readReg reads 32 bits of BAR0.
func (w *world) readReg(t testing.TB, off uint64) uint32 {
	t.Helper()
	b, err := w.c.Read(wire.RegionBAR0, off, 4)
	if err != nil {
		t.Fatalf("read of register %#x: %v", off, err)
	}
	return binary.LittleEndian.Uint32(b)
}

func (w *world) writeReg(t testing.TB, off uint64, v uint32) {
	t.Helper()
	if err := w.c.Write(wire.RegionBAR0, off, u32(v)); err != nil {
		t.Fatalf("write of register %#x: %v", off, err)
	}
}
