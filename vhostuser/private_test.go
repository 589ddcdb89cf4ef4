package vhostuser

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPrivatelyMapped(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "ram")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(8192); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want bool) {
		t.Helper()
		if got := PrivatelyMapped(os.Getpid(), int(f.Fd())); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("not mapped", false)
	private, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(private)
	check("mapped privately", true)
	shared, err := unix.Mmap(int(f.Fd()), 4096, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	check("mapped both ways", false)
	unix.Munmap(shared)
	if PrivatelyMapped(1<<30, int(f.Fd())) {
		t.Error("a process that is not there has the file mapped")
	}
	if PrivatelyMapped(os.Getpid(), -1) {
		t.Error("a file that is not there is mapped")
	}
}
