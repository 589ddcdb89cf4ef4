package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/qcemu/qcemu/guest/job"
)

// Spec says what goes into the initramfs.
type Spec struct {
	Cache string // folder for what is built
	// Source is the root of this module's source, from which init is built.
	// Empty: found from the working directory or from this program.
	Source string
	// Modules are the kernel module files of each driver (job.Stock,
	// job.Series): the two drivers and whatever else a suite loads.
	Modules map[string][]string
	// Userland is the root of an unpacked arm64 Debian tree from which the
	// programs come. Empty: none, and the suites that want them skip.
	Userland string
	// Files are further files: path in the guest → path on this machine.
	Files map[string]string
}

// ModuleDirs returns the value of job.Job.ModuleDirs for an image of this spec.
func (s *Spec) ModuleDirs() map[string]string {
	dirs := map[string]string{}
	for driver := range s.Modules {
		dirs[driver] = moduleDir(driver)
	}
	return dirs
}

func moduleDir(driver string) string { return "/lib/modules-" + driver }

// Build builds the initramfs and returns its path in the cache.
func Build(ctx context.Context, spec Spec) (string, error) {
	name, err := build(ctx, spec)
	if err != nil && ctx.Err() != nil {
		return "", ctx.Err() // compilers that were interrupted fail in words of their own
	}
	return name, err
}

func build(ctx context.Context, spec Spec) (string, error) {
	if spec.Cache == "" {
		return "", errors.New("initramfs: no cache folder given")
	}
	if err := os.MkdirAll(spec.Cache, 0o755); err != nil {
		return "", err
	}
	source, err := findSource(spec.Source)
	if err != nil {
		return "", err
	}
	initPath, remove, err := buildInit(ctx, source, spec.Cache)
	if err != nil {
		return "", err
	}
	defer remove()
	uroot, err := buildURoot(source, spec.Cache)
	if err != nil {
		return "", err
	}
	t := newTree()
	if err := spec.fill(t, initPath, uroot); err != nil {
		return "", fmt.Errorf("initramfs: %w", err)
	}
	data, err := t.archive()
	if err != nil {
		return "", fmt.Errorf("initramfs: %w", err)
	}
	sum := sha256.Sum256(data)
	out := filepath.Join(spec.Cache, "initramfs-"+hex.EncodeToString(sum[:8])+".cpio")
	if info, err := os.Stat(out); err == nil && info.Size() == int64(len(data)) {
		now := time.Now()
		return out, os.Chtimes(out, now, now) // in use: see sweep
	}
	sweep(spec.Cache)
	return out, writeAtomically(out, data, 0o644)
}

// keepFor is how long a file in the cache stays after its last use.
const keepFor = 24 * time.Hour

// sweep removes what earlier builds have left, those that were killed as well.
// Failing to is no harm.
func sweep(cache string) {
	for _, pattern := range []string{"initramfs-*.cpio", "u-root-*", ".init-*", ".u-root-*", ".tmp-*"} {
		files, _ := filepath.Glob(filepath.Join(cache, pattern))
		for _, file := range files {
			if info, err := os.Stat(file); err == nil && time.Since(info.ModTime()) > keepFor {
				os.RemoveAll(file)
			}
		}
	}
}

// fill puts everything into the tree.
func (s *Spec) fill(t *tree, initPath, uroot string) error {
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "run", "root", "etc", "mnt", job.MountPoint} {
		t.dir(dir)
	}
	// One /usr, as Debian has it.
	for _, dir := range []string{"bin", "sbin", "lib"} {
		t.dir("usr/" + dir)
		t.symlink(dir, "usr/"+dir)
	}
	// The kernel opens /dev/console for init before devtmpfs is mounted.
	t.add(cpio.CharDev("dev/console", 0o600, 5, 1))
	t.add(cpio.CharDev("dev/null", 0o666, 1, 3))
	t.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	t.text("etc/group", "root:x:0:\n")

	if err := t.file("init", initPath, 0o755); err != nil {
		return err
	}
	t.symlink("usr/sbin/modprobe", "../../init")
	for _, driver := range slices.Sorted(maps.Keys(s.Modules)) {
		files := slices.Sorted(slices.Values(s.Modules[driver]))
		for _, file := range files {
			name := path.Join("usr", moduleDir(driver), filepath.Base(file))
			if err := t.file(name, file, 0o644); err != nil {
				return fmt.Errorf("modules of driver %s: %w", driver, err)
			}
		}
	}
	if s.Userland != "" {
		if err := t.addUserland(s.Userland); err != nil {
			return err
		}
	}
	if err := t.addURoot(uroot); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		info, err := os.Stat(s.Files[name])
		if err != nil {
			return err
		}
		if err := t.file(name, s.Files[name], info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// writeAtomically makes a file appear complete or not at all.
func writeAtomically(name string, data []byte, perm fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// tree collects the records of the archive by path.
type tree struct {
	records map[string]cpio.Record
}

func newTree() *tree { return &tree{records: map[string]cpio.Record{}} }

// clean is the form in which paths stand in the archive.
func clean(name string) string { return path.Clean("/" + name)[1:] }

// add puts a record into the tree with all its parent folders; one that is
// there already stays.
func (t *tree) add(r cpio.Record) {
	r.Name = clean(r.Name)
	if _, ok := t.records[r.Name]; ok {
		return
	}
	if parent := path.Dir(r.Name); parent != "." {
		t.dir(parent)
	}
	t.records[r.Name] = r
}

func (t *tree) has(name string) bool {
	_, ok := t.records[clean(name)]
	return ok
}

func (t *tree) dir(name string)           { t.add(cpio.Directory(name, 0o755)) }
func (t *tree) symlink(name, to string)   { t.add(cpio.Symlink(name, to)) }
func (t *tree) text(name, content string) { t.add(cpio.StaticFile(name, content, 0o644)) }

func (t *tree) file(name, from string, perm fs.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	t.add(cpio.StaticFile(name, string(data), uint64(perm)))
	return nil
}

// archive writes the tree as a cpio archive. It is not compressed: a guest
// under emulation spends longer unpacking than QEMU does reading.
func (t *tree) archive() ([]byte, error) {
	var records []cpio.Record
	for _, name := range slices.Sorted(maps.Keys(t.records)) {
		records = append(records, t.records[name]) // a folder sorts before what is in it
	}
	cpio.MakeAllReproducible(records)
	var out bytes.Buffer
	w := cpio.Newc.Writer(&out)
	if err := cpio.WriteRecords(w, records); err != nil {
		return nil, err
	}
	if err := cpio.WriteTrailer(w); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
