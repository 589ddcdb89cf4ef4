package share

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// host is a server with what it has called back.
type host struct {
	dir    string
	server *Server

	mu     sync.Mutex
	events []job.Event
	bad    []error
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{dir: t.TempDir()}
	var err error
	h.server, err = New(h.dir, func(e job.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	}, func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bad = append(h.bad, err)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.server.Close() })
	return h
}

// connect serves one end of a socket pair and returns the other.
func (h *host) connect(t *testing.T) (net.Conn, <-chan error) {
	t.Helper()
	ours, theirs := socketPair(t)
	done := make(chan error, 1)
	go func() { done <- h.server.Serve(context.Background(), theirs) }()
	t.Cleanup(func() { ours.Close() })
	return ours, done
}

func socketPair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		if conns[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return conns[0], conns[1]
}

// attach mounts the folder as a client.
func (h *host) attach(t *testing.T) p9.File {
	t.Helper()
	conn, _ := h.connect(t)
	client, err := p9.NewClient(conn, p9.WithMessageSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	root, err := client.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return root
}

// create makes a file in a folder and fills it.
func create(t *testing.T, dir p9.File, name string, data []byte) error {
	t.Helper()
	_, f, err := dir.Walk(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, _, err := f.Create(name, p9.WriteOnly, 0o640, p9.NoUID, p9.NoGID); err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return err
}

func read(t *testing.T, dir p9.File, names ...string) ([]byte, error) {
	t.Helper()
	_, f, err := dir.Walk(names)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, _, err := f.Open(p9.ReadOnly); err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
}

func TestFiles(t *testing.T) {
	h := newHost(t)
	root := h.attach(t)

	if _, err := root.Mkdir("out", 0o755, p9.NoUID, p9.NoGID); err != nil {
		t.Fatal(err)
	}
	_, out, err := root.Walk([]string{"out"})
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 8192) // more than one message
	if err := create(t, out, "big", want); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(h.dir, "out/big")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("on the host: %d bytes, %v; want %d", len(got), err, len(want))
	}
	if got, err := read(t, root, "out", "big"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back: %d bytes, %v; want %d", len(got), err, len(want))
	}
	if err := create(t, out, "big", nil); !errors.Is(err, linux.EEXIST) {
		t.Errorf("creating it again: %v, want EEXIST", err)
	}
	_, _, attr, err := out.GetAttr(p9.AttrMaskAll)
	if err != nil || !attr.Mode.IsDir() {
		t.Errorf("attributes of the folder: %v, %v", attr, err)
	}

	if err := out.RenameAt("big", root, "moved"); err != nil {
		t.Fatal(err)
	}
	_, moved, err := root.Walk([]string{"moved"})
	if err != nil {
		t.Fatal(err)
	}
	if err := moved.SetAttr(p9.SetAttrMask{Size: true, Permissions: true, MTime: true, MTimeNotSystemTime: true},
		p9.SetAttr{Size: 5, Permissions: 0o600, MTimeSeconds: 1e9}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(h.dir, "moved"))
	if err != nil || info.Size() != 5 || info.Mode().Perm() != 0o600 || info.ModTime().Unix() != 1e9 {
		t.Errorf("after SetAttr: %v, %v", info, err)
	}

	if err := root.UnlinkAt("out", 0); !errors.Is(err, linux.EISDIR) {
		t.Errorf("unlinking a folder: %v, want EISDIR", err)
	}
	if err := root.UnlinkAt("moved", removeDir); !errors.Is(err, linux.ENOTDIR) {
		t.Errorf("removing a file as a folder: %v, want ENOTDIR", err)
	}
	for name, flags := range map[string]uint32{"out": removeDir, "moved": 0} {
		if err := root.UnlinkAt(name, flags); err != nil {
			t.Errorf("removing %s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(h.dir); len(left) != 0 {
		t.Errorf("left on the host: %v", left)
	}
}

func TestReaddir(t *testing.T) {
	h := newHost(t)
	var want []string
	for i := range 300 { // more than fits one reply
		name := "file-" + strings.Repeat("x", i%40) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		want = append(want, name)
		if err := os.WriteFile(filepath.Join(h.dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root := h.attach(t)
	_, dir, err := root.Walk(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := dir.Open(p9.ReadOnly); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for offset := uint64(0); ; {
		entries, err := dir.Readdir(offset, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if got[e.Name] {
				t.Fatalf("%s comes twice", e.Name)
			}
			got[e.Name] = true
			offset = e.Offset
		}
	}
	for _, name := range want {
		if !got[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
}

// TestConfined tries to get out of the folder, and at what is no plain file.
func TestConfined(t *testing.T) {
	h := newHost(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"abs": outside, "rel": "../" + filepath.Base(outside), "file": filepath.Join(outside, "secret")} {
		if err := os.Symlink(to, filepath.Join(h.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(h.dir, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	root := h.attach(t)
	for _, names := range [][]string{
		{"abs", "secret"}, {"rel", "secret"}, {"file"}, {"fifo"},
		{"..", filepath.Base(outside), "secret"}, {"a/../../" + filepath.Base(outside)}, {""}, {"."},
	} {
		if data, err := read(t, root, names...); err == nil {
			t.Errorf("%q was opened: %q", names, data)
		}
	}
	_, fifo, err := root.Walk([]string{"fifo"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := fifo.Open(p9.WriteOnly); err == nil {
		t.Error("the FIFO was opened for writing")
	}
	_, link, err := root.Walk([]string{"file"})
	if err != nil {
		t.Fatal(err)
	}
	if err := link.SetAttr(p9.SetAttrMask{Size: true, Permissions: true}, p9.SetAttr{Permissions: 0o777}); err == nil {
		t.Error("a link out of the folder took attributes")
	}
	if data, _ := os.ReadFile(filepath.Join(outside, "secret")); string(data) != "secret" {
		t.Errorf("the file outside now holds %q", data)
	}
	for what, err := range map[string]error{
		"symlink": second(root.Symlink(outside, "new", p9.NoUID, p9.NoGID)),
		"link":    root.Link(link, "new"),
		"mknod":   second(root.Mknod("new", p9.ModeCharacterDevice, 1, 3, p9.NoUID, p9.NoGID)),
	} {
		if err == nil {
			t.Errorf("%s was allowed", what)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// openControlFile opens the control file of a new host for writing.
func openControlFile(t *testing.T) (h *host, root, f p9.File) {
	t.Helper()
	h = newHost(t)
	root = h.attach(t)
	_, f, err := root.Walk([]string{job.ControlName})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Open(p9.WriteOnly); err != nil {
		t.Fatal(err)
	}
	return h, root, f
}

func TestControl(t *testing.T) {
	h, _, f := openControlFile(t)
	want := []job.Event{
		{Type: job.Booted, Kernel: "6.12.1"},
		{Type: job.CaseDone, Suite: "probe", Case: &report.Case{Suite: "probe", Name: "a", Status: report.Fail, Detail: strings.Repeat("line\n", 20000)}},
		{Type: job.Finished},
	}
	var stream []byte
	for _, e := range want {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		stream = append(append(stream, line...), '\n', '\n')
	}
	// Pieces that do not end with the lines.
	for off := 0; off < len(stream); {
		n := min(len(stream)-off, 7001)
		if k, err := f.WriteAt(stream[off:off+n], int64(off)); err != nil || k != n {
			t.Fatalf("WriteAt: %d, %v; want %d", k, err, n)
		}
		off += n
	}
	// The last write has returned: the host has all of it.
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(want, h.events); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(h.dir, job.ControlName)); err == nil {
		t.Error("the control file is on the host's disk")
	}
}

func TestControlErrors(t *testing.T) {
	h, root, f := openControlFile(t)
	for _, line := range []string{"no json\n", "{}\n", "[1]\n"} {
		if _, err := f.WriteAt([]byte(line), 0); !errors.Is(err, linux.EINVAL) {
			t.Errorf("%q: %v, want EINVAL", line, err)
		}
	}
	var long error
	for range maxLine/(32<<10) + 1 {
		if _, long = f.WriteAt(bytes.Repeat([]byte("x"), 32<<10), 0); long != nil {
			break
		}
	}
	if !errors.Is(long, linux.EFBIG) {
		t.Errorf("an endless line: %v, want EFBIG", long)
	}
	if _, err := f.WriteAt([]byte(`{"type":"finished"}`+"\n"), 0); err != nil {
		t.Errorf("after all that: %v", err)
	}
	if _, _, err := root.Walk([]string{job.ControlName, "x"}); err == nil {
		t.Error("the control file was walked through")
	}
	_, r, err := root.Walk([]string{job.ControlName})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Open(p9.ReadOnly); err == nil {
		t.Error("the control file was opened for reading")
	}
	if err := create(t, root, job.ControlName, nil); !errors.Is(err, linux.EEXIST) {
		t.Errorf("creating a file of its name: %v, want EEXIST", err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := root.RenameAt("other", root, job.ControlName); err == nil {
		t.Error("a file was renamed to it")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) != 1 || len(h.bad) != 4 {
		t.Errorf("%d events and %d bad lines, want 1 and 4: %v", len(h.events), len(h.bad), h.bad)
	}
}

// TestOpenLimit holds more files open than are allowed.
func TestOpenLimit(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(filepath.Join(h.dir, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	root := h.attach(t)
	var open []p9.File
	var err error
	for range maxOpen + 1 {
		var f p9.File
		if _, f, err = root.Walk([]string{"f"}); err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
		if _, _, err = f.Open(p9.ReadOnly); err != nil {
			break
		}
	}
	if len(open) != maxOpen+1 || !errors.Is(err, linux.EMFILE) {
		t.Errorf("after %d files: %v, want EMFILE after %d", len(open), err, maxOpen)
	}
	for _, f := range open {
		f.Close()
	}
	if _, err := read(t, root, "f"); err != nil {
		t.Errorf("after closing them: %v", err)
	}
}

// TestReconnect serves one client after the other, and gives back what a lost
// one had open.
func TestReconnect(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(filepath.Join(h.dir, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		conn, done := h.connect(t)
		client, err := p9.NewClient(conn)
		if err != nil {
			t.Fatal(err)
		}
		root, err := client.Attach("")
		if err != nil {
			t.Fatal(err)
		}
		_, f, err := root.Walk([]string{"f"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Open(p9.ReadOnly); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if open, nodes := h.server.open.Load(), h.server.nodes.Load(); open != 0 || nodes != 0 {
			t.Errorf("after the client is gone: %d files open, %d nodes held", open, nodes)
		}
	}
}

func TestServeEndsWithContext(t *testing.T) {
	h := newHost(t)
	_, theirs := socketPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.server.Serve(ctx, theirs) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v, want context.Canceled", err)
	}
}

func TestNoFolder(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "missing"), nil, nil); err == nil {
		t.Error("a missing folder was taken")
	}
}

// A job that the host sets stands before one in the folder, can be read and not
// written, and leaves nothing behind on the disk.
func TestSetJob(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(filepath.Join(h.dir, job.FileName), []byte("the folder's own"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.server.SetJob([]byte(`{"driver":"stock"}`))
	root := h.attach(t)
	if got, err := read(t, root, job.FileName); err != nil || string(got) != `{"driver":"stock"}` {
		t.Errorf("read %q, %v", got, err)
	}
	_, f, err := root.Walk([]string{job.FileName})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Open(p9.WriteOnly); !errors.Is(err, linux.EROFS) {
		t.Errorf("opening it for writing: %v, want EROFS", err)
	}
	if _, _, err := root.Walk([]string{job.FileName, "x"}); err == nil {
		t.Error("walked below the job file")
	}
	if got, err := os.ReadFile(filepath.Join(h.dir, job.FileName)); err != nil || string(got) != "the folder's own" {
		t.Errorf("on the host: %q, %v", got, err)
	}
}

// TestControlFlood writes without end: the host listens up to a limit, and
// complains no more often than it has to.
func TestControlFlood(t *testing.T) {
	h, _, f := openControlFile(t)
	line := append(bytes.Repeat([]byte("x"), 32<<10-1), '\n')
	var last error
	n := 0
	for ; n < maxTotal/len(line)+8; n++ {
		_, last = f.WriteAt(line, 0)
	}
	if !errors.Is(last, linux.ENOSPC) {
		t.Errorf("after %d lines: %v, want ENOSPC", n, last)
	}
	if _, err := f.WriteAt([]byte(`{"type":"finished"}`+"\n"), 0); !errors.Is(err, linux.ENOSPC) {
		t.Errorf("an event after that: %v, want ENOSPC", err)
	}
	if len(h.events) != 0 || len(h.bad) != maxBad {
		t.Errorf("%d events and %d complaints, want 0 and %d", len(h.events), len(h.bad), maxBad)
	}
}
