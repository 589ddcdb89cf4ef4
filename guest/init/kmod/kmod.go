// Package kmod loads and removes kernel modules from a flat directory, in the
// order in which they depend on each other, as far as a guest without depmod
// needs it.
package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotFound says that a module is neither loaded, nor built in, nor in the
// directory.
var ErrNotFound = errors.New("no such module")

// Dir is a directory of *.ko files.
type Dir struct {
	path    string
	sys     string // /sys/module
	modules map[string]info
}

// info is what a module says of itself.
type info struct {
	file    string
	name    string   // with underscores, as in /proc/modules
	depends []string // names
}

// Open reads the module information of all files in a directory.
func Open(dir string) (*Dir, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		if _, err := os.Stat(dir); err != nil {
			return nil, err
		}
	}
	d := &Dir{path: dir, sys: "/sys/module", modules: map[string]info{}}
	for _, file := range files {
		m, err := readInfo(file)
		if err != nil {
			return nil, err
		}
		d.modules[m.name] = m
	}
	return d, nil
}

// canonical is the kernel's spelling of a module name.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// readInfo reads the .modinfo section of a module.
func readInfo(file string) (info, error) {
	f, err := elf.Open(file)
	if err != nil {
		return info{}, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return info{}, fmt.Errorf("%s: no .modinfo section: not a kernel module", file)
	}
	data, err := section.Data()
	if err != nil {
		return info{}, fmt.Errorf("%s: %w", file, err)
	}
	m := info{file: file, name: canonical(strings.TrimSuffix(filepath.Base(file), ".ko"))}
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		key, value, _ := strings.Cut(string(entry), "=")
		switch key {
		case "name":
			m.name = canonical(value)
		case "depends":
			for dep := range strings.SplitSeq(value, ",") {
				if dep != "" {
					m.depends = append(m.depends, canonical(dep))
				}
			}
		}
	}
	return m, nil
}

// loaded says whether the kernel has the module, or the code built in. A
// built-in one shows in /sys only if it has parameters or a version.
func (d *Dir) loaded(name string) bool {
	_, err := os.Stat(filepath.Join(d.sys, canonical(name)))
	return err == nil
}

// order lists what has to be loaded for a module, the module last.
func (d *Dir) order(name string) ([]info, error) {
	var list []info
	state := map[string]bool{} // false: being visited, true: done
	var visit func(name, by string) error
	visit = func(name, by string) error {
		if done, seen := state[name]; seen {
			if !done {
				return fmt.Errorf("module %s depends on itself", name)
			}
			return nil
		}
		state[name] = false
		if !d.loaded(name) {
			m, ok := d.modules[name]
			if !ok {
				if by != "" {
					by = " (needed by " + by + ")"
				}
				return fmt.Errorf("%w: %s%s is not in %s", ErrNotFound, name, by, d.path)
			}
			for _, dep := range m.depends {
				if err := visit(dep, name); err != nil {
					return err
				}
			}
			list = append(list, m)
		}
		state[name] = true
		return nil
	}
	if err := visit(canonical(name), ""); err != nil {
		return nil, err
	}
	return list, nil
}

// Load loads a module with its dependencies. params go to the module itself.
// One that is there already is no error.
func (d *Dir) Load(name string, params ...string) error {
	list, err := d.order(name)
	if err != nil {
		return err
	}
	for i, m := range list {
		var args string
		if i == len(list)-1 {
			args = strings.Join(params, " ")
		}
		if err := load(m.file, args); err != nil {
			return fmt.Errorf("loading module %s: %w", m.name, err)
		}
	}
	return nil
}

func load(file, args string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), args, 0)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Unload removes a module. One that is not loaded is no error.
func (d *Dir) Unload(name string) error {
	err := unix.DeleteModule(canonical(name), unix.O_NONBLOCK)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing module %s: %w", canonical(name), err)
	}
	return nil
}
