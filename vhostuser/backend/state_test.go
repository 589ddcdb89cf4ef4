package backend

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
)

// stateful is a device with a state of one page, which makes no sense to it if it
// begins with this byte.
type stateful struct {
	Device
	algorithms string
}

const nonsense = 0xee

func (stateful) Features() uint64  { return 0 }
func (stateful) Queues() int       { return 2 }
func (d stateful) Config() []byte  { return []byte(d.algorithms) }
func (stateful) StateSize() uint64 { return 4096 }

func (stateful) Adopt(mem bus.Memory) error {
	var b [1]byte
	if err := mem.Read(0, b[:]); err != nil {
		return err
	}
	if b[0] == nonsense {
		return errors.New("no session")
	}
	return nil
}

func openState(t *testing.T, path string) *State {
	t.Helper()
	s, err := OpenState(path, stateful{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStateFile: what a server keeps is there for the next one and the same
// front-end, for nobody else, and gone after an orderly end.
func TestStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s := openState(t, path)
	if _, err := OpenState(path, stateful{}); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("a second server: %v", err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("keys can be read by others: %v %v", fi.Mode(), err)
	}
	key := []byte("a session's key")
	claim := func(s *State, pid int) []byte {
		t.Helper()
		l, err := s.claim(pid)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(key))
		if err := l.state().Read(0, got); err != nil {
			t.Fatal(err)
		}
		if err := l.state().Write(0, key); err != nil {
			t.Fatal(err)
		}
		return got
	}
	own, none := os.Getpid(), make([]byte, len(key))
	for i, c := range []struct {
		pid  int
		want []byte
	}{
		{own, none},          // nothing is there
		{own, key},           // the same front-end is back
		{os.Getppid(), none}, // another one
		{own, none},          // and the first again
		{0, none},            // one that cannot be known
		{0, none},            // is never the same
	} {
		if got := claim(s, c.pid); !bytes.Equal(got, c.want) {
			t.Errorf("%d: process %d finds %q, want %q", i, c.pid, got, c.want)
		}
	}
	claim(s, own)
	s.mem.UnmapAll() // as a kill does
	s.file.Close()
	if got := claim(openState(t, path), own); !bytes.Equal(got, key) {
		t.Errorf("the next server finds %q, want %q", got, key)
	}
}

func TestStateEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s := openState(t, path)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is left behind")
	}
}

// TestStateReleased: a server that does not end in order leaves what a front-end
// has, and nothing if there was none.
func TestStateReleased(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, c := range []struct {
		name         string
		claim, close bool
		want         bool
	}{
		{"nobody's", false, false, false},
		{"a front-end's", true, false, true},
		{"that of the server before", false, false, true},
		{"after the end", false, true, false},
	} {
		s := openState(t, path)
		if c.claim {
			if _, err := s.claim(os.Getpid()); err != nil {
				t.Fatal(err)
			}
		}
		if c.close {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := s.Release(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := os.Stat(path); (err == nil) != c.want {
			t.Errorf("%s: the file is left behind: %v, want %v", c.name, err == nil, c.want)
		}
	}
}

func TestStateRefused(t *testing.T) {
	dir := t.TempDir()
	open, link, pipe := filepath.Join(dir, "open"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "aim"), link); err != nil {
		t.Fatal(err)
	}
	text, short, other := filepath.Join(dir, "text"), filepath.Join(dir, "short"), filepath.Join(dir, "other")
	for name, content := range map[string]string{text: "a letter", short: stateMagic, other: strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		text: "not the state of a server like this one", short: "not the state of a server like this one",
		other: "not the state of a server like this one", dir: "is a directory", filepath.Join(dir, "no", "where"): "no such file",
		open: "others may open it (mode 0644), and keys are in it", link: "a symbolic link: name the file itself",
		pipe: "not a file",
	} {
		content := func() (b []byte) {
			if name != pipe {
				b, _ = os.ReadFile(name)
			}
			return b
		}
		before := content()
		if _, err := OpenState(name, stateful{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filepath.Base(name), err, want)
		}
		if !bytes.Equal(before, content()) {
			t.Errorf("%s was changed", filepath.Base(name))
		}
	}
}

// TestStateOfAnotherUser: who may read the file may read the keys.
func TestStateOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file another user's")
	}
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(path, stateful{}); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Error(err)
	}
}

// TestStateReplaced: a file that somebody has put in the place of the state is
// not removed at the end.
func TestStateReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s := openState(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("a letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "a letter" {
		t.Errorf("%q %v", b, err)
	}
}

// TestStateShrunk: whoever cuts the file off under the server gets errors, and
// the next front-end too.
func TestStateShrunk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s := openState(t, path)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.claim(os.Getpid()); err == nil {
		t.Error("there is no error")
	}
	if err := s.Close(); err == nil {
		t.Error("Close: what could not be wiped is no error")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is left behind")
	}
}

// TestStateOfAnotherDevice: a server with other algorithms refuses the state, as
// its sessions would make no sense, and leaves it.
func TestStateOfAnotherDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, err := OpenState(path, stateful{algorithms: "AES"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.claim(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	const want = "the state of a device with other queues or algorithms"
	if _, err := OpenState(path, stateful{algorithms: "DES"}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("another device: %v, want %q", err, want)
	}
	if s, err = OpenState(path, stateful{algorithms: "AES"}); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// TestStateNonsense: what the device cannot take up is dropped, and the front-end
// is served.
func TestStateNonsense(t *testing.T) {
	s := openState(t, filepath.Join(t.TempDir(), "state"))
	defer s.Close()
	for range 2 {
		l, err := s.claim(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 2)
		if err := l.state().Read(0, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, []byte{0, 0}) {
			t.Errorf("the front-end finds %x", got)
		}
		if err := l.state().Write(0, []byte{nonsense, 1}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStartTimeOfName: a program may have any name.
func TestStartTimeOfName(t *testing.T) {
	fields := strings.Repeat("7 ", 18)
	for _, name := range []string{"qemu", "a) S 1 2", ")", "a b) "} {
		if got := startTimeIn("12 (" + name + ") S " + fields + "4711 8 9"); got != 4711 {
			t.Errorf("%q: start time %d, want 4711", name, got)
		}
	}
}

// TestStartTime tells a process from another with the same number.
func TestStartTime(t *testing.T) {
	if startTime(os.Getpid()) == 0 || startTime(-1) != 0 {
		t.Errorf("own start %d, of nobody %d", startTime(os.Getpid()), startTime(-1))
	}
}
