package debian

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// put writes an empty file, or a link if to is given.
func put(t *testing.T, root, name, to string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if to != "" {
		err = os.Symlink(to, path)
	} else {
		err = os.WriteFile(path, nil, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	tree := &Tree{Root: root, Arch: "amd64"}
	put(t, root, "usr/lib/x/ld-2.so", "")
	put(t, root, "usr/lib64/absolute.so", "/lib/x/ld-2.so") // /lib is /usr/lib
	put(t, root, "usr/lib64/relative.so", "../lib/x/ld-2.so")
	put(t, root, "lib/x/old.so", "")
	put(t, root, "usr/lib/loop", "/usr/lib/loop")
	put(t, root, "usr/lib/out", "../../../../../../etc/passwd")
	tests := map[string]string{
		"/lib/x/ld-2.so":       "usr/lib/x/ld-2.so",
		"/usr/lib/x/ld-2.so":   "usr/lib/x/ld-2.so",
		"/lib64/absolute.so":   "usr/lib/x/ld-2.so",
		"/lib64/relative.so":   "usr/lib/x/ld-2.so",
		"/lib/x/old.so":        "lib/x/old.so",
		"/lib/none":            "",
		"/usr/lib/loop":        "",
		"/usr/lib/out":         "",
		"/../../../etc/passwd": "",
	}
	for name, want := range tests {
		got, err := tree.find(name)
		if want == "" {
			if err == nil {
				t.Errorf("%s is found at %s", name, got)
			}
			continue
		}
		if err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestLibraryDirs(t *testing.T) {
	root := t.TempDir()
	tree := &Tree{Root: root, Arch: "arm64"}
	put(t, root, "usr/lib/aarch64-linux-gnu/libc.so.6", "")
	put(t, root, "usr/lib/aarch64-linux-gnu/pulseaudio/libpulsecommon.so", "")
	put(t, root, "usr/lib/aarch64-linux-gnu/qemu/hw-display.so", "") // a plug-in, no library
	put(t, root, "lib/aarch64-linux-gnu/libz.so.1", "")
	var got []string
	for _, d := range tree.LibraryDirs() {
		rel, _ := filepath.Rel(root, d)
		got = append(got, rel)
	}
	want := []string{"lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu/pulseaudio"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A program of this machine, put into a tree with this machine's loader: what
// Argv says must start it.
func TestArgv(t *testing.T) {
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip("no /bin/true")
	}
	interp, err := interpreter("/bin/true")
	if err != nil || interp == "" {
		t.Skipf("no dynamically linked /bin/true: %v", err)
	}
	root := t.TempDir()
	arch := map[string]string{"amd64": "amd64", "arm64": "arm64"}[runtime.GOARCH]
	tree := &Tree{Root: root, Arch: arch}
	put(t, root, "usr/bin/true", "")
	syscall.ForkLock.RLock() // a program started now would keep it open for writing, and it could not be run
	err = os.WriteFile(filepath.Join(root, "usr/bin/true"), program, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if argv, err := tree.Argv("usr/bin/true"); err == nil {
		t.Errorf("without a loader: %q", argv)
	}
	put(t, root, filepath.Join("usr", interp), "")
	put(t, root, "usr/lib/"+triplets[arch]+"/libc.so.6", "")
	argv, err := tree.Argv("usr/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], root, "ROOT")
	}
	want := []string{"ROOT/usr" + interp, "--library-path", "ROOT/usr/lib/" + triplets[arch], "ROOT/usr/bin/true"}
	if diff := cmp.Diff(want, argv); diff != "" {
		t.Error(diff)
	}
	if _, err := tree.Argv("usr/bin/none"); err == nil {
		t.Error("a program that is not there can be run")
	}
}

func TestMissing(t *testing.T) {
	list := []Requirement{
		{Package: "go", Program: "go"},
		{Package: "x", Program: "no-such-program-1"},
		{Package: "x", Header: "no/such/header.h"},
		{Package: "y", Program: "go", Header: "no/such/header.h"},
	}
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	if diff := cmp.Diff([]string{"x", "y"}, missingPackages(list)); diff != "" {
		t.Error(diff)
	}
	e := &missingError{Packages: []string{"x", "y"}}
	if !strings.HasSuffix(e.Error(), "sudo apt-get install --no-install-recommends x y") || !slices.Equal(e.Packages, missingPackages(list)) {
		t.Error(e)
	}
	e.NoLists = true
	if !strings.HasSuffix(e.Error(), "run: sudo apt-get update && sudo apt-get install --no-install-recommends x y") {
		t.Error(e)
	}
}
