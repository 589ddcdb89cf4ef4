package kernel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/guest/debian"
	"github.com/qcemu/qcemu/guest/job"
)

// userTree is a folder given with --linux: a source tree, or a folder that
// another tree was built into with O=.
type userTree struct {
	dir     string
	source  string // the source tree; empty if a build folder's is gone
	version string
	built   bool
}

// inspect finds out what a folder is.
func inspect(dir string) (*userTree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(abs)
	switch {
	case err != nil:
		return nil, inputf("--linux %s: %w", dir, unwrapPath(err))
	case !st.IsDir():
		return nil, inputf("--linux %s is no folder: give a kernel tree", dir)
	}
	t := &userTree{dir: abs, source: abs}
	t.built = exists(filepath.Join(abs, "arch/arm64/boot/Image")) && exists(filepath.Join(abs, ".config"))
	if !exists(filepath.Join(abs, "Kconfig")) {
		t.source = ""
		if src, err := filepath.EvalSymlinks(filepath.Join(abs, "source")); err == nil { // as O= leaves it
			t.source = src
		}
	}
	if t.source != "" {
		if t.version, err = sourceVersion(t.source); err != nil || !exists(filepath.Join(t.source, "arch/arm64/Kconfig")) {
			return nil, inputf("--linux %s is no kernel tree: it has no kernel Makefile with arch/arm64", dir)
		}
		if !exists(filepath.Join(t.source, "drivers/crypto/qce/core.c")) || !exists(filepath.Join(t.source, "drivers/dma/qcom/bam_dma.c")) {
			return nil, inputf("--linux %s (Linux %s) lacks drivers/crypto/qce or drivers/dma/qcom/bam_dma.c", dir, t.version)
		}
		return t, nil
	}
	if !t.built {
		return nil, inputf("--linux %s is neither a kernel tree nor a folder with a built arm64 kernel", dir)
	}
	return t, nil
}

// used reports whether something was configured or built in the source tree;
// make then refuses to build it anywhere else.
func (t *userTree) used() bool {
	for _, name := range []string{".config", "include/config", "arch/arm64/include/generated"} {
		if exists(filepath.Join(t.source, name)) {
			return true
		}
	}
	return false
}

// buildable reports what keeps a tree from being used as the options say.
func (t *userTree) buildable(o Options) error {
	switch {
	case o.Series != "" && t.source != t.dir:
		return inputf("--linux %s is a build folder: with --series give the source tree", t.dir)
	case o.Series != "" || t.built:
		return nil
	case t.source != t.dir:
		return inputf("--linux %s is a build folder without an arm64 Image: run make Image modules there", t.dir)
	case t.used():
		return inputf("--linux %s is configured, but has no arm64 Image: finish it (make ARCH=arm64 CROSS_COMPILE=%s Image modules), or run make mrproper there and it is built in the cache", t.dir, crossCompile)
	}
	return nil
}

// driver tells which of the two drivers the tree's is: with BAM locking, or
// without.
func (t *userTree) driver() string {
	if t.source == "" {
		return job.Stock
	}
	for _, name := range []string{"drivers/dma/qcom/bam_dma.c", "drivers/crypto/qce/dma.c", "include/linux/dma/qcom_bam_dma.h"} {
		data, err := os.ReadFile(filepath.Join(t.source, name))
		if err == nil && lockWords.Match(data) {
			return job.Series
		}
	}
	return job.Stock
}

