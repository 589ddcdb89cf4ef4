package kernel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The two drivers under test, as modules.
const (
	moduleBAM = "bam_dma"
	moduleQCE = "qcrypto"
)

// carried are the modules that the guest may ask for. A kernel that has some of
// them built in, or not at all, is fine; of those it has as modules the files
// are brought along, with what they depend on. A user's kernel may have
// hundreds of others.
var carried = []string{
	moduleBAM, moduleQCE, "tcrypt", "virtio_crypto",
	// The machine and the shared folder.
	"virtio_mmio", "virtio_console", "virtio_blk", "virtio_rng", "9pnet_fd", "9p",
	// Disks and what is on them.
	"dm_mod", "dm_crypt", "dm_integrity", "ext4", "loop", "brd",
	// Ways to the engine.
	"algif_hash", "algif_skcipher", "algif_aead", "algif_rng", "af_alg", "crypto_user",
	"cbc", "ctr", "ecb", "xts", "cts", "ccm", "gcm", "cmac", "hmac", "authenc", "essiv",
	"des_generic", "sha1_generic", "sha256_generic", "sha512_generic",
	"uio", "uio_pdrv_genirq",
}

// findModules lists a build folder's modules by canonical name.
func findModules(dir string) (map[string]string, error) {
	order, err := os.ReadFile(filepath.Join(dir, "modules.order"))
	if err != nil {
		return nil, inputf("the kernel in %s has no modules.order: run make modules there", dir)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(order)) {
		// Lines are paths to .ko files up to 6.2, to .o files since.
		name := strings.TrimSuffix(strings.TrimSpace(line), filepath.Ext(strings.TrimSpace(line))) + ".ko"
		if name == ".ko" || !filepath.IsLocal(name) {
			continue
		}
		files[canonical(strings.TrimSuffix(filepath.Base(name), ".ko"))] = filepath.Join(dir, name)
	}
	return files, nil
}

// builtIn lists the modules that a kernel has built in.
func builtIn(dir string) map[string]bool {
	list := map[string]bool{}
	data, _ := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	for line := range strings.Lines(string(data)) {
		list[canonical(strings.TrimSuffix(filepath.Base(strings.TrimSpace(line)), ".ko"))] = true
	}
	return list
}

// collectModules copies the carried modules of a build folder, with their
// dependencies, to one flat folder.
func collectModules(from, to string) error {
	files, err := findModules(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	copied := map[string]bool{}
	var bring func(name, by string) error
	bring = func(name, by string) error {
		if copied[name] {
			return nil
		}
		copied[name] = true
		file, ok := files[name]
		if !ok {
			if by == "" {
				return nil // built in, or not there: for the config check to say
			}
			return inputf("the module %s needs %s, which the kernel in %s does not have", by, name, from)
		}
		info, err := readModule(file)
		if errors.Is(err, os.ErrNotExist) {
			return inputf("the kernel in %s is not fully built, %s is missing: run make modules there", from, file)
		}
		if err != nil {
			return err
		}
		for _, dep := range info.Depends {
			if err := bring(dep, name); err != nil {
				return err
			}
		}
		return copyFile(file, filepath.Join(to, name+".ko"))
	}
	for _, name := range carried {
		if err := bring(name, ""); err != nil {
			return err
		}
	}
	if file := filepath.Join(from, "modules.builtin"); exists(file) {
		return copyFile(file, filepath.Join(to, "modules.builtin"))
	}
	return nil
}

// loadOrder lists the files of a module folder to load for the named modules,
// each after what it depends on. Modules that the kernel has built in are left
// out. Without names it is everything in the folder.
func loadOrder(dir string, names ...string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil {
		return nil, err
	}
	known := map[string]moduleInfo{}
	for _, file := range files {
		info, err := readModule(file)
		if err != nil {
			return nil, err
		}
		known[info.Name] = info
	}
	if len(names) == 0 {
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	builtin := builtIn(dir)
	var order []string
	seen := map[string]bool{}
	var visit func(name, by string) error
	visit = func(name, by string) error {
		name = canonical(name)
		if seen[name] || builtin[name] {
			return nil
		}
		seen[name] = true
		info, ok := known[name]
		switch {
		case !ok && by != "":
			return fmt.Errorf("module %s, which %s needs, is not in %s", name, by, dir)
		case !ok:
			return fmt.Errorf("module %s is not in %s", name, dir)
		}
		for _, dep := range info.Depends {
			if err := visit(dep, name); err != nil {
				return err
			}
		}
		order = append(order, info.File)
		return nil
	}
	for _, name := range names {
		if err := visit(name, ""); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// canonical is the kernel's spelling of a module name.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
