package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
)

// shells are tried in this order.
var shells = []string{"/bin/sh", "/bbin/gosh"}

// shell runs an interactive shell on the console until it exits.
func shell() error {
	for _, path := range shells {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		tty, err := openConsole()
		if err != nil {
			return err
		}
		defer tty.Close()
		say("a shell; the host's folder is %s; exit powers off", job.MountPoint)
		cmd := exec.Command(path)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		cmd.Dir = job.MountPoint
		cmd.Env = append(os.Environ(), "PS1=qcemu# ", "TERM=vt220")
		// Its own session with the console as its terminal: Ctrl-C and job
		// control work.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			return fmt.Errorf("the shell: %w", err)
		}
		return nil
	}
	return errors.New("the initramfs has no shell")
}

// openConsole opens the terminal behind /dev/console, which itself cannot be a
// controlling terminal.
func openConsole() (*os.File, error) {
	name, err := os.ReadFile("/sys/class/tty/console/active")
	if err != nil {
		return nil, err
	}
	consoles := strings.Fields(string(name))
	if len(consoles) == 0 {
		return nil, errors.New("the kernel has no console: append console=ttyAMA0 to its command line")
	}
	last := consoles[len(consoles)-1] // the one that /dev/console means
	fd, err := unix.Open("/dev/"+last, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/%s: %w", last, err)
	}
	return os.NewFile(uintptr(fd), last), nil
}
