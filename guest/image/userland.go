package image

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// program is something of the Debian tree that the guest needs.
type program struct {
	pattern  string // below the tree's root; a glob
	of       string // Debian package, for the error message
	optional bool
}

// programs are what the suites and the shell run.
var programs = []program{
	{pattern: "usr/sbin/cryptsetup", of: "cryptsetup-bin"},
	{pattern: "usr/bin/kcapi*", of: "kcapi-tools"},
	{pattern: "usr/sbin/mke2fs", of: "e2fsprogs"},
	{pattern: "usr/sbin/mkfs.ext4", of: "e2fsprogs"},
	{pattern: "usr/sbin/e2fsck", of: "e2fsprogs"},
	{pattern: "usr/sbin/fsck.ext4", of: "e2fsprogs"},
	{pattern: "etc/mke2fs.conf", of: "e2fsprogs", optional: true},
	// Loaded by name at run time, so no ELF header tells of them.
	{pattern: "usr/lib/*/libgcc_s.so.1", of: "libgcc-s1"},                                        // pthread_cancel
	{pattern: "usr/lib/*/ossl-modules/legacy.so", of: "openssl-provider-legacy", optional: true}, // cryptsetup's hashes
}

// addUserland takes the programs with all libraries they are linked to.
func (t *tree) addUserland(root string) error {
	u := userland{root: root, tree: t}
	for _, p := range programs {
		found, err := u.glob(p.pattern)
		if err != nil {
			return err
		}
		if len(found) == 0 && !p.optional {
			return fmt.Errorf("no %s in %s: unpack Debian's arm64 package %s there", p.pattern, root, p.of)
		}
		for _, name := range found {
			if err := u.add(name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// userland copies files out of a Debian tree. The tree may have /bin, /sbin and
// /lib as links into /usr, as folders of their own, or not at all, depending on
// which packages it was unpacked from: names here are those below /usr.
type userland struct {
	root string
	tree *tree
}

// merged are the folders that Debian has moved into /usr.
var merged = []string{"bin/", "sbin/", "lib/"}

// canonical is the name of a file in a tree with one /usr.
func canonical(name string) string {
	name = clean(name)
	for _, dir := range merged {
		if strings.HasPrefix(name, dir) {
			return "usr/" + name
		}
	}
	return name
}

// places are the names under which a file can lie in the tree.
func places(name string) []string {
	name = canonical(name)
	if rest, ok := strings.CutPrefix(name, "usr/"); ok {
		for _, dir := range merged {
			if strings.HasPrefix(rest, dir) {
				return []string{name, rest}
			}
		}
	}
	return []string{name}
}

func (u *userland) glob(pattern string) ([]string, error) {
	var names []string
	for _, p := range places(pattern) {
		found, err := filepath.Glob(filepath.Join(u.root, filepath.FromSlash(p)))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			rel, err := filepath.Rel(u.root, f)
			if err != nil {
				return nil, err
			}
			names = append(names, canonical(filepath.ToSlash(rel)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// stat finds a file in the tree without following a link.
func (u *userland) stat(name string) (string, fs.FileInfo, error) {
	for _, p := range places(name) {
		file := filepath.Join(u.root, filepath.FromSlash(p))
		if info, err := os.Lstat(file); err == nil {
			return file, info, nil
		}
	}
	return "", nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// add copies a file; with a link what it points to, with a program or a library
// what it is linked to.
func (u *userland) add(name string) error {
	name = canonical(name)
	if u.tree.has(name) {
		return nil
	}
	file, info, err := u.stat(name)
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		to, err := os.Readlink(file)
		if err != nil {
			return err
		}
		u.tree.symlink(name, to)
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(name), to)
		}
		return u.add(to)
	case !mode.IsRegular():
		return nil
	}
	if err := u.tree.file(name, file, info.Mode().Perm()); err != nil {
		return err
	}
	return u.addLinked(file)
}

// addLinked adds the loader and the libraries that an ELF file names.
func (u *userland) addLinked(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return nil // a script or a configuration file
	}
	defer f.Close()
	if f.Machine != elf.EM_AARCH64 {
		return fmt.Errorf("is for %v: the tree must be of Debian's arm64 packages", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader := make([]byte, p.Filesz)
		if _, err := p.ReadAt(loader, 0); err != nil {
			return err
		}
		if err := u.add(strings.TrimRight(string(loader), "\x00")); err != nil {
			return err
		}
	}
	libs, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, lib := range libs {
		if err := u.addLibrary(lib); err != nil {
			return err
		}
	}
	return nil
}

// libraryDirs is where Debian's loader looks.
var libraryDirs = []string{"usr/lib/aarch64-linux-gnu", "usr/lib"}

func (u *userland) addLibrary(name string) error {
	for _, dir := range libraryDirs {
		at := path.Join(dir, name)
		if _, _, err := u.stat(at); err == nil {
			return u.add(at)
		}
	}
	return fmt.Errorf("needs %s, which is not in %s", name, u.root)
}
