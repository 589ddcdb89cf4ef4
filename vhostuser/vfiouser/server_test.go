package vfiouser_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// listen serves at a path. stop ends the server and waits for it.
func listen(t *testing.T, w *world) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "vfio-user")
	l, err := vhostuser.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.srv.Serve(ctx, l) }()
	return path, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func mustDial(t *testing.T, path string) *vfiotest.Client {
	t.Helper()
	c, err := vfiotest.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestReconnect: what a client has handed over goes with it, the device's state
// stays, and the next client is served.
func TestReconnect(t *testing.T) {
	checkLeaks(t)
	w := newServer(t)
	path, stop := listen(t, w)
	defer stop()
	ram := memfd(t, 0x1000)
	irq := newEvent(t)
	for i := range uint32(20) {
		c := mustDial(t, path)
		w.c = c
		if _, err := c.Version(vfiotest.QEMUCapabilities); err != nil {
			t.Fatal(err)
		}
		if got := w.readReg(t, 0x1000); got != i {
			t.Fatalf("register is %d for client %d", got, i)
		}
		w.writeReg(t, 0x1000, i+1)
		// The map of the client before must be gone.
		if err := c.Map(int(ram.Fd()), wire.Map{Flags: 3, Addr: 0x40000000, Size: 0x1000}); err != nil {
			t.Fatal(err)
		}
		if err := c.Trigger(irq.fd); err != nil {
			t.Fatal(err)
		}
		w.writeReg(t, regLine, 1)
		irq.wait()
		w.writeReg(t, regLine, 0)
		if err := c.SetIRQs(wire.IRQSet{Flags: none | mask, Count: 1}, nil); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestSecondClient(t *testing.T) {
	checkLeaks(t)
	w := newServer(t)
	path, stop := listen(t, w)
	defer stop()
	first := mustDial(t, path)
	defer first.Close()
	w.c = first
	if _, err := first.Version(""); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c := mustDial(t, path)
		if _, err := c.Version(""); !errors.Is(err, unix.EBUSY) {
			t.Errorf("second client: %v, want EBUSY", err)
		}
		<-c.Done()
		c.Close()
		w.readReg(t, 0) // the first one notices nothing
	}
	// A second server at the path is refused, and does no harm.
	if _, err := vhostuser.Listen(path); err == nil || !strings.Contains(err.Error(), "in use by a running server") {
		t.Errorf("second server: %v", err)
	}
	w.readReg(t, 0)
}

// TestStop: the end of the context lets the client have the replies to what it
// has sent.
func TestStop(t *testing.T) {
	checkLeaks(t)
	w := newServer(t)
	path, stop := listen(t, w)
	c := mustDial(t, path)
	defer c.Close()
	if _, err := c.Version(""); err != nil {
		t.Fatal(err)
	}
	slow := c.Start(wire.RegionWrite, vfiotest.Access(0, regBlock, 4, u32(1)))
	<-w.dev.entered
	queued := c.Start(wire.RegionRead, vfiotest.Access(0, regBlock, 4, nil))
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	eventually(t, "listener closes", func() bool {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	// Wait until the session refuses more.
	eventually(t, "socket refuses more", func() bool {
		return c.Raw(vfiotest.Encode(wire.Header{Cmd: wire.RegionRead, Flags: wire.NoReply}, nil)) != nil
	})
	w.dev.leave <- struct{}{}
	for _, r := range []<-chan vfiotest.Reply{slow, queued} {
		if m, ok := <-r; !ok || m.Err() != nil {
			t.Errorf("reply %+v, %v", m, ok)
		}
	}
	<-c.Done()
	<-stopped
}

// TestStopDeaf: a client that does not read its replies cannot hold us up.
func TestStopDeaf(t *testing.T) {
	checkLeaks(t)
	r := dialRaw(t)
	r.version()
	m := vfiotest.Encode(wire.Header{Cmd: wire.RegionRead}, vfiotest.Access(7, 0, 256, nil))
	unix.SetNonblock(r.fd, true)
	for full := 0; full < 100; {
		if _, err := unix.Write(r.fd, m); err != nil {
			full++
			unix.Poll(nil, 1)
		}
	}
	r.w.cancel()
	<-r.w.ended
	r.close()
}

func TestServeConnBusy(t *testing.T) {
	w := dial(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	sock, err := vhostuser.NewSocket(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.srv.ServeConn(context.Background(), sock); !errors.Is(err, vfiouser.ErrBusy) {
		t.Errorf("ServeConn: %v, want ErrBusy", err)
	}
	w.readReg(t, 0)
}

// TestTrace: messages are printed, their data is not.
func TestTrace(t *testing.T) {
	t.Setenv("QCEMU_TRACE_VFIOUSER", "1")
	out := captureStderr(t, func() {
		w := newServer(t)
		w.connect(t)
		w.c.Version("")
		w.writeReg(t, 0x1000, 0x5ec4e7ed)
		w.c.Post(wire.RegionWriteMulti, vfiotest.Writes(0, []uint64{0x1004}, []uint32{0x5ec4e7ed}))
		w.readReg(t, 0x1000)
		w.c.Do(wire.DMAMap, nil)
		w.hangUp()
	})
	for _, want := range []string{
		"<-     1 VERSION len=20\n",
		"<-     2 REGION_WRITE len=36 region=0 off=0x1000 count=4\n",
		"->     2 REGION_WRITE reply len=32 region=0 off=0x1000 count=4\n",
		"<-     0 REGION_WRITE_MULTI posted len=48 writes=1 0:0x1004/4\n",
		"->     3 REGION_READ reply len=36",
		"->     4 DMA_MAP reply errno=22 len=16\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for _, secret := range []string{"5ec4e7ed", "ede7c45e", "\xed\xe7\xc4\x5e"} {
		if strings.Contains(strings.ToLower(out), secret) {
			t.Errorf("data was printed:\n%s", out)
		}
	}
}

// captureStderr returns what fn prints.
func captureStderr(t *testing.T, fn func()) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := os.Stderr
	os.Stderr = f
	defer func() { os.Stderr = old }()
	fn()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
