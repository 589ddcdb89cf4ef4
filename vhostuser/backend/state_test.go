package backend

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stateful is a device with a state of one page.
type stateful struct {
	Device
	Persistent
}

func (stateful) Queues() int       { return 2 }
func (stateful) StateSize() uint64 { return 4096 }

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
	text, short, other := filepath.Join(dir, "text"), filepath.Join(dir, "short"), filepath.Join(dir, "other")
	for name, content := range map[string]string{text: "a letter", short: stateMagic, other: strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		text: "not the state of a server like this one", short: "not the state of a server like this one",
		other: "not the state of a server like this one", dir: "is a directory", filepath.Join(dir, "no", "where"): "no such file",
	} {
		before, _ := os.ReadFile(name)
		if _, err := OpenState(name, stateful{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filepath.Base(name), err, want)
		}
		if after, _ := os.ReadFile(name); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", filepath.Base(name))
		}
	}
}

// TestStartTime tells a process from another with the same number.
func TestStartTime(t *testing.T) {
	if startTime(os.Getpid()) == 0 || startTime(-1) != 0 {
		t.Errorf("own start %d, of nobody %d", startTime(os.Getpid()), startTime(-1))
	}
}
