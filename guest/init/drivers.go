package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/qcemu/qcemu/guest/init/kmod"
)

// drivers are the two modules under test, in the order in which they load, each
// with the platform driver that it registers. The dynamic debug messages of qce
// name the engine's version.
var drivers = []struct {
	module, driver string
	params         []string
}{
	{"bam_dma", "bam-dma-engine", nil},
	{"qcrypto", "qcrypto", []string{"dyndbg=+p"}},
}

// loadTimeout limits the loading of one module: a probe that waits for the
// hardware for ever must not make init wait as well.
const loadTimeout = 2 * time.Minute

func (g *guest) loadDrivers() error {
	for _, d := range drivers {
		if _, err := os.Stat("/sys/bus/platform/drivers/" + d.driver); err == nil {
			say("%s is built into the kernel", d.module)
			continue
		}
		done := make(chan error, 1)
		go func() { done <- g.kernel.LoadModule(d.module, d.params...) }()
		select {
		case err := <-done:
			if errors.Is(err, kmod.ErrNotFound) {
				return fmt.Errorf("%w: the kernel lacks the driver, see its configuration", err)
			}
			if err != nil {
				return err
			}
		case <-time.After(loadTimeout):
			showBlocked()
			return fmt.Errorf("loading module %s: not through after %v; the console shows where it waits", d.module, loadTimeout)
		}
	}
	return nil
}