// fromTree makes the kernel of a user's tree.
func fromTree(ctx context.Context, o Options) (*Build, error) {
	t, err := inspect(o.Tree)
	if err != nil {
		return nil, err
	}
	if err := t.buildable(o); err != nil {
		return nil, err
	}
	var e *entry
	driver := t.driver()
	switch {
	case o.Series != "":
		driver = job.Series
		e, err = t.patched(ctx, o)
	case t.built:
		e, err = t.asBuilt(ctx, o)
	default:
		e, err = t.buildBeside(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	b, err := e.open("the tree")
	if err != nil {
		return nil, err
	}
	config, err := readConfig(b.Config)
	if err != nil {
		return nil, err
	}
	notes, err := config.checkUser(t.dir)
	if err != nil {
		return nil, err
	}
	b.Notes = append(b.Notes, notes...)
	b.ModuleDirs[driver] = filepath.Join(e.dir, outDir, modulesDir)
	if driver == job.Stock {
		b.lacking[job.Series] = "its drivers have no BAM locking; give the patches with --series, or use --driver " + job.Stock
	} else {
		b.lacking[job.Stock] = "its drivers have the series applied; use --driver " + job.Series
	}
	return b, nil
}

// asBuilt takes Image and modules from a built tree.
func (t *userTree) asBuilt(ctx context.Context, o Options) (*entry, error) {
	config, err := readConfig(filepath.Join(t.dir, ".config"))
	if err != nil {
		return nil, err
	}
	// Before anything is looked for that another configuration does not make.
	if _, err := config.checkUser(t.dir); err != nil {
		return nil, err
	}
	return t.keep(ctx, o, t.dir)
}

// keep copies the results of a build folder to the cache, so that a build in
// the tree does not change them under a running guest.
func (t *userTree) keep(ctx context.Context, o Options, from string) (*entry, error) {
	// The modules are those of this Image if the build went through.
	sum, err := hashFiles(from, "arch/arm64/boot/Image", ".config", "modules.order")
	if err != nil {
		return nil, err
	}
	modules, err := hashModules(from)
	if err != nil {
		return nil, err
	}
	key := cache.Key("tree-"+filepath.Base(t.dir), t.dir, sum, modules, recipe)
	dir, err := o.Cache.Get(ctx, cache.Recipe{
		Kind: kindKernel, Key: key, What: "the kernel of " + t.dir, Space: 100 << 20,
		Make: func(_ context.Context, dir string) error {
			return collect(from, dir, true, info{Source: t.dir})
		},
	})
	if err != nil {
		return nil, err
	}
	return openEntry(dir, key)
}

// buildBeside builds a clean tree in the cache, where the objects stay for the
// next time.
func (t *userTree) buildBeside(ctx context.Context, o Options) (*entry, error) {
	if err := debian.Need(ctx, o.Progress, HostTools()); err != nil {
		return nil, err
	}
	if err := o.Cache.CheckSpace(objectSpace, "building "+t.dir); err != nil {
		return nil, err
	}
	key := cache.Key("tree-"+filepath.Base(t.dir), t.dir, toolchain(ctx), recipe)
	work, done, err := o.Cache.Work(ctx, kindWork, key)
	if err != nil {
		return nil, err
	}
	defer done()
	b := builder{src: t.dir, out: work, log: o.logFile(key), jobs: o.Jobs, lenient: true}
	var total int64
	if !exists(filepath.Join(work, "vmlinux")) {
		total = expected[defaultLinux]
	}
	if _, err := b.all(ctx, o, "Linux "+t.version+" of "+t.dir, total); err != nil {
		return nil, err
	}
	return t.keep(ctx, o, work)
}

// patched builds a copy of the tree with the user's series.
func (t *userTree) patched(ctx context.Context, o Options) (*entry, error) {
	series, err := readPatches(o.Series)
	if err != nil {
		return nil, err
	}
	files, err := t.files(ctx)
	if err != nil {
		return nil, err
	}
	if err := debian.Need(ctx, o.Progress, HostTools()); err != nil {
		return nil, err
	}
	// Times and sizes stand for the contents of 90,000 files, as for make.
	h := sha256.New()
	need := int64(objectSpace)
	for _, f := range files {
		fmt.Fprintf(h, "%s %d %d\n", f.name, f.size, f.time)
		need += f.size
	}
	inputs := []string{t.dir, hex.EncodeToString(h.Sum(nil)), fragment(guestConfig, t.version), toolchain(ctx), recipe}
	for _, p := range series {
		inputs = append(inputs, string(p.Diff))
	}
	key := cache.Key("tree-"+filepath.Base(t.dir)+"-series", inputs...)
	what := "Linux " + t.version + " of " + t.dir
	dir, err := o.Cache.Get(ctx, cache.Recipe{
		Kind: kindKernel, Key: key, What: what + " with the patch series", Space: need,
		Make: func(ctx context.Context, dir string) error {
			tree := filepath.Join(dir, treeDir)
			if err := t.copyFiles(ctx, o, files, tree); err != nil {
				return err
			}
			notes, err := apply(ctx, tree, what, series)
			if err != nil {
				return err
			}
			b := builder{src: tree, log: o.logFile(key), jobs: o.Jobs, lenient: true}
			steps, err := b.all(ctx, o, what+" with the patch series", expected[defaultLinux])
			if err != nil {
				return err
			}
			if err := collect(tree, dir, true, info{Source: t.dir + " with " + o.Series, Steps: steps, Notes: notes}); err != nil {
				return err
			}
			return os.RemoveAll(tree)
		},
	})
	if err != nil {
		return nil, err
	}
	return openEntry(dir, key)
}

// sourceFile is a file of a tree.
type sourceFile struct {
	name string
	size int64
	time int64
}

// objects are the endings of what a build leaves in a tree.
var objects = []string{".o", ".ko", ".a", ".cmd", ".mod", ".d", ".dtb", ".dtbo", ".order", ".symvers"}

// files lists the source files of a tree: what git tracks, with changes that
// are not committed, else everything but a build's results.
func (t *userTree) files(ctx context.Context) ([]sourceFile, error) {
	var list []sourceFile
	add := func(name string) {
		if st, err := os.Lstat(filepath.Join(t.dir, name)); err == nil && !st.IsDir() {
			list = append(list, sourceFile{name, st.Size(), st.ModTime().UnixNano()})
		}
	}
	if exists(filepath.Join(t.dir, ".git")) {
		cmd := exec.CommandContext(ctx, "git", "-C", t.dir, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
		out, err := cmd.Output()
		if err == nil {
			for name := range bytes.SplitSeq(out, []byte{0}) {
				if len(name) > 0 {
					add(string(name))
				}
			}
			return list, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	err := filepath.WalkDir(t.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(t.dir, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (name == ".git" || name == "include/config" || name == "include/generated" || strings.HasSuffix(name, "/include/generated")):
			return fs.SkipDir
		case d.IsDir(), name == ".config", name == "vmlinux", slices.Contains(objects, filepath.Ext(name)):
		default:
			add(name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.dir, err)
	}
	return list, nil
}

// copyFiles copies source files to a new folder.
func (t *userTree) copyFiles(ctx context.Context, o Options, files []sourceFile, to string) (err error) {
	step := o.Progress.Begin("Copying %s", t.dir)
	defer func() { step.End(err) }()
	for i, f := range files {
		if i%256 == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			step.Update(int64(i), int64(len(files)), "files")
		}
		from, into := filepath.Join(t.dir, f.name), filepath.Join(to, f.name)
		if err := os.MkdirAll(filepath.Dir(into), 0o755); err != nil {
			return err
		}
		st, err := os.Lstat(from)
		if err != nil {
			return err
		}
		if st.Mode()&fs.ModeSymlink != 0 {
			link, err := os.Readlink(from)
			if err == nil {
				err = os.Symlink(link, into)
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := copyFile(from, into); err != nil {
			return err
		}
		if st.Mode()&0o111 != 0 {
			if err := os.Chmod(into, 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashFiles hashes files of a folder.
func hashFiles(dir string, names ...string) (string, error) {
	h := sha256.New()
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) && name == "modules.order" {
			return "", inputf("the kernel in %s has no modules.order: run make modules there", dir)
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashModules hashes the drivers under test; other modules are taken to belong
// to the Image.
func hashModules(dir string) (string, error) {
	files, err := findModules(dir)
	if err != nil {
		return "", err
	}
	h := ""
	for _, name := range carried {
		if file := files[name]; file != "" && exists(file) {
			sum, err := hashFiles(filepath.Dir(file), filepath.Base(file))
			if err != nil {
				return "", err
			}
			h += sum
		}
	}
	return h, nil
}

// lockWords are the flags of locking descriptors as a driver's source names
// them.
var lockWords = regexp.MustCompile(`(?i)\b(desc_flag_(un)?lock|dma_prep_(un)?lock|bam_(un)?lock\w*|pipe_lock_supported)\b`)
