package vhostuser

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t testing.TB) (*Socket, *Socket) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewSocket(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSocket(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func openFDs(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

// TestRecvBoundaries is the kernel's promise that Recv's comment repeats.
func TestRecvBoundaries(t *testing.T) {
	a, b := pair(t)
	f := memfd(t, 0)
	fd := int(f.Fd())
	before := openFDs(t)
	for _, m := range []struct {
		text string
		fds  []int
	}{{"one", nil}, {"two", []int{fd, fd}}, {"three", nil}, {"four", []int{fd}}} {
		if err := a.Send([]byte(m.text[:1]), []byte(m.text[1:]), m.fds...); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, 100)
	for _, want := range []struct {
		text string
		fds  int
	}{{"onetwo", 2}, {"threefour", 1}} {
		n, fds, err := b.Recv(p, true)
		if err != nil || string(p[:n]) != want.text || len(fds) != want.fds {
			t.Errorf("Recv = %q, %d fds, %v, want %q, %d", p[:n], len(fds), err, want.text, want.fds)
		}
		CloseFDs(fds)
	}
	if n, _, err := b.Recv(p, false); n != 0 || err != nil {
		t.Errorf("Recv of nothing = %d, %v", n, err)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d file descriptors leaked", after-before)
	}
}

func TestRecvTooManyFDs(t *testing.T) {
	a, b := pair(t)
	f := memfd(t, 0)
	before := openFDs(t)
	fds := make([]int, MaxFDs+1)
	for i := range fds {
		fds[i] = int(f.Fd())
	}
	rights := unix.UnixRights(fds...)
	if err := unix.Sendmsg(a.fd, []byte("x"), rights, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Recv(make([]byte, 8), true); !errors.Is(err, ErrTooManyFDs) {
		t.Errorf("Recv: %v, want %v", err, ErrTooManyFDs)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d file descriptors leaked", after-before)
	}
}

func TestSendLarge(t *testing.T) {
	a, b := pair(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	errs := make(chan error, 1)
	go func() { errs <- a.Send(want[:100], want[100:]) }()
	var got []byte
	p := make([]byte, 5000)
	for len(got) < len(want) {
		n, _, err := b.Recv(p, true)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if err := <-errs; err != nil || !bytes.Equal(got, want) {
		t.Errorf("Send: %v, equal %v", err, bytes.Equal(got, want))
	}
}

func TestShutdown(t *testing.T) {
	a, b := pair(t)
	a.Send([]byte("last words"), nil)
	b.ShutdownRead()
	p := make([]byte, 100)
	if n, _, err := b.Recv(p, true); string(p[:n]) != "last words" || err != nil {
		t.Errorf("Recv of what was sent before = %q, %v", p[:n], err)
	}
	if _, _, err := b.Recv(p, true); err != io.EOF {
		t.Errorf("Recv: %v, want EOF", err)
	}
	if err := a.Send([]byte("more"), nil); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Send to a side that does not read: %v, want EPIPE", err)
	}
	if a.HungUp() {
		t.Error("HungUp although the peer only stopped reading")
	}
	b.Close()
	if !a.HungUp() {
		t.Error("not HungUp after Close")
	}
	b.Shutdown() // no effect, no harm
}

func TestWaitReadable(t *testing.T) {
	a, b := pair(t)
	if ok, err := b.WaitReadable(time.Microsecond); ok || err != nil {
		t.Errorf("WaitReadable = %v, %v, want false", ok, err)
	}
	a.Send([]byte("abc"), nil)
	if ok, err := b.WaitReadable(time.Minute); !ok || err != nil {
		t.Errorf("WaitReadable = %v, %v, want true", ok, err)
	}
	if n := b.Unread(); n != 3 {
		t.Errorf("Unread = %d, want 3", n)
	}
	a.Close()
	if n, _, err := b.Recv(make([]byte, 9), true); n != 3 || err != nil {
		t.Errorf("Recv = %d, %v, want 3", n, err)
	}
	if ok, err := b.WaitReadable(time.Minute); !ok || err != nil {
		t.Errorf("WaitReadable at the end = %v, %v, want true", ok, err)
	}
}

func TestNewSocketErrors(t *testing.T) {
	dgram, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFDs(dgram[:])
	inet, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(inet)
	f := memfd(t, 0)
	for _, tt := range []struct {
		fd   int
		want string
	}{{dgram[0], "not a stream socket"}, {inet, "not a UNIX socket"}, {int(f.Fd()), "is not a socket"}, {9999, "is not a socket"}} {
		if _, err := NewSocket(tt.fd); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewSocket: %v, want %q", err, tt.want)
		}
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "in use by a running server") {
		t.Errorf("Listen on a live socket: %v", err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // leaves a stale socket
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	l, err = Listen(path)
	if err != nil {
		t.Fatalf("Listen on a stale socket: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is still there after Close")
	}
	os.WriteFile(path, []byte("precious"), 0o600)
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("Listen on a file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file now has %q", b)
	}
	if _, err := Listen(filepath.Join(dir, "none", "s")); err == nil {
		t.Error("Listen in a directory that does not exist succeeded")
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 200))); err == nil {
		t.Error("Listen on a path that is too long succeeded")
	}
}

func TestInherited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dup := func(fd uintptr) int {
		n, err := unix.Dup(int(fd))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	lf, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	got, sock, err := Inherited(dup(lf.Fd()))
	lf.Close()
	if err != nil || got == nil || sock != nil {
		t.Fatalf("Inherited(listening) = %v, %v, %v", got, sock, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ac, err := got.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error("closing an inherited listener removed the socket of its owner")
	}
	s, err := Accepted(ac)
	if err != nil {
		t.Fatal(err)
	}
	if pid, _, err := s.Peer(); err != nil || pid != os.Getpid() {
		t.Errorf("Peer = %d, %v, want %d", pid, err, os.Getpid())
	}
	l2, s2, err := Inherited(dup(uintptr(s.fd)))
	if err != nil || l2 != nil || s2 == nil {
		t.Fatalf("Inherited(connected) = %v, %v, %v", l2, s2, err)
	}
	s2.Close()
	s.Close()
	if _, _, err := Inherited(9999); err == nil {
		t.Error("Inherited(9999) succeeded")
	}
}

func TestEventfd(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC) // blocking, as a careless peer has it
	if err != nil {
		t.Fatal(err)
	}
	theirs, _ := unix.Dup(fd)
	defer unix.Close(theirs)
	e, err := NewEventfd(fd)
	if err != nil {
		t.Fatal(err)
	}
	e.Signal()
	e.Signal()
	var b [8]byte
	if n, err := unix.Read(theirs, b[:]); n != 8 || err != nil || b == [8]byte{} {
		t.Errorf("Read = %d, %v, %x", n, err, b)
	}

	// A full counter does not block.
	full := [8]byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if _, err := unix.Write(theirs, full[:]); err != nil {
		t.Fatal(err)
	}
	e.Signal()

	seen := make(chan bool, 100)
	e.Watch(func() { seen <- true })
	<-seen // the full counter
	unix.Write(theirs, one[:])
	<-seen
	e.Close()

	f := memfd(t, 0)
	if _, err := NewEventfd(int(f.Fd())); !errors.Is(err, unix.EINVAL) {
		t.Errorf("NewEventfd(memfd): %v, want EINVAL", err)
	}
}
