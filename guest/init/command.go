package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// command is what the program does when it is not process 1: in the initramfs
// modprobe is a link to it, for whoever works at the shell.
func command(args []string) int {
	if filepath.Base(args[0]) != "modprobe" {
		fmt.Fprintln(os.Stderr, "qcemu: init runs as process 1 of a qcemu guest and nowhere else")
		return 2
	}
	if err := modprobe(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "modprobe:", err)
		return 1
	}
	return 0
}

// modprobe loads a module of the driver under test with its parameters, or
// removes modules.
func modprobe(args []string) error {
	remove := len(args) > 0 && args[0] == "-r"
	if remove {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("usage: modprobe [-r] MODULE [PARAMETER=VALUE]")
	}
	var g guest
	if err := g.readJob(); err != nil {
		return err
	}
	modules, err := g.modules()
	if err != nil {
		return err
	}
	if !remove {
		return modules.Load(args[0], args[1:]...)
	}
	for _, name := range args {
		if err := modules.Unload(name); err != nil {
			return err
		}
	}
	return nil
}
