package tests

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Environment variables of these tests.
const (
	envBinary = "QCEMU"     // the program under test; unset: it is built
	envGuests = "QCEMU_E2E" // 1: boot guests
)

// qcemu is the program under test.
var qcemu string

// patience is how long anything may take that is over in a moment unless it
// hangs.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "qcemu-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if qcemu, err = program(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// program finds or builds the program under test.
func program(dir string) (string, error) {
	if path := os.Getenv(envBinary); path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		_, err = os.Stat(path) // also tells go test's cache what the result depends on
		return path, err
	}
	if err := noteSources(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "qcemu")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../cmd/qcemu")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building qcemu: %w\n%s", err, out)
	}
	return path, nil
}

// noteSources looks at every source file of the program: go test repeats a
// cached result only if none of the files that the test looked at has changed.
func noteSources() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && name != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tests") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			_, err = os.Stat(path)
		}
		return err
	})
}

// eventually waits until something becomes true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}
