package testbench

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
)

// Shell boots the guest to a shell on the terminal and returns when it ends.
func Shell(ctx context.Context, c GuestConfig, shared string) error {
	if fi, err := os.Stat(shared); err != nil || !fi.IsDir() {
		return usagef("--share %s is no folder", shared)
	}
	if err := checkSpace(os.TempDir(), "the guest's kernel", tempSpace, "set TMPDIR to a folder on a larger disk"); err != nil {
		return err
	}
	guest, err := Prepare(ctx, c)
	if err != nil {
		return err
	}
	defer guest.Close()
	model, err := NewModel(model.Config{SoC: c.Profile.Name}, Recording{})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "qcemu-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := guest.WriteBootFiles(ctx, dir)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	machine := guest.Machine(files, suites.BootNoTests)
	machine.BlockSocket = filepath.Join(dir, blockSocket)
	machine.ShareSocket = filepath.Join(dir, shareSocket)
	if err := model.Serve(ctx, &wg, machine.BlockSocket); err != nil {
		return err
	}
	j := &job.Job{Driver: c.Driver, Shell: true, ModuleDirs: guest.ModuleDirs}
	if err := ServeShare(ctx, &wg, Share{Dir: shared, Socket: machine.ShareSocket, Job: j}); err != nil {
		return err
	}
	m, err := vm.Start(guest.QEMU, &machine, nil)
	if err != nil {
		return err
	}
	defer m.Stop()
	select {
	case <-m.Done():
		return m.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
