package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	for _, m := range []string{moduleBAM, moduleQCE, "tcrypt"} {
		if pos[m] == 0 {
			t.Errorf("%s: no %s in %q", driver, m, files)
		}
	}
	if pos["virt_dma"] == 0 || pos["virt_dma"] > pos[moduleBAM] {
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
	b, err := fromDebian(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkBuild(t, b, job.Stock)
	checkBuild(t, b, job.Series)
	// Once it is there, neither a compiler nor a network is needed.
	t.Setenv("PATH", "")
	again, err := fromDebian(t.Context(), o)
	if err != nil || again.Image != b.Image {
		t.Errorf("without any program on PATH: %+v, %v", again, err)
	}
}

// changed makes a patch that replaces text in one line of a file.
func changed(t *testing.T, tree, name, old, new string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tree, name))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	for i, line := range lines {
		if strings.Contains(line, old) {
			return fmt.Appendf(nil, "Subject: [PATCH] %s\n\n--- a/%s\n+++ b/%s\n@@ -%d,2 +%d,2 @@\n %s-%s+%s",
				name, name, name, i, i, lines[i-1], line, strings.Replace(line, old, new, 1))
		}
	}
	t.Fatalf("%s has no %q", name, old)
	return nil
}

func TestLiveSeries(t *testing.T) {
	o := liveOptions(t)
	plain, err := fromDebian(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(filepath.Dir(filepath.Dir(plain.Image)), treeDir)
	dir := t.TempDir()
	driver := changed(t, tree, "drivers/dma/qcom/bam_dma.c", "MODULE_DESCRIPTION(\"", "MODULE_DESCRIPTION(\"Changed ")
	write(t, dir, "0001-driver.patch", driver)
	o.Series = dir
	b, err := fromDebian(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkBuild(t, b, job.Stock)
	checkBuild(t, b, job.Series)
	if b.Image != plain.Image {
		t.Error("a series of driver changes has an Image of its own")
	}
	for driver, want := range map[string]bool{job.Stock: false, job.Series: true} {
		ko, err := os.ReadFile(filepath.Join(b.ModuleDirs[driver], "bam_dma.ko"))
		if err != nil || bytes.Contains(ko, []byte("description=Changed ")) != want {
			t.Errorf("%s: changed is %v, %v", driver, !want, err)
		}
	}
	stock, series := vermagic(t, b, job.Stock), vermagic(t, b, job.Series)
	if stock != series || stock == "" {
		t.Errorf("vermagic %q and %q", stock, series)
	}

	// The tree of the stock kernel is as it was, so a second series applies too;
	// this one reaches beyond the drivers.
	write(t, dir, "0002-core.patch", changed(t, tree, "drivers/dma/dmaengine.c", "pr_debug(\"", "pr_debug(\"changed "))
	b, err = fromDebian(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{job.Series}, b.Drivers()); diff != "" || b.Image == plain.Image {
		t.Errorf("Image %s, drivers %s", b.Image, diff)
	}
	checkBuild(t, b, job.Series)

	write(t, dir, "0003-again.patch", driver)
	var failed *patchError
	if _, err = fromDebian(t.Context(), o); !errors.As(err, &failed) || failed.Number != 3 || failed.File != "drivers/dma/qcom/bam_dma.c" {
		t.Errorf("a patch that does not apply: %v", err)
	}
	t.Log(err)
}

func vermagic(t *testing.T, b *Build, driver string) string {
	t.Helper()
	ko, err := os.ReadFile(filepath.Join(b.ModuleDirs[driver], "bam_dma.ko"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(ko, []byte("vermagic="))
	magic, _, _ := bytes.Cut(rest, []byte{0})
	return string(magic)
}

// A clean tree of a user: built in the cache, and not written to.
func TestLiveTree(t *testing.T) {
	o := liveOptions(t)
	src, err := o.Debian.Source(t.Context(), defaultLinux)
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(t.TempDir(), "linux")
	if err := unpackSource(t.Context(), o, src.Tarball, tree); err != nil {
		t.Fatal(err)
	}
	before := list(t, tree)
	o.Tree = tree
	b, err := Prepare(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkBuild(t, b, job.Stock)
	if diff := cmp.Diff(before, list(t, tree)); diff != "" {
		t.Errorf("the tree has changed: %s", diff)
	}
	again, err := Prepare(t.Context(), o)
	if err != nil || again.Image != b.Image {
		t.Errorf("%+v, %v", again, err)
	}
}
