package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/guest/debian"
)

// recipe changes when a kernel built earlier must not be used any more although
// source, configuration and compiler are the same.
const recipe = "1"

// space is the disk that a source tree with its objects takes.
const space = 1200 << 20

// objectSpace is the disk that the objects alone take.
const objectSpace = 600 << 20

// expected are the steps of a build, for the first one's progress.
var expected = map[string]int64{"6.12": 1519, "7.2": 1623, "7.3": 1640}

// pruned is what is not unpacked of a source archive: two thirds of it, which
// no guest needs. Kconfig files and makefiles stay everywhere. A series that
// touches some of it has that unpacked after all.
var pruned = []string{
	"*/Documentation/*.rst", "*/Documentation/*.svg", "*/Documentation/*.txt",
	"*/drivers/gpu/drm/*.[ch]", "*/drivers/media/*.[ch]", "*/drivers/staging/*.[ch]",
	"*/drivers/net/ethernet/*.[ch]", "*/drivers/net/wireless/*.[ch]",
	"*/drivers/scsi/*.[ch]", "*/drivers/infiniband/*.[ch]",
	"*/sound/*.[ch]", "*/fs/xfs/*.[ch]", "*/fs/btrfs/*.[ch]",
	"*/tools/testing/*", "*/tools/perf/*",
}

// prunedArches are the architectures whose code is left out. arm stays: arm64
// builds some of its files.
var prunedArches = []string{
	"alpha", "arc", "csky", "hexagon", "loongarch", "m68k", "microblaze", "mips", "nios2",
	"openrisc", "parisc", "powerpc", "riscv", "s390", "sh", "sparc", "um", "xtensa",
}

// lastBuild is the note of the kernel last built for a request.
type lastBuild struct {
	Entry string `json:"entry"`
}

// debianKernel builds the kernel of a Debian source package.
func debianKernel(ctx context.Context, o Options) (*entry, error) {
	chain := toolchain(ctx)
	config := fragment(guestConfig, o.Linux)
	request := cache.Key("linux-"+o.Linux, config, chain, recipe)
	anyChain := cache.Key("linux-"+o.Linux, config, recipe) // without a compiler, what there is will do
	if chain == "" {
		request = anyChain
	}
	if !o.Debian.Refresh {
		var last lastBuild
		if b, ok := o.Cache.Note(kindKernel, request); ok && json.Unmarshal(b, &last) == nil {
			if dir, ok := o.Cache.Lookup(kindKernel, last.Entry); ok {
				return openEntry(dir, last.Entry)
			}
		}
	}
	if err := debian.Need(ctx, o.Progress, HostTools()); err != nil {
		return nil, err
	}
	if chain == "" {
		chain = toolchain(ctx)
		request = cache.Key("linux-"+o.Linux, config, chain, recipe)
	}
	src, err := o.Debian.Source(ctx, o.Linux)
	if err != nil {
		return nil, err
	}
	key := cache.Key("linux-"+src.Version, config, chain, recipe)
	dir, err := o.Cache.Get(ctx, cache.Recipe{
		Kind: kindKernel, Key: key, What: "Linux " + src.Version + " for arm64", Space: space,
		Make: func(ctx context.Context, dir string) error {
			tree := filepath.Join(dir, treeDir)
			if err := unpackSource(ctx, o, src.Tarball, tree); err != nil {
				return err
			}
			b := builder{src: tree, log: o.logFile(key), jobs: o.Jobs}
			steps, err := b.all(ctx, o, "Linux "+src.Version, expected[o.Linux])
			if err != nil {
				return err
			}
			return collect(tree, dir, true, info{Source: src.Version, Steps: steps})
		},
	})
	if err != nil {
		return nil, err
	}
	note, err := json.Marshal(lastBuild{key})
	if err != nil {
		return nil, err
	}
	for _, k := range []string{request, anyChain} {
		if err := o.Cache.WriteNote(kindKernel, k, note); err != nil {
			return nil, err
		}
	}
	return openEntry(dir, key)
}

// logFile is where make's output goes; it outlives a build that fails.
func (o Options) logFile(key string) string {
	dir := filepath.Join(o.Cache.Root(), "log")
	os.MkdirAll(dir, 0o755) // if this fails, opening the file says so
	file := filepath.Join(dir, key+".log")
	os.Remove(file)
	return file
}

// all configures and builds a kernel with its modules. total is the number of
// steps to expect.
func (b *builder) all(ctx context.Context, o Options, what string, total int64) (steps int64, err error) {
	step := o.Progress.Begin("Building %s for arm64", what)
	defer func() { step.End(err) }()
	if err = b.configure(ctx); err != nil {
		return 0, err
	}
	return b.make(ctx, step, total, "Image", "modules")
}

