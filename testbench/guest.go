package testbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/guest/boot"
	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/guest/debian"
	"github.com/qcemu/qcemu/guest/image"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/kernel"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/progress"
)

// GuestConfig says which guest.
type GuestConfig struct {
	Profile *cryptoblock.Profile
	Driver  string // job.Stock or job.Series
	Linux   string // the user's kernel tree, or a version of Debian's source; "" for the default version
	Series  string // the user's patches, "" for the project's own
	QEMU    string // path, "" to look for one
	Mirror  string // Debian mirror, "" for the machine's own
	Refresh bool   // look for newer packages

	MemoryMiB, CPUs int // 0: defaults

	Progress *progress.Printer
}

// Guest is everything that a boot needs, made and ready in the cache.
type Guest struct {
	Config GuestConfig
	QEMU   *vm.QEMU
	Kernel *kernel.Build
	Initrd string
	// ModuleDirs are the folders in the initramfs (job.Job.ModuleDirs).
	ModuleDirs map[string]string

	cache   *cache.Cache
	machine vm.Config
}

// userland is the Debian packages whose programs the suites run.
var userland = []string{"cryptsetup-bin", "kcapi-tools", "e2fsprogs"}

// Prepare brings and builds what is missing: QEMU, kernel, initramfs.
func Prepare(ctx context.Context, c GuestConfig) (*Guest, error) {
	if err := kernel.CheckInput(kernelOptions(c)); err != nil {
		return nil, kernelInput(err)
	}
	g, err := open(c)
	if err != nil {
		return nil, err
	}
	client := g.debian()
	if g.QEMU, err = g.findQEMU(ctx, client); err != nil {
		return nil, err
	}
	if g.Kernel, err = g.buildKernel(ctx, client); err != nil {
		return nil, err
	}
	tree, err := client.Userland(ctx, "arm64", userland...)
	if err != nil {
		return nil, err
	}
	if err := g.buildImage(ctx, tree.Root); err != nil {
		return nil, err
	}
	return g, nil
}

func open(c GuestConfig) (*Guest, error) {
	store, err := cache.Open("", c.Progress)
	if err != nil {
		return nil, err
	}
	g := &Guest{Config: c, cache: store}
	g.machine = vm.Config{MemoryMiB: orDefault(c.MemoryMiB, vm.DefaultMemoryMiB), CPUs: orDefault(c.CPUs, vm.DefaultCPUs), CPU: vm.DefaultCPU}
	return g, nil
}

func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

func (g *Guest) debian() *debian.Client {
	return debian.New(debian.Options{Cache: g.cache, Progress: g.Config.Progress, Mirror: g.Config.Mirror, Refresh: g.Config.Refresh})
}

// Close gives up the cache entries that the guest uses.
func (g *Guest) Close() { g.cache.Close() }

// findQEMU takes the user's QEMU, else a fit one on PATH, else Debian's.
func (g *Guest) findQEMU(ctx context.Context, client *debian.Client) (*vm.QEMU, error) {
	if path := g.Config.QEMU; path != "" {
		abs, err := exec.LookPath(path)
		if err != nil {
			return nil, usagef("--qemu %s: %w", path, rootCause(err))
		}
		q, err := vm.Check(ctx, []string{abs}, nil)
		if err != nil {
			return nil, &UsageError{fmt.Errorf("%w; leave --qemu out to use one that is fetched", err)}
		}
		return q, nil
	}
	q, err := vm.FindInPath(ctx)
	if err == nil {
		return q, nil
	}
	var unfit *vm.UnfitError
	if errors.As(err, &unfit) {
		g.Config.Progress.Printf("  %v: taking the one from Debian's backports instead", unfit)
	}
	tree, err := client.QEMU(ctx)
	if err != nil {
		return nil, err
	}
	argv, env, err := tree.Emulator()
	if err != nil {
		return nil, err
	}
	return vm.Check(ctx, argv, env)
}

func (g *Guest) buildKernel(ctx context.Context, client *debian.Client) (*kernel.Build, error) {
	o := kernelOptions(g.Config)
	o.Cache, o.Debian = g.cache, client
	k, err := kernel.Prepare(ctx, o)
	if err != nil {
		return nil, kernelInput(err)
	}
	for _, note := range k.Notes {
		g.Config.Progress.Printf("  kernel %s: %s", k.Version, note)
	}
	if _, ok := k.ModuleDirs[g.Config.Driver]; !ok {
		return nil, usagef("kernel %s has no driver %q; it has: %s", k.Version, g.Config.Driver, strings.Join(k.Drivers(), ", "))
	}
	return k, nil
}

