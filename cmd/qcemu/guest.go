package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/guest/debian"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/kernel"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/testbench"
)

func newGuest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "guest",
		Short: "Build or show the guest: kernel, boot stub, device tree, initramfs",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGuestBuild(), newGuestShow(), newGuestCache(), newGuestDeps())
	return cmd
}

// exportFlags are what a guest in a folder needs beside guestFlags.
type exportFlags struct {
	guestFlags
	dir    string
	suites []string
	shell  bool
}

func (f *exportFlags) register(cmd *cobra.Command) {
	f.guestFlags.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "guest-files", "`folder` for the files")
	fl.StringSliceVar(&f.suites, "suite", []string{"probe"}, "suites that the guest runs; they have to need the same kind of boot")
	fl.BoolVar(&f.shell, "shell", false, "have the guest start a shell instead of suites")
}

// export makes the guest and writes it into the folder.
func (f *exportFlags) export(cmd *cobra.Command) (*testbench.Guest, *testbench.Files, error) {
	c, err := f.config()
	if err != nil {
		return nil, nil, err
	}
	kind := suites.BootNoTests
	for i, name := range f.suites {
		s, ok := suites.ByName(name)
		if !ok {
			return nil, nil, usagef("no suite %q; there are: %s", name, strings.Join(testbench.SuiteNames(), ", "))
		}
		if i > 0 && s.Boot() != kind {
			return nil, nil, usagef("suites %s and %s need different boots: make two folders", f.suites[0], name)
		}
		kind = s.Boot()
	}
	g, err := testbench.Prepare(cmd.Context(), c)
	if err != nil {
		return nil, nil, err
	}
	files, err := g.Export(cmd.Context(), f.dir, kind, &job.Job{Suites: f.suites, Shell: f.shell})
	return g, files, err
}

func newGuestBuild() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Write kernel with boot stub, device tree, initramfs and job into a folder",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			g, files, err := f.export(cmd)
			if err != nil {
				return err
			}
			defer g.Close()
			t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
			for _, line := range [][2]string{
				{files.Machine.Kernel, "boot stub and kernel " + g.Kernel.Version + ", for -kernel"},
				{files.Machine.DTB, "device tree, for -dtb"},
				{files.Machine.Initrd, "initramfs, for -initrd"},
				{files.Machine.Disk, "empty virtio disk"},
				{filepath.Join(files.Shared, job.FileName), "what the guest is to do, in the shared folder"},
			} {
				fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
			}
			fmt.Fprintf(t, "kernel command line\t%s\n", files.Machine.Append)
			return t.Flush()
		},
	}
	f.register(cmd)
	return cmd
}

func newGuestShow() *cobra.Command {
	var f guestFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Say what the guest is made of and where it lies; what is missing is made",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.config()
			if err != nil {
				return err
			}
			g, err := testbench.Prepare(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer g.Close()
			t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintf(t, "QEMU\t%s\t%s\n", g.QEMU.Version, strings.Join(g.QEMU.Argv, " "))
			fmt.Fprintf(t, "kernel\t%s\t%s\n", g.Kernel.Version, g.Kernel.Image)
			fmt.Fprintf(t, "\tfrom\t%s\n", g.Kernel.Source)
			fmt.Fprintf(t, "\tconfiguration\t%s\n", g.Kernel.Config)
			for _, driver := range g.Kernel.Drivers() {
				fmt.Fprintf(t, "\tmodules (%s)\t%s\n", driver, g.Kernel.ModuleDirs[driver])
			}
			fmt.Fprintf(t, "initramfs\t\t%s\n", g.Initrd)
			p := c.Profile
			fmt.Fprintf(t, "SoC\t%s\tBAM %s, %d pipes, QCE %d.%d.%d, Linux is EE %d with pipes %d and %d\n", p.Name, p.Layout, p.Pipes,
				p.Version>>24, p.Version>>16&0xff, p.Version&0xffff, p.EE, p.RXPipe(), p.TXPipe())
			fmt.Fprintf(t, "\tevidence\t%s\n", p.Evidence)
			return t.Flush()
		},
	}
	f.register(cmd)
	return cmd
}

func newGuestCache() *cobra.Command {
	var prune bool
	var unused time.Duration
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "List or prune what is kept: packages, kernels, initramfs",
		Long: `List what is kept in $` + cache.EnvRoot + `, or in qcemu below the user's cache folder.
With --prune, entries that were not used for a time are removed; they are made
again when they are needed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := cache.Open("", progress.New(os.Stderr))
			if err != nil {
				return err
			}
			defer store.Close()
			var entries []cache.Entry
			if prune {
				entries, err = store.Prune(func(e cache.Entry) bool { return time.Since(e.Used) >= unused })
			} else {
				entries, err = store.List()
			}
			if err != nil {
				return err
			}
			slices.SortFunc(entries, func(a, b cache.Entry) int { return a.Used.Compare(b.Used) })
			t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
			var total int64
			for _, e := range entries {
				total += e.Bytes
				fmt.Fprintf(t, "%s\t%s\t%d MiB\tused %s\n", e.Kind, e.Key, e.Bytes>>20, e.Used.Format(time.DateTime))
			}
			t.Flush()
			word := "in"
			if prune {
				word = "removed from"
			}
			fmt.Printf("%d entries, %d MiB %s %s\n", len(entries), total>>20, word, store.Root())
			return nil
		},
	}
	cmd.Flags().BoolVar(&prune, "prune", false, "remove entries")
	cmd.Flags().DurationVar(&unused, "unused", 30*24*time.Hour, "with --prune: those not used for this long; 0 for all")
	return cmd
}

func newQEMUArgs() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "qemu-args",
		Short: "Write the guest's files and print the commands to run it with your own QEMU",
		Long: `Write the guest's files into a folder and print two commands: the backend, and
the whole QEMU command line that goes with it. Run them in two terminals, the
backend first.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			g, files, err := f.export(cmd)
			if err != nil {
				return err
			}
			defer g.Close()
			self, err := os.Executable()
			if err != nil {
				return err
			}
			fmt.Println("# the backend")
			fmt.Println(vm.ShellLine([]string{self, "serve", "--soc", f.soc, "--socket-path", files.Machine.BlockSocket,
				"--share", files.Shared, "--share-socket", files.Machine.ShareSocket}))
			fmt.Println("\n# QEMU")
			fmt.Println(vm.ShellLine(g.QEMUArgv(&files.Machine)))
			return nil
		},
	}
	f.register(cmd)
	return cmd
}

func newGuestDeps() *cobra.Command {
	return &cobra.Command{
		Use:   "deps",
		Short: "Install the programs that building the guest and the tests needs",
		Long: `Install the programs that building the guest's kernel and the tests needs, with
apt-get, if this is root; otherwise say what to run. The other commands do the
same when they need something.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return debian.Need(cmd.Context(), progress.New(os.Stderr), kernel.HostTools())
		},
	}
}
