package vm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fake writes a shell script that stands for a QEMU.
func fake(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu-system-aarch64")
	syscall.ForkLock.RLock() // a program started now would keep it open for writing, and it could not be run
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const goodQEMU = `case "$1" in
--version) echo "QEMU emulator version 11.1.3 (Debian)" ;;
-device) echo "vfio-user-pci options:" ;;
esac
`

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, script, version, reason string
	}{
		{"good", goodQEMU, "11.1.3", ""},
		{"oldest that is good", strings.Replace(goodQEMU, "11.1.3", "10.1.0", 1), "10.1.0", ""},
		{"too old", strings.Replace(goodQEMU, "11.1.3", "10.0.13", 1), "", "is version 10.0.13, 10.1 or newer is needed"},
		{"very old", `echo "QEMU emulator version 7.2.22"`, "", "is version 7.2.22"},
		{"without vfio-user", `[ "$1" = --version ] && echo "QEMU emulator version 11.0.0" || { echo "Device not found"; exit 1; }`, "", "built without the device vfio-user-pci"},
		{"no QEMU", `echo hello`, "", "is no QEMU"},
		{"broken", `echo "error while loading shared libraries" >&2; exit 127`, "", "does not start: error while loading"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := fake(t, tt.script)
			q, err := Check(context.Background(), []string{path}, nil)
			if tt.reason == "" {
				if err != nil || q.Version != tt.version {
					t.Fatalf("got %+v, %v, want version %s", q, err, tt.version)
				}
				return
			}
			var unfit *UnfitError
			if !errors.As(err, &unfit) || unfit.Path != path || !strings.Contains(unfit.Reason, tt.reason) {
				t.Fatalf("got %v, want an UnfitError with %q", err, tt.reason)
			}
		})
	}
	if _, err := Check(context.Background(), []string{"/nonexistent/qemu-system-aarch64"}, nil); err == nil || !strings.Contains(err.Error(), "cannot be run") {
		t.Errorf("missing file: got %v", err)
	}
}

func TestFindInPath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := FindInPath(context.Background()); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("empty PATH: got %v, want ErrNotFound", err)
	}
}

func TestShellLine(t *testing.T) {
	argv := []string{"qemu", "-m", "1G", "-device", `{"driver":"x"}`, "-append", "a b", "-serial", "it's"}
	line := ShellLine(argv)
	// A shell must read back the very words.
	out, err := exec.Command("sh", "-c", "print() { for a; do echo \"[$a]\"; done; }; print "+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "[" + strings.Join(argv, "]\n[") + "]\n"
	if string(out) != want {
		t.Errorf("the shell read\n%swant\n%s", out, want)
	}
}

// The guest's console and the reason of a failure come from the process.
func TestStart(t *testing.T) {
	path := fake(t, `for last; do :; done; echo "console of $last"; echo "qemu: no such disk" >&2; exit 3`)
	var console bytes.Buffer
	v, err := Start(&QEMU{Argv: []string{path}}, &Config{MemoryMiB: 1, CPUs: 1}, &console)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Err(); err == nil || !strings.Contains(err.Error(), "exit status 3: qemu: no such disk") {
		t.Errorf("end: %v", err)
	}
	if console.String() != "console of stdio\n" {
		t.Errorf("console: %q", console.String())
	}
}

func TestStop(t *testing.T) {
	v, err := Start(&QEMU{Argv: []string{fake(t, "exec sleep 1000")}}, &Config{}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	v.Stop()
	select {
	case <-v.Done():
	default:
		t.Error("still running after Stop")
	}
}
