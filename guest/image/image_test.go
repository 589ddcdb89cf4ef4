package image

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/qcemu/qcemu/guest/job"
)

// put writes a file below dir.
func put(t *testing.T, dir, name string, data []byte, perm os.FileMode) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, perm); err != nil {
		t.Fatal(err)
	}
	return file
}

// spec is a small image: nothing has to be compiled for it.
func spec(t *testing.T) (Spec, string, string) {
	t.Helper()
	dir := t.TempDir()
	return Spec{
		Modules: map[string][]string{
			job.Stock:  {put(t, dir, "stock/bam_dma.ko", []byte("stock bam"), 0o644)},
			job.Series: {put(t, dir, "series/qcrypto.ko", []byte("series qce"), 0o644), put(t, dir, "series/bam_dma.ko", []byte("series bam"), 0o644)},
		},
		Files: map[string]string{"/etc/extra": put(t, dir, "extra", []byte("x"), 0o600)},
	}, put(t, dir, "init", []byte("init"), 0o755), put(t, dir, "u-root", []byte("u-root"), 0o755)
}

func archive(t *testing.T, s Spec, initPath, uroot string) []byte {
	t.Helper()
	tree := newTree()
	if err := s.fill(tree, initPath, uroot); err != nil {
		t.Fatal(err)
	}
	data, err := tree.archive()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unpack reads an archive back: file contents, "-> target" for links, "/" for
// folders, and checks that each folder comes before what is in it.
func unpack(t *testing.T, data []byte) map[string]string {
	t.Helper()
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, r := range records {
		if r.Name == cpio.Trailer {
			continue
		}
		if parent := filepath.Dir(r.Name); parent != "." && files[parent] != "/" {
			t.Errorf("%s comes before its folder", r.Name)
		}
		var content []byte
		if r.ReaderAt != nil {
			if content, err = io.ReadAll(io.NewSectionReader(r.ReaderAt, 0, int64(r.FileSize))); err != nil {
				t.Fatal(err)
			}
		}
		switch r.Mode & cpio.S_IFMT {
		case cpio.S_IFDIR:
			files[r.Name] = "/"
		case cpio.S_IFLNK:
			files[r.Name] = "-> " + string(content)
		case cpio.S_IFCHR:
			files[r.Name] = "device"
		default:
			files[r.Name] = string(content)
		}
		if r.UID != 0 || r.GID != 0 || r.MTime != 0 {
			t.Errorf("%s: owner %d:%d, time %d: want zeros", r.Name, r.UID, r.GID, r.MTime)
		}
	}
	return files
}

func TestFill(t *testing.T) {
	s, initPath, uroot := spec(t)
	first := archive(t, s, initPath, uroot)
	files := unpack(t, first)
	for name, want := range map[string]string{
		"init":                              "init",
		"host":                              "/",
		"dev/console":                       "device",
		"bin":                               "-> usr/bin",
		"usr/lib/modules-stock/bam_dma.ko":  "stock bam",
		"usr/lib/modules-series/bam_dma.ko": "series bam",
		"usr/lib/modules-series/qcrypto.ko": "series qce",
		"usr/bin/u-root":                    "u-root",
		"usr/bin/ls":                        "-> u-root",
		"usr/bin/sh":                        "-> gosh",
		"usr/sbin/modprobe":                 "-> ../../init",
		"etc/extra":                         "x",
	} {
		if files[name] != want {
			t.Errorf("%s is %q, want %q", name, files[name], want)
		}
	}
	if again := archive(t, s, initPath, uroot); !bytes.Equal(first, again) {
		t.Error("the same input gave other bytes")
	}
	dirs := map[string]string{job.Stock: "/lib/modules-stock", job.Series: "/lib/modules-series"}
	if diff := cmp.Diff(dirs, s.ModuleDirs()); diff != "" {
		t.Error(diff)
	}
}

func TestFillErrors(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"module":   func(s *Spec) { s.Modules[job.Stock] = []string{"/nonexistent/bam_dma.ko"} },
		"file":     func(s *Spec) { s.Files["/x"] = "/nonexistent/x" },
		"userland": func(s *Spec) { s.Userland = "/nonexistent" },
	} {
		t.Run(name, func(t *testing.T) {
			s, initPath, uroot := spec(t)
			change(&s)
			err := s.fill(newTree(), initPath, uroot)
			if err == nil || !strings.Contains(err.Error(), "nonexistent") {
				t.Errorf("error %v: want one that names the missing file", err)
			}
		})
	}
}

