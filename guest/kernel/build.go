package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/guest/debian"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/progress"
)

// defaultLinux is the version that is built when the user names none: a
// long-term one, with every algorithm still in the driver.
const defaultLinux = "6.12"

// Options say which kernel.
type Options struct {
	Cache    *cache.Cache
	Progress *progress.Printer
	Debian   *debian.Client

	Linux  string // version of Debian's source; empty: defaultLinux
	Tree   string // the user's kernel tree instead of it
	Series string // the user's patches, in place of the project's own
	Jobs   int    // compilers at a time; 0: one more than there are CPUs
}

// Build is a kernel for the guest. Its files lie in the cache and are not to be
// changed.
type Build struct {
	Version   string // as uname -r says
	Source    string // where it comes from, for reports
	Image     string
	Config    string // the .config
	SystemMap string
	// ModuleDirs are folders of .ko files by driver (job.Stock, job.Series);
	// a driver that the kernel does not have is left out.
	ModuleDirs map[string]string
	// Notes say what about a user's kernel costs a suite, or is doubtful about
	// the series.
	Notes []string

	lacking map[string]string // why a driver is left out
}

// Drivers lists the drivers the kernel has.
func (b *Build) Drivers() []string { return slices.Sorted(maps.Keys(b.ModuleDirs)) }

// Modules returns the module files of a driver, each after those it depends on.
func (b *Build) Modules(driver string) ([]string, error) {
	dir, ok := b.ModuleDirs[driver]
	if !ok {
		why := b.lacking[driver]
		if why == "" {
			why = "it has " + strings.Join(b.Drivers(), ", ")
		}
		return nil, fmt.Errorf("%s has no driver %q: %s", b.Source, driver, why)
	}
	return loadOrder(dir)
}

// Prepare makes the kernel that the options ask for, or finds it in the cache.
func Prepare(ctx context.Context, o Options) (*Build, error) {
	if o.Tree != "" && o.Linux != "" {
		return nil, errors.New("a kernel tree and a version of Debian's source are given: one of them only")
	}
	make := fromDebian
	if o.Tree != "" {
		make = fromTree
	}
	b, err := make(ctx, o)
	return b, misfit(err)
}

// fromDebian makes the kernel of Debian's source with both drivers, or finds it in
// the cache.
func fromDebian(ctx context.Context, o Options) (*Build, error) {
	if o.Linux == "" {
		o.Linux = defaultLinux
	}
	series, err := o.series(o.Linux)
	if err != nil {
		return nil, err
	}
	stock, err := debianKernel(ctx, o)
	if err != nil {
		return nil, err
	}
	b, err := stock.open("Debian's linux-source-" + o.Linux)
	if err != nil {
		return nil, err
	}
	b.ModuleDirs[job.Stock] = filepath.Join(stock.dir, outDir, modulesDir)
	if len(series) == 0 {
		b.lacking[job.Series] = "no patch series for Linux " + o.Linux + " is at hand; give one with --series"
		return b, nil
	}
	patched, err := patchedKernel(ctx, o, stock, series)
	var misfit *patchError
	if errors.As(err, &misfit) && o.Series == "" {
		// The project's series is made for some versions only; the stock driver
		// is there for the others.
		b.lacking[job.Series] = misfit.Error()
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	if exists(filepath.Join(patched.dir, outDir, imageFile)) {
		// The series reaches beyond the drivers: it needs its own Image, and the
		// stock modules do not belong to that.
		own, err := patched.open("Debian's linux-source-" + o.Linux)
		if err != nil {
			return nil, err
		}
		own.Source += " with " + o.Series
		own.lacking[job.Stock] = "the series changes more than the two drivers, so this kernel is for it alone; leave --series out"
		b = own
	}
	b.ModuleDirs[job.Series] = filepath.Join(patched.dir, outDir, modulesDir)
	b.Notes = patched.Notes
	return b, nil
}

// series is what the driver "series" is made with: the user's patches, else the
// project's.
func (o Options) series(version string) (patchList, error) {
	if o.Series != "" {
		return readPatches(o.Series)
	}
	return ownSeries(version)
}

// Folders and files of a kernel's cache entry.
const (
	treeDir    = "tree" // source and objects, for building more modules
	outDir     = "out"  // what the guest gets
	modulesDir = "modules"
	imageFile  = "Image"
	configFile = "config"
	mapFile    = "System.map"
	infoFile   = "build.json"
)

// Kinds of cache entries.
const (
	kindKernel = "kernel"
	kindWork   = "build" // build folders of users' trees, kept from run to run
)

// info is what a cache entry knows of itself.
type info struct {
	Release string `json:"release"` // as uname -r says
	Source  string `json:"source"`  // version of the package, or the tree
	Steps   int64  `json:"steps"`   // of the build
	// Notes are of the application of a series.
	Notes []string `json:"notes,omitempty"`
}

// entry is a kernel in the cache.
type entry struct {
	dir string
	key string
	info
}

func openEntry(dir, key string) (*entry, error) {
	e := &entry{dir: dir, key: key}
	data, err := os.ReadFile(filepath.Join(dir, infoFile))
	if err == nil {
		err = json.Unmarshal(data, &e.info)
	}
	if err != nil {
		return nil, fmt.Errorf("the kernel in the cache is damaged, remove %s: %w", dir, err)
	}
	return e, nil
}

func (e *entry) open(source string) (*Build, error) {
	out := filepath.Join(e.dir, outDir)
	b := &Build{
		Version:    e.Release,
		Source:     source + " " + e.info.Source,
		Image:      filepath.Join(out, imageFile),
		Config:     filepath.Join(out, configFile),
		SystemMap:  filepath.Join(out, mapFile),
		ModuleDirs: map[string]string{},
		Notes:      e.Notes,
		lacking:    map[string]string{},
	}
	if !exists(b.Image) {
		return nil, fmt.Errorf("the kernel in the cache is damaged, remove %s", e.dir)
	}
	return b, nil
}

// collect copies what the guest gets from a build folder to a cache entry.
// The Image is left out if image is false.
func collect(from, to string, image bool, in info) error {
	out := filepath.Join(to, outDir)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	files := map[string]string{}
	if image {
		files["arch/arm64/boot/Image"] = imageFile
		files[".config"] = configFile
	}
	for name, as := range files {
		if err := copyFile(filepath.Join(from, name), filepath.Join(out, as)); err != nil {
			return fmt.Errorf("the kernel in %s is not fully built: %w", from, err)
		}
	}
	if image && exists(filepath.Join(from, mapFile)) {
		if err := copyFile(filepath.Join(from, mapFile), filepath.Join(out, mapFile)); err != nil {
			return err
		}
	}
	if err := collectModules(from, filepath.Join(out, modulesDir)); err != nil {
		return err
	}
	release, err := os.ReadFile(filepath.Join(from, "include/config/kernel.release"))
	if err != nil {
		return fmt.Errorf("the kernel in %s is not fully built: %w", from, err)
	}
	in.Release = strings.TrimSpace(string(release))
	data, err := json.MarshalIndent(in, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, infoFile), data, 0o644)
}
