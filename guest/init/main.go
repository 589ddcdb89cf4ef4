package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/init/kmod"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
)

func main() {
	if os.Getpid() != 1 {
		os.Exit(command(os.Args))
	}
	g := &guest{}
	defer powerOff()
	defer func() {
		if p := recover(); p != nil {
			g.fail(fmt.Errorf("init panicked: %v\n%s", p, debug.Stack()))
		}
	}()
	if err := g.run(); err != nil {
		g.fail(err)
	}
}

// powerOff ends the guest. A kernel without a way to switch itself off is
// halted: the host's limit ends it then.
func powerOff() {
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		say("power off: %v", err)
	}
	for {
		time.Sleep(time.Hour)
	}
}

// say prints a line on the console.
func say(format string, args ...any) {
	fmt.Printf("qcemu: "+format+"\n", args...)
}

// guest is the state of a boot.
type guest struct {
	events *eventWriter // nil until the host's folder is mounted
	job    job.Job
	kernel suites.Kernel
}

// fail says why the boot cannot go on.
func (g *guest) fail(err error) {
	say("failed: %v", err)
	g.emit(job.Event{Type: job.Failed, Text: err.Error()})
}

func (g *guest) emit(e job.Event) {
	if g.events == nil {
		return
	}
	if err := g.events.write(e); err != nil {
		say("telling the host of %q: %v", e.Type, err)
	}
}

func (g *guest) run() error {
	if err := mountAll(); err != nil {
		return err
	}
	calmWatchdogs()
	os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/bbin")
	os.Setenv("HOME", "/root")

	if err := mountShare(); err != nil {
		return err
	}
	var err error
	if g.events, err = openEvents(); err != nil {
		return err
	}
	if err := g.readJob(); err != nil {
		return err
	}
	modules, err := g.modules()
	if err != nil {
		return err
	}
	g.kernel = suites.Running(modules)
	g.emit(job.Event{Type: job.Booted, Kernel: g.kernel.Release()})
	say("kernel %s, driver %s", g.kernel.Release(), g.job.Driver)

	if err := g.loadDrivers(); err != nil {
		if !g.job.Shell {
			return err
		}
		say("%v", err) // a shell is the place to find out why
	}
	if g.job.Shell {
		err = shell()
	} else {
		g.runSuites()
	}
	if err != nil {
		return err
	}
	g.emit(job.Event{Type: job.Finished})
	return nil
}

func (g *guest) readJob() error {
	data, err := os.ReadFile(filepath.Join(job.MountPoint, job.FileName))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &g.job); err != nil {
		return fmt.Errorf("%s: %w", job.FileName, err)
	}
	return nil
}

// modules opens the module directory of the driver under test.
func (g *guest) modules() (*kmod.Dir, error) {
	dir, ok := g.job.ModuleDirs[g.job.Driver]
	if !ok {
		return nil, fmt.Errorf("%s: module_dirs has no entry for driver %q", job.FileName, g.job.Driver)
	}
	return kmod.Open(dir)
}

func (g *guest) runSuites() {
	r := suites.Runner{
		Job: &g.job, Kernel: g.kernel, Exec: suites.RunCommand,
		OutDir: filepath.Join(job.MountPoint, job.OutDir),
		Emit:   g.emit, Say: say, Blocked: showBlocked,
	}
	r.Run(context.Background())
}

// showBlocked has the kernel log every task that waits uninterruptibly.
func showBlocked() {
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("w"), 0); err != nil {
		say("listing blocked tasks: %v", err)
	}
}