// unpackSource unpacks a source archive, without what nobody needs, into dir.
func unpackSource(ctx context.Context, o Options, tarball, dir string) (err error) {
	step := o.Progress.Begin("Unpacking %s", filepath.Base(tarball))
	defer func() { step.End(err) }()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := []string{"--anchored", "--wildcards-match-slash"}
	for _, p := range pruned {
		args = append(args, "--exclude="+p)
	}
	for _, a := range prunedArches {
		args = append(args, "--exclude=*/arch/"+a+"/*.[chS]", "--exclude=*/arch/"+a+"/*.dts*")
	}
	return untar(ctx, tarball, dir, args...)
}

// unpackFiles unpacks files that were left out before.
func unpackFiles(ctx context.Context, tarball, dir string, files []string) error {
	args := []string{"--wildcards", "--no-wildcards-match-slash"}
	for _, f := range files {
		args = append(args, "*/"+f)
	}
	return untar(ctx, tarball, dir, args...)
}

func untar(ctx context.Context, tarball, dir string, args ...string) error {
	args = append([]string{"-x", "-J", "-f", tarball, "-C", dir, "--strip-components=1", "--no-same-owner"}, args...)
	cmd := exec.CommandContext(ctx, "tar", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TAR_OPTIONS=", "XZ_DEFAULTS=", "XZ_OPT=-T0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		first, _, _ := strings.Cut(errs.String(), "\n")
		return fmt.Errorf("unpacking %s: %w: %s", filepath.Base(tarball), err, first)
	}
	return nil
}

// driverPaths are the parts of the tree that belong to the two drivers alone:
// a series that stays within them leaves the Image as it is.
var driverPaths = []string{
	"drivers/dma/qcom/", "drivers/crypto/qce/", "include/linux/dma/qcom_bam_dma.h",
	"Documentation/", "MAINTAINERS", "arch/arm64/boot/dts/",
}

// driversOnly reports whether files belong to the drivers alone.
func driversOnly(files []string) bool {
	return !slices.ContainsFunc(files, func(f string) bool {
		return !slices.ContainsFunc(driverPaths, func(p string) bool { return strings.HasPrefix(f, p) })
	})
}

// patchedKernel builds the modules of a kernel once more with a series applied,
// and the Image if the series reaches that far.
func patchedKernel(ctx context.Context, o Options, stock *entry, series patchList) (*entry, error) {
	inputs := []string{stock.key, recipe}
	for _, p := range series {
		inputs = append(inputs, string(p.Diff))
	}
	key := cache.Key("linux-"+stock.Source+"-series", inputs...)
	what := "Linux " + stock.Source
	image := !driversOnly(series.touched())
	dir, err := o.Cache.Get(ctx, cache.Recipe{
		Kind: kindKernel, Key: key, What: what + " with the patch series", Space: space,
		Make: func(ctx context.Context, dir string) (err error) {
			if err := debian.Need(ctx, o.Progress, HostTools()); err != nil {
				return err
			}
			step := o.Progress.Begin("Building %s with the patch series", what)
			defer func() { step.End(err) }()
			from, tree := filepath.Join(stock.dir, treeDir), filepath.Join(dir, treeDir)
			// The patches see nothing but the files they touch: whether they
			// apply is known before the whole tree is copied.
			changed := filepath.Join(dir, "changed")
			if err := pickFiles(ctx, o, from, changed, series.touched()); err != nil {
				return err
			}
			notes, err := apply(ctx, changed, what, series)
			if err != nil {
				return err
			}
			if err := cloneTree(ctx, from, tree); err != nil {
				return err
			}
			if err := overlay(changed, tree, series.touched()); err != nil {
				return err
			}
			b := builder{src: tree, log: o.logFile(key), jobs: o.Jobs}
			targets := []string{"modules"}
			if image {
				targets = append(targets, "Image")
			}
			steps, err := b.make(ctx, step, 0, targets...)
			if err != nil {
				return err
			}
			if err := collect(tree, dir, image, info{Source: stock.Source, Steps: steps, Notes: notes}); err != nil {
				return err
			}
			return errors.Join(os.RemoveAll(tree), os.RemoveAll(changed))
		},
	})
	if err != nil {
		return nil, err
	}
	return openEntry(dir, key)
}

// pickFiles copies single files of the tree to a new folder, out of the source
// archive if the tree was left without them. A file that is in neither is one
// that the series adds, or patch says what is wrong.
func pickFiles(ctx context.Context, o Options, tree, to string, files []string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	var gone []string
	for _, name := range files {
		from := filepath.Join(tree, name)
		if !exists(from) {
			gone = append(gone, name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		if err := copyFile(from, filepath.Join(to, name)); err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	src, err := o.Debian.Source(ctx, o.Linux)
	if err != nil {
		return err
	}
	if err := unpackFiles(ctx, src.Tarball, to, gone); ctx.Err() != nil {
		return err
	}
	return nil
}
