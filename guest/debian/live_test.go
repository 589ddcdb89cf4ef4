package debian

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/progress"
)

// liveClient returns a client on the user's own cache, for tests that need a
// network, a mirror and minutes.
func liveClient(t *testing.T) *Client {
	t.Helper()
	if os.Getenv("QCEMU_TEST_NETWORK") == "" {
		t.Skip("needs a Debian mirror: set QCEMU_TEST_NETWORK=1")
	}
	p := progress.New(os.Stderr)
	c, err := cache.Open("", p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return New(Options{Cache: c, Progress: p})
}

func TestLiveQEMU(t *testing.T) {
	c := liveClient(t)
	tree, err := c.QEMU(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	argv, env, err := tree.Emulator()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], append(argv[1:], "-device", "vfio-user-pci,help")...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "vfio-user-pci options") {
		t.Errorf("%q: %v\n%s", argv, err, out)
	}
	// Once it is there, no network is needed.
	offline := New(Options{Cache: c.Cache, Progress: c.Progress})
	t.Setenv("PATH", "")
	if again, err := offline.QEMU(t.Context()); err != nil || again.Root != tree.Root {
		t.Errorf("without any program on PATH: %v, %v", again, err)
	}
}

func TestLiveUserland(t *testing.T) {
	tree, err := liveClient(t).Userland(t.Context(), "arm64", "cryptsetup-bin", "kcapi-tools", "e2fsprogs")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/sbin/cryptsetup", "usr/bin/kcapi-enc", "usr/sbin/mkfs.ext4", "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"} {
		if _, err := tree.find("/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLiveSource(t *testing.T) {
	src, err := liveClient(t).Source(t.Context(), "6.12")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(src.Tarball); err != nil || st.Size() < 100<<20 || !strings.HasPrefix(src.Version, "6.12.") {
		t.Errorf("%+v: %v", src, err)
	}
}
