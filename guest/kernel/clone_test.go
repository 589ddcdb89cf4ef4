package kernel

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCloneTree(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "tree")
	start := time.Date(2020, 1, 1, 0, 0, 0, 5, time.UTC)
	for name, age := range map[string]time.Duration{
		"a/source.c": -time.Hour, "a/gone.c": -time.Hour, configStamp: 0, "a/source.o": time.Minute, "scripts/tool": time.Hour,
	} {
		write(t, from, name, []byte(name))
		os.Chtimes(filepath.Join(from, name), start.Add(age), start.Add(age))
	}
	os.Chmod(filepath.Join(from, "scripts/tool"), 0o755)
	os.Symlink("source.c", filepath.Join(from, "a/link.c"))
	if err := cloneTree(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	names := list(t, from)
	if diff := cmp.Diff(names, list(t, to)); diff != "" {
		t.Fatal(diff)
	}
	for _, name := range names {
		a, err := os.Lstat(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.Lstat(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		if a.Mode() != b.Mode() || a.Mode().IsRegular() && !a.ModTime().Equal(b.ModTime()) {
			t.Errorf("%s: %v %v and %v %v", name, a.Mode(), a.ModTime(), b.Mode(), b.ModTime())
		}
		if shared := os.SameFile(a, b); shared != (filepath.Ext(name) == ".c" && name != "a/link.c") {
			t.Errorf("%s: shared is %v", name, shared)
		}
	}

	// Patched files replace those of the clone, and leave the first tree alone.
	changed := t.TempDir()
	write(t, changed, "a/source.c", []byte("patched"))
	write(t, changed, "b/new.c", []byte("new"))
	if err := overlay(changed, to, []string{"a/source.c", "a/gone.c", "b/new.c"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/link.c", "a/source.c", "a/source.o", "b/new.c", configStamp, "scripts/tool"}, list(t, to)); diff != "" {
		t.Error(diff)
	}
	for file, want := range map[string]string{filepath.Join(from, "a/source.c"): "a/source.c", filepath.Join(to, "a/source.c"): "patched"} {
		if got, _ := os.ReadFile(file); string(got) != want {
			t.Errorf("%s is %q", file, got)
		}
	}
	if diff := cmp.Diff(names, list(t, from)); diff != "" {
		t.Error(diff)
	}
}
