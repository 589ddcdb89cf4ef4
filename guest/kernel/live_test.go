package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/guest/debian"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/progress"
)

// liveOptions work on the user's own cache, for tests that need a mirror and
// minutes.
func liveOptions(t *testing.T) Options {
	t.Helper()
	if os.Getenv("QCEMU_TEST_NETWORK") == "" {
		t.Skip("needs a Debian mirror and builds kernels: set QCEMU_TEST_NETWORK=1")
	}
	p := progress.New(os.Stderr)
	c, err := cache.Open("", p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Options{Cache: c, Progress: p, Debian: debian.New(debian.Options{Cache: c, Progress: p})}
}

func checkBuild(t *testing.T, b *Build, driver string) {
	t.Helper()
	t.Logf("%+v", b)
	files, err := b.Modules(driver)
	if err != nil {
		t.Fatal(err)
	}
	pos := map[string]int{}
	for i, f := range files {
		pos[strings.TrimSuffix(filepath.Base(f), ".ko")] = i + 1
	}
	for _, m := range []string{ModuleBAM, ModuleQCE, "tcrypt"} {
		if pos[m] == 0 {
			t.Errorf("%s: no %s in %q", driver, m, files)
		}
	}
	if pos["virt_dma"] == 0 || pos["virt_dma"] > pos[ModuleBAM] {
		t.Errorf("%s: bam_dma comes before virt_dma: %q", driver, files)
	}
	for _, f := range []string{b.Image, b.Config, b.SystemMap} {
		if !exists(f) {
			t.Errorf("%s is missing", f)
		}
	}
}

func TestLiveDefault(t *testing.T) {
	o := liveOptions(t)
	o.Linux = os.Getenv("QCEMU_TEST_LINUX")
	b, err := Default(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkBuild(t, b, job.Stock)
	// Once it is there, neither a compiler nor a network is needed.
	t.Setenv("PATH", "")
	again, err := Default(t.Context(), o)
	if err != nil || again.Image != b.Image {
		t.Errorf("without any program on PATH: %+v, %v", again, err)
	}
}