// kernelOptions says which kernel, without what it takes to make it.
func kernelOptions(c GuestConfig) kernel.Options {
	o := kernel.Options{Progress: c.Progress, Series: c.Series}
	if IsVersion(c.Linux) {
		o.Linux = c.Linux
	} else {
		o.Tree = c.Linux
	}
	return o
}

// kernelInput makes a usage error of a mistake in the tree or the patches.
func kernelInput(err error) error {
	if _, ok := errors.AsType[*kernel.InputError](err); ok {
		return &UsageError{err}
	}
	return err
}

// IsVersion tells "6.12" from a folder. The empty string is the default version.
func IsVersion(s string) bool {
	if s == "" {
		return true
	}
	if _, err := os.Stat(s); err == nil {
		return false
	}
	return strings.Trim(s, "0123456789.") == ""
}

// imageQuiet is how long the initramfs may take without a word: there is nothing
// to do unless something has changed.
const imageQuiet = 3 * time.Second

func (g *Guest) buildImage(ctx context.Context, userland string) error {
	spec := image.Spec{Cache: filepath.Join(g.cache.Root(), "initramfs"), Userland: userland, Modules: map[string][]string{}}
	for driver := range g.Kernel.ModuleDirs {
		files, err := g.Kernel.Modules(driver)
		if err != nil {
			return err
		}
		spec.Modules[driver] = files
	}
	// Go looks each time whether the guest's programs are up to date.
	step := g.Config.Progress.BeginAfter(imageQuiet, "Building the initramfs")
	path, err := image.Build(ctx, spec)
	step.End(err)
	g.Initrd, g.ModuleDirs = path, spec.ModuleDirs()
	return err
}

// BootFiles are what QEMU is given beside the initramfs.
type BootFiles struct {
	Kernel string // boot stub and Image
	DTB    string
}

// WriteBootFiles makes the boot stub with the kernel and the device tree for
// this machine, in dir.
func (g *Guest) WriteBootFiles(ctx context.Context, dir string) (BootFiles, error) {
	argv := append(append([]string{}, g.QEMU.Argv...), g.machine.MachineArgs()...)
	dump, err := boot.DumpDTB(ctx, argv)
	if err != nil {
		return BootFiles{}, err
	}
	m, err := boot.NewMachine(dump)
	if err != nil {
		return BootFiles{}, err
	}
	dtb, err := m.DTB(bootBlock(g.Config.Profile))
	if err != nil {
		return BootFiles{}, err
	}
	raw, err := os.ReadFile(g.Kernel.Image)
	if err != nil {
		return BootFiles{}, err
	}
	stub, err := m.Stub(raw)
	if err != nil {
		return BootFiles{}, fmt.Errorf("%s: %w", g.Kernel.Image, err)
	}
	f := BootFiles{Kernel: filepath.Join(dir, "kernel"), DTB: filepath.Join(dir, "guest.dtb")}
	if err := os.WriteFile(f.Kernel, stub, 0o644); err != nil {
		return BootFiles{}, err
	}
	return f, os.WriteFile(f.DTB, dtb, 0o644)
}

// bootBlock is the device tree's view of a profile.
func bootBlock(p *cryptoblock.Profile) boot.Block {
	return boot.Block{
		Size:          cryptoblock.WindowSize,
		BAM:           boot.Region{Offset: uint64(p.BAMOffset), Size: uint64(p.BAMSize)},
		QCE:           boot.Region{Offset: uint64(p.QCEOffset), Size: uint64(p.QCESize)},
		BAMCompatible: p.DT.BAMCompatible, QCECompatible: p.DT.QCECompatible,
		EE: uint32(p.EE), Clock: p.DT.Clock, Channels: uint32(p.DT.NumChannels), NumEEs: uint32(p.DT.NumEEs),
		ControlledRemotely: p.DT.Remote == cryptoblock.Controlled, PoweredRemotely: p.DT.Remote == cryptoblock.Powered,
		RxPipe: uint32(p.RXPipe()), TxPipe: uint32(p.TXPipe()),
	}
}

// commandLine returns the kernel's command line for a kind of boot.
func commandLine(b suites.Boot) string {
	// A panic ends the guest at once: QEMU runs with -no-reboot.
	return strings.Join(append([]string{"console=ttyAMA0", "panic=-1"}, b.KernelArgs()...), " ")
}

// Machine returns the machine's configuration with the files of a boot. The
// sockets and the disk are the caller's.
func (g *Guest) Machine(f BootFiles, b suites.Boot) vm.Config {
	c := g.machine
	c.Kernel, c.DTB, c.Initrd, c.Append = f.Kernel, f.DTB, g.Initrd, commandLine(b)
	c.Extra = []string{"-no-reboot"}
	return c
}

// writeJob puts the job into the shared folder.
func writeJob(shared string, j *job.Job) error {
	data, err := encodeJob(j)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(shared, job.FileName), data, 0o644)
}
