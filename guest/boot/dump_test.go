package boot

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDumpDTB runs a stand-in for QEMU.
func TestDumpDTB(t *testing.T) {
	script := filepath.Join(t.TempDir(), "qemu")
	text := "#!/bin/sh\n" +
		"for a; do case \"$a\" in dumpdtb=*) file=${a#dumpdtb=};; fail) echo broken >&2; exit 1;; silent) exit 0;; esac; done\n" +
		"echo \"$*\" > \"$file\"\n"
	syscall.ForkLock.RLock() // a program started now would keep it open for writing, and it could not be run
	err := os.WriteFile(script, []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DumpDTB(t.Context(), []string{script, "-m", "512M"})
	if err != nil || !strings.HasPrefix(string(got), "-m 512M -display none -machine dumpdtb=") {
		t.Errorf("got %q, %v", got, err)
	}
	for arg, want := range map[string]string{"fail": "broken", "silent": "without writing"} {
		if _, err := DumpDTB(t.Context(), []string{script, arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v: want one with %q", arg, err, want)
		}
	}
	if _, err := DumpDTB(t.Context(), nil); err == nil {
		t.Error("no QEMU was taken for one")
	}
}
