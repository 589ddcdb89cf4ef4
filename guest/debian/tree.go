package debian

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Tree is a set of packages unpacked into one folder.
type Tree struct {
	Root     string
	Arch     string            // Debian's name: "amd64", "arm64"
	Packages map[string]string // version by package
}

// Path is the place of a file of the tree on the host.
func (t *Tree) Path(name string) string { return filepath.Join(t.Root, filepath.FromSlash(name)) }

// triplets are the names of the library folders, by Debian architecture.
var triplets = map[string]string{
	"amd64":   "x86_64-linux-gnu",
	"arm64":   "aarch64-linux-gnu",
	"armhf":   "arm-linux-gnueabihf",
	"i386":    "i386-linux-gnu",
	"ppc64el": "powerpc64le-linux-gnu",
	"riscv64": "riscv64-linux-gnu",
	"s390x":   "s390x-linux-gnu",
}

// Argv returns the words that run a program of the tree on this machine: the
// tree's own dynamic loader, told where the tree's libraries are, and the
// program. The machine's libraries are not used.
func (t *Tree) Argv(program string) ([]string, error) {
	path := t.Path(program)
	interp, err := interpreter(path)
	if err != nil {
		return nil, fmt.Errorf("cannot run %s of %s: %w", program, t.Root, err)
	}
	if interp == "" {
		return []string{path}, nil // linked statically
	}
	loader, err := t.find(interp)
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: the tree %s has no %s", program, t.Root, interp)
	}
	return []string{loader, "--library-path", strings.Join(t.LibraryDirs(), ":"), path}, nil
}

// LibraryDirs are the tree's folders with shared libraries, on the host.
func (t *Tree) LibraryDirs() []string {
	triplet := triplets[t.Arch]
	var dirs []string
	add := func(dir string) {
		if found, _ := filepath.Glob(filepath.Join(dir, "lib*.so*")); len(found) > 0 {
			dirs = append(dirs, dir)
		}
	}
	for _, prefix := range []string{"lib", "usr/lib"} {
		base := t.Path(prefix + "/" + triplet)
		add(base)
		// Some packages keep private libraries one level down and find them by
		// an absolute RUNPATH, which would lead out of the tree.
		below, _ := os.ReadDir(base)
		for _, d := range below {
			if d.IsDir() {
				add(filepath.Join(base, d.Name()))
			}
		}
		add(t.Path(prefix))
	}
	return dirs
}

// find finds a file of the tree by the absolute path that programs know it by,
// whether the package put it in /lib or in /usr/lib, and follows links that are
// meant relative to the tree.
func (t *Tree) find(name string) (string, error) {
	const maxLinks = 16
	for range maxLinks {
		name = filepath.Join("/", name)
		file := ""
		for _, prefix := range []string{"", "usr"} {
			if p := filepath.Join(t.Root, prefix, name); lexists(p) {
				file = p
				break
			}
		}
		if file == "" {
			return "", os.ErrNotExist
		}
		to, err := os.Readlink(file)
		if err != nil {
			return file, nil
		}
		if !filepath.IsAbs(to) {
			rel, err := filepath.Rel(t.Root, filepath.Join(filepath.Dir(file), to))
			if err != nil {
				return "", err
			}
			to = rel
		}
		name = to
	}
	return "", errors.New("too many links")
}

func lexists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// interpreter is the dynamic loader that an ELF program asks for.
func interpreter(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		const maxPath = 4096
		b := make([]byte, min(p.Filesz, maxPath))
		if _, err := p.ReadAt(b, 0); err != nil {
			return "", err
		}
		name, _, _ := strings.Cut(string(b), "\x00")
		return name, nil
	}
	return "", nil
}

// Emulator returns the words and the additions to the environment that run the
// tree's qemu-system-aarch64 with its own modules and firmware.
func (t *Tree) Emulator() (argv, env []string, err error) {
	argv, err = t.Argv("usr/bin/qemu-system-aarch64")
	if err != nil {
		return nil, nil, err
	}
	for _, dir := range []string{"usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"} {
		if st, err := os.Stat(t.Path(dir)); err == nil && st.IsDir() {
			argv = append(argv, "-L", t.Path(dir))
		}
	}
	return argv, []string{"QEMU_MODULE_DIR=" + t.Path("usr/lib/"+triplets[t.Arch]+"/qemu")}, nil
}
