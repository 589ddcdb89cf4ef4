package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestReadPatches(t *testing.T) {
	type summary struct {
		Name    string
		Touched []string
	}
	qce := []string{"drivers/crypto/qce/core.c"}
	bam := []string{"drivers/dma/qcom/bam_dma.c", "include/linux/dma/qcom_bam_dma.h"}
	tests := []struct {
		path string
		want []summary
	}{
		{"testdata/series/v3.mbx", []summary{{"dmaengine: qcom: Löcken", bam}, {"crypto: qce - use it, and a second line", qce}}},
		{"testdata/series/dir", []summary{{"dmaengine: qcom: first", bam[:1]}, {"crypto: qce - second", qce}}},
		{"testdata/series/dir/0002-second.patch", []summary{{"crypto: qce - second", qce}}},
		{"testdata/series/plain.diff", []summary{{"plain.diff", []string{"drivers/crypto/qce/core.c", "drivers/crypto/qce/new.c", "drivers/crypto/qce/old.c"}}}},
		{"testdata/series/encoded.eml", []summary{{"crypto: qce - quoted", qce}}},
	}
	for _, test := range tests {
		list, err := readPatches(test.path)
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		var got []summary
		for _, p := range list {
			got = append(got, summary{p.Name, p.Touched})
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.path, diff)
		}
	}
}

func TestReadPatchesErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	empty := filepath.Join(dir, "empty")
	os.Mkdir(empty, 0o755)
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):   "no such file",
		empty:                        "holds no patch",
		write("text.mbx", "hello\n"): "holds no patch",
		write("cover.mbx", "From x Mon Sep 17 00:00:00 2001\nSubject: [PATCH 0/1] x\n\nHello\n"):     "holds no patch",
		write("evil.patch", "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n"): "no file of a kernel tree",
		write("abs.patch", "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n"):                "",
		write("bin.patch", "diff --git a/x b/x\nGIT binary patch\nliteral 0\n"):                      "binary",
	} {
		_, err := readPatches(path)
		if want == "" {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", filepath.Base(path), err, want)
		}
	}
}

// The files testdata/patch/*.txt are what patch(1) prints, below a line with
// the error that is to come of it.
func TestReadFailure(t *testing.T) {
	files, _ := filepath.Glob("testdata/patch/*.txt")
	if len(files) < 4 {
		t.Fatalf("only %q", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, output, _ := strings.Cut(string(text), "\n")
		e := readFailure(output)
		e.Patch, e.Number, e.Of, e.Tree = "crypto: qce - x", 2, 5, "Linux 6.12.1"
		if diff := cmp.Diff(want, e.Error()); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

func TestApply(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("patch is not installed")
	}
	const before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
	diff := func(name, from, to string) patch {
		return patch{Name: "change " + from, Diff: []byte("--- a/" + name + "\n+++ b/" + name + "\n@@ -4,3 +4,3 @@\n 4\n-" + from + "\n+" + to + "\n 6\n")}
	}
	add := patch{Name: "add", Diff: []byte("--- /dev/null\n+++ b/d/new\n@@ -0,0 +1 @@\n+hello\n")}
	wide := patch{Name: "wide", Diff: []byte("--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n zwei\n 3\n 4\n-5\n+5a\n 6\n 7\n 8\n")}
	tests := []struct {
		name   string
		series patchList
		err    string
		notes  int
	}{
		{"good", patchList{diff("f", "5", "five"), diff("f", "five", "5a"), add}, "", 0},
		{"loose", patchList{wide, add}, "", 1},
		{"context", patchList{add, diff("f", "x", "y")}, `patch 2 of 2 ("change x") does not apply to Linux 9.9, f, hunk 1 at line 4: the lines around`, 0},
		{"no file", patchList{diff("drivers/g", "5", "six")}, `patch 1 of 1 ("change 5") does not apply to Linux 9.9, drivers/g: the tree has no such file`, 0},
		{"twice", patchList{diff("f", "5", "five"), diff("f", "5", "five")}, `, f: the tree has this change already`, 0},
		{"exists", patchList{add, add}, `d/new: the`, 0},
		{"damaged", patchList{{Name: "cut", Diff: []byte("--- a/f\n+++ b/f\n@@ -4,3 +4,3 @@\n 4\n-5\n")}}, "the patch is damaged", 0},
	}
	for _, test := range tests {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		notes, err := apply(t.Context(), dir, "Linux 9.9", test.series)
		if len(notes) != test.notes {
			t.Errorf("%s: notes %q", test.name, notes)
		}
		if test.err == "" {
			got, _ := os.ReadFile(filepath.Join(dir, "f"))
			if want := strings.Replace(before, "5", "5a", 1); err != nil || string(got) != want || !exists(filepath.Join(dir, "d/new")) {
				t.Errorf("%s: %v, %q", test.name, err, got)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant %s", test.name, err, test.err)
		}
	}
}

func TestOwnSeriesByVersion(t *testing.T) {
	patch := &fstest.MapFile{Data: []byte("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n")}
	fsys := fstest.MapFS{"0001-a.patch": patch, "0002-b.patch": patch, "7.2/0001-c.patch": patch, "notes.txt": patch}
	for version, want := range map[string][]string{
		"6.12": {"0001-a.patch", "0002-b.patch"},
		"7.2":  {"0001-c.patch"},
	} {
		list, err := seriesFor(fsys, version)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range list {
			got = append(got, p.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
	}
}

// The project's own series leaves the Image as it is.
func TestOwnSeries(t *testing.T) {
	list, err := ownSeries(defaultLinux)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d patches, %v", len(list), err)
	}
	if !driversOnly(list.touched()) {
		t.Errorf("it reaches beyond the drivers: %q", list.touched())
	}
}

func TestDriversOnly(t *testing.T) {
	for _, test := range []struct {
		files []string
		want  bool
	}{
		{[]string{"drivers/dma/qcom/bam_dma.c", "include/linux/dma/qcom_bam_dma.h", "MAINTAINERS"}, true},
		{[]string{"drivers/dma/qcom/bam_dma.c", "include/linux/dmaengine.h"}, false},
		{[]string{"drivers/dma/qcomx.c"}, false},
	} {
		if got := driversOnly(test.files); got != test.want {
			t.Errorf("%q: %v", test.files, got)
		}
	}
}

func FuzzMbox(f *testing.F) {
	files, _ := filepath.Glob("testdata/series/*")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseMbox("x", text)
		if err != nil {
			return
		}
		for _, p := range list {
			if len(p.Touched) == 0 {
				t.Errorf("a patch that changes nothing: %q", p.Name)
			}
			for _, name := range p.Touched {
				if !filepath.IsLocal(name) {
					t.Errorf("%q leads out of the tree", name)
				}
			}
		}
	})
}
