package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/guest/debian"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/testbench"
)

// guestFlags are the flags of every command that makes or boots a guest.
type guestFlags struct {
	driver, linux, series, soc, qemu, mirror string
	refresh                                  bool
	memory, cpus                             int
}

func (f *guestFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.driver, "driver", job.Series, "drivers to load: stock or series (with BAM locking and register I/O through BAM)")
	fl.StringVar(&f.linux, "linux", "", "kernel `tree` to use instead of Debian's, or a version of Debian's source such as 7.2")
	fl.StringVar(&f.series, "series", "", "patches to apply instead of the project's own: an mbox file or a folder, as b4 am writes them")
	fl.StringVar(&f.qemu, "qemu", "", "QEMU to use, 10.1 or newer (default: qemu-system-aarch64 on PATH if it is fit, else one that is fetched)")
	fl.StringVar(&f.mirror, "debian-mirror", "", "`URL` of a Debian mirror (default: the one that apt uses)")
	fl.BoolVar(&f.refresh, "refresh", false, "look for newer packages even if the cache has a set")
	fl.IntVar(&f.memory, "memory", vm.DefaultMemoryMiB, "guest memory in `MiB`")
	fl.IntVar(&f.cpus, "cpus", vm.DefaultCPUs, "virtual CPUs of the guest")
	registerSoC(cmd, &f.soc)
}

func registerSoC(cmd *cobra.Command, soc *string) {
	cmd.Flags().StringVar(soc, "soc", cryptoblock.DefaultSoC, "chip whose crypto block is modelled: "+strings.Join(cryptoblock.Profiles(), ", "))
}

func (f *guestFlags) config() (testbench.GuestConfig, error) {
	profile, err := profileOf(f.soc)
	if err != nil {
		return testbench.GuestConfig{}, err
	}
	if drivers := []string{job.Stock, job.Series}; !slices.Contains(drivers, f.driver) {
		return testbench.GuestConfig{}, usagef("--driver %s: there are: %s", f.driver, strings.Join(drivers, ", "))
	}
	if f.series != "" {
		if _, err := os.Stat(f.series); err != nil {
			return testbench.GuestConfig{}, usagef("--series %s: %w", f.series, errors.Unwrap(err))
		}
	}
	if !testbench.IsVersion(f.linux) {
		if _, err := os.Stat(f.linux); err != nil {
			return testbench.GuestConfig{}, usagef("--linux %s: %w", f.linux, errors.Unwrap(err))
		}
	}
	if f.mirror != "" {
		if err := debian.CheckMirror(f.mirror); err != nil {
			return testbench.GuestConfig{}, &testbench.UsageError{Err: err}
		}
	}
	if f.memory < 256 {
		return testbench.GuestConfig{}, usagef("--memory %d: the guest needs 256 MiB or more", f.memory)
	}
	if f.cpus < 1 || f.cpus > 64 {
		return testbench.GuestConfig{}, usagef("--cpus %d: want 1 to 64", f.cpus)
	}
	return testbench.GuestConfig{
		Profile: profile, Driver: f.driver, Linux: f.linux, Series: f.series, QEMU: f.qemu, Mirror: f.mirror, Refresh: f.refresh,
		MemoryMiB: f.memory, CPUs: f.cpus, Progress: progress.New(os.Stderr),
	}, nil
}

func profileOf(soc string) (*cryptoblock.Profile, error) {
	p, err := cryptoblock.ProfileByName(soc)
	if err != nil {
		return nil, usagef("--soc: %w", err)
	}
	return p, nil
}

func usagef(format string, args ...any) error {
	return &testbench.UsageError{Err: fmt.Errorf(format, args...)}
}
