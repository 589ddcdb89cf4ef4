package cache

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/progress"
)

func open(t *testing.T, root string, p *progress.Printer) *Cache {
	t.Helper()
	c, err := Open(root, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// filled is a recipe whose entry holds one file.
func filled(key, text string) Recipe {
	return Recipe{Kind: "thing", Key: key, What: "a thing", Make: func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644)
	}}
}

func TestGetMakesOnce(t *testing.T) {
	root := t.TempDir()
	var made atomic.Int32
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		c := open(t, root, nil) // as many runs
		wg.Go(func() {
			<-start
			r := filled("one", "text")
			fill := r.Make
			r.Make = func(ctx context.Context, dir string) error {
				made.Add(1)
				return fill(ctx, dir)
			}
			dir, err := c.Get(t.Context(), r)
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(b) != "text" {
				t.Errorf("%s: %q, %v", dir, b, err)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

// Who waits for an entry gets it when it is made, and not only when the maker
// ends: that one keeps using it.
func TestGetWaitsForTheEntryAlone(t *testing.T) {
	root := t.TempDir()
	maker, waiter := open(t, root, nil), open(t, root, nil)
	got := make(chan error, 1)
	r := filled("one", "text")
	fill := r.Make
	r.Make = func(ctx context.Context, dir string) error {
		go func() {
			_, err := waiter.Get(ctx, filled("one", "other"))
			got <- err
		}()
		time.Sleep(2 * poll) // the waiter has looked at the lock and found it taken
		return fill(ctx, dir)
	}
	if _, err := maker.Get(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("still waiting, though the entry is there")
	}
}

func TestGetSaysThatItWaits(t *testing.T) {
	root := t.TempDir()
	var said bytes.Buffer
	a, b := open(t, root, nil), open(t, root, progress.New(&said))
	started, finish := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := a.Get(context.Background(), Recipe{Kind: "thing", Key: "slow", What: "a thing", Make: func(context.Context, string) error {
			close(started)
			<-finish
			return nil
		}})
		done <- err
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Get(ctx, filled("slow", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting does not end with the context: %v", err)
	}
	if got, want := said.String(), "  another run is making a thing: waiting for it\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	close(finish)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	c := open(t, t.TempDir(), nil)
	boom := errors.New("boom")
	r := filled("bad", "half")
	fill := r.Make
	r.Make = func(ctx context.Context, dir string) error {
		fill(ctx, dir)
		os.Mkdir(filepath.Join(dir, "closed"), 0o500)
		return boom
	}
	if _, err := c.Get(t.Context(), r); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if _, ok := c.Lookup("thing", "bad"); ok {
		t.Error("half an entry is there")
	}
	if left, _ := filepath.Glob(filepath.Join(c.Root(), "tmp", "*", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	// The next try finds an empty folder, even after a run that was killed.
	os.MkdirAll(filepath.Join(c.Root(), "tmp", "thing", "bad", "rest"), 0o755)
	dir, err := c.Get(t.Context(), filled("bad", "whole"))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if diff := cmp.Diff([]string{filepath.Join(dir, "file")}, files); diff != "" {
		t.Error(diff)
	}
}

func TestSpace(t *testing.T) {
	root := t.TempDir()
	c := open(t, root, nil)
	r := filled("big", "")
	r.Space = math.MaxInt64 / 2
	_, err := c.Get(t.Context(), r)
	var full *spaceError
	if !errors.As(err, &full) {
		t.Fatalf("got %v, want a SpaceError", err)
	}
	for _, part := range []string{root, "a thing", EnvRoot} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
	r = filled("full", "")
	r.Make = func(context.Context, string) error { return &os.PathError{Op: "write", Path: "x", Err: unix.ENOSPC} }
	if _, err = c.Get(t.Context(), r); !errors.As(err, &full) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a full disk gives %v", err)
	}
}

func TestUnusableRoot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o644)
	_, err := Open(file, nil)
	if err == nil || !strings.Contains(err.Error(), EnvRoot) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestDefaultRoot(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	t.Setenv(EnvRoot, "")
	if got, _ := defaultRoot(); got != "/xdg/qcemu" {
		t.Errorf("got %s", got)
	}
	t.Setenv(EnvRoot, "/mine")
	if got, _ := defaultRoot(); got != "/mine" {
		t.Errorf("got %s", got)
	}
}

func TestBadNames(t *testing.T) {
	c := open(t, t.TempDir(), nil)
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a\x00"} {
		if _, err := c.Get(t.Context(), Recipe{Kind: "thing", Key: name, Make: func(context.Context, string) error { return nil }}); err == nil {
			t.Errorf("the key %q is taken", name)
		}
		if err := c.WriteNote(name, "x", nil); err == nil {
			t.Errorf("the kind %q is taken", name)
		}
	}
	for _, kind := range []string{tmpDir, lockDir} {
		if _, _, err := c.Work(t.Context(), kind, "x"); err == nil {
			t.Errorf("the kind %q is taken", kind)
		}
	}
}

func TestListAndPrune(t *testing.T) {
	root := t.TempDir()
	c := open(t, root, nil)
	for _, key := range []string{"b", "a"} {
		if _, err := c.Get(t.Context(), filled(key, strings.Repeat("x", 10000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WriteNote("thing", "note", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Join(root, "tmp", "thing", "dead"), 0o755)
	os.WriteFile(filepath.Join(root, "thing", "file"), make([]byte, 10000), 0o644)

	names := func(list []Entry) (out []string) {
		for _, e := range list {
			state := " free"
			if e.Busy {
				state = " busy"
			}
			if e.Bytes < 10000 {
				t.Errorf("%s: %d bytes", e.Key, e.Bytes)
			}
			out = append(out, e.Kind+" "+e.Key+state)
		}
		return out
	}
	other := open(t, root, nil)
	list, err := other.List()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"thing a busy", "thing b busy", "thing file free"}, names(list)); diff != "" {
		t.Error(diff)
	}
	gone, err := other.Prune(func(Entry) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"thing file free"}, names(gone)); diff != "" {
		t.Errorf("entries in use were removed: %s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "tmp", "*", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	c.Close()
	gone, err = other.Prune(func(e Entry) bool { return e.Key == "a" })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"thing a free"}, names(gone)); diff != "" {
		t.Error(diff)
	}
	if _, ok := other.Lookup("thing", "a"); ok {
		t.Error("a is still there")
	}
	if _, ok := other.Lookup("thing", "b"); !ok {
		t.Error("b is gone")
	}
}

func TestNotes(t *testing.T) {
	c := open(t, t.TempDir(), nil)
	if _, ok := c.Note("kind", "k"); ok {
		t.Error("a note where none was written")
	}
	for _, text := range []string{"one", "two"} {
		if err := c.WriteNote("kind", "k", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, ok := c.Note("kind", "k"); !ok || string(b) != text {
			t.Errorf("got %q, %v", b, ok)
		}
	}
}

func TestWorkIsExclusive(t *testing.T) {
	root := t.TempDir()
	a, b := open(t, root, nil), open(t, root, nil)
	dir, done, err := a.Work(t.Context(), "apt", "x")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "state"), nil, 0o644)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.Work(ctx, "apt", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("two have it: %v", err)
	}
	done()
	again, done, err := b.Work(t.Context(), "apt", "x")
	if err != nil || again != dir {
		t.Fatalf("%s, %v", again, err)
	}
	defer done()
	if _, err := os.Stat(filepath.Join(again, "state")); err != nil {
		t.Error("its contents are gone")
	}
}

func TestKey(t *testing.T) {
	a := Key("linux 6.12/x", "ab", "c")
	if b := Key("linux 6.12/x", "a", "bc"); a == b {
		t.Error("inputs run together")
	}
	if !strings.HasPrefix(a, "linux_6.12_x-") {
		t.Errorf("got %s", a)
	}
	if checkName("k", Key("..", "x")) != nil {
		t.Errorf("%s is no name", Key("..", "x"))
	}
}