// TestUserland takes programs from trees of the shapes that Debian packages
// unpack to.
func TestUserland(t *testing.T) {
	names := func(merged bool) (bin, sbin, lib string) {
		if merged {
			return "usr/bin/", "usr/sbin/", "usr/lib/"
		}
		return "bin/", "sbin/", "lib/"
	}
	for _, merged := range []bool{true, false} {
		bin, sbin, lib := names(merged)
		root := t.TempDir()
		put(t, root, sbin+"cryptsetup", program64(t, "/lib/ld-linux-aarch64.so.1", "libcryptsetup.so.12"), 0o755)
		put(t, root, bin+"kcapi-dgst", []byte("#!/bin/sh\n"), 0o755)
		put(t, root, sbin+"mke2fs", []byte("short"), 0o755)
		put(t, root, sbin+"e2fsck", nil, 0o755)
		for link, to := range map[string]string{"mkfs.ext4": "mke2fs", "fsck.ext4": "/sbin/e2fsck"} {
			if err := os.Symlink(to, filepath.Join(root, sbin+link)); err != nil {
				t.Fatal(err)
			}
		}
		put(t, root, lib+"aarch64-linux-gnu/libcryptsetup.so.12.1", program64(t, "", "libc.so.6"), 0o644)
		if err := os.Symlink("libcryptsetup.so.12.1", filepath.Join(root, lib+"aarch64-linux-gnu/libcryptsetup.so.12")); err != nil {
			t.Fatal(err)
		}
		put(t, root, lib+"aarch64-linux-gnu/libc.so.6", program64(t, ""), 0o755)
		put(t, root, lib+"aarch64-linux-gnu/libgcc_s.so.1", program64(t, "", "libc.so.6"), 0o644)
		put(t, root, lib+"ld-linux-aarch64.so.1", program64(t, ""), 0o755)
		put(t, root, "usr/share/doc/cryptsetup/README", []byte("not wanted"), 0o644)

		tree := newTree()
		if err := tree.addUserland(root); err != nil {
			t.Fatal(err)
		}
		var got []string
		for name, r := range tree.records {
			if r.Mode&cpio.S_IFMT != cpio.S_IFDIR {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		want := []string{
			"usr/bin/kcapi-dgst",
			"usr/lib/aarch64-linux-gnu/libc.so.6",
			"usr/lib/aarch64-linux-gnu/libcryptsetup.so.12",
			"usr/lib/aarch64-linux-gnu/libcryptsetup.so.12.1",
			"usr/lib/aarch64-linux-gnu/libgcc_s.so.1",
			"usr/lib/ld-linux-aarch64.so.1",
			"usr/sbin/cryptsetup", "usr/sbin/e2fsck", "usr/sbin/fsck.ext4", "usr/sbin/mke2fs", "usr/sbin/mkfs.ext4",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("one /usr: %v: %s", merged, diff)
		}

		if err := os.Remove(filepath.Join(root, lib+"aarch64-linux-gnu/libc.so.6")); err != nil {
			t.Fatal(err)
		}
		if err := newTree().addUserland(root); err == nil || !strings.Contains(err.Error(), "libc.so.6") {
			t.Errorf("without libc: %v", err)
		}
		if err := os.Remove(filepath.Join(root, bin+"kcapi-dgst")); err != nil {
			t.Fatal(err)
		}
		if err := newTree().addUserland(root); err == nil {
			t.Error("a tree without kcapi-tools was taken")
		}
	}
}

// TestUserlandOfThisMachine offers a tree of another architecture.
func TestUserlandOfThisMachine(t *testing.T) {
	root := t.TempDir()
	alien := program64(t, "")
	alien[18] = 62 // e_machine: x86-64
	put(t, root, "usr/sbin/cryptsetup", alien, 0o755)
	if err := newTree().addUserland(root); err == nil || !strings.Contains(err.Error(), "arm64") {
		t.Errorf("error %v: want one that asks for arm64", err)
	}
}

func TestFindSource(t *testing.T) {
	root, err := findSource("")
	if err != nil || !isSource(root) {
		t.Errorf("from here: %q, %v", root, err)
	}
	if _, err := findSource(t.TempDir()); err == nil {
		t.Error("an empty folder was taken for the source")
	}
	if _, err := Build(t.Context(), Spec{}); err == nil {
		t.Error("an image was built without a cache")
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old := put(t, dir, "initramfs-old.cpio", nil, 0o644)
	put(t, dir, "initramfs-new.cpio", nil, 0o644)
	put(t, dir, "other", nil, 0o644)
	put(t, dir, ".init-killed/init", nil, 0o755)
	put(t, dir, ".init-running/init", nil, 0o755)
	for _, file := range []string{old, filepath.Join(dir, "other"), filepath.Join(dir, ".init-killed")} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		past := info.ModTime().Add(-2 * keepFor)
		if err := os.Chtimes(file, past, past); err != nil {
			t.Fatal(err)
		}
	}
	sweep(dir)
	var left []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{".init-running", "initramfs-new.cpio", "other"}, left); diff != "" {
		t.Error(diff)
	}
}
