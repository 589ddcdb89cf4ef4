package testbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
)

// Files is a guest as files in one folder, for a QEMU that the user starts
// himself.
type Files struct {
	Dir         string
	Machine     vm.Config // with all paths in Dir
	BlockSocket string
	ShareSocket string
	Shared      string // folder to share, with the job in it
}

// Names of the files in Files.Dir.
const (
	initrdFile  = "initramfs"
	diskFile    = "disk.img"
	blockSocket = "block.sock"
	shareSocket = "share.sock"
)

// Export writes the guest into a folder.
func (g *Guest) Export(ctx context.Context, dir string, kind suites.Boot, j *job.Job) (*Files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &Files{Dir: dir, Shared: filepath.Join(dir, sharedDir)}
	if err := os.MkdirAll(f.Shared, 0o755); err != nil {
		return nil, err
	}
	if err := checkSpace(dir, "the guest's files", 2*bootSpace, "give --dir a folder on a larger disk"); err != nil {
		return nil, err
	}
	boot, err := g.WriteBootFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	initrd := filepath.Join(dir, initrdFile)
	if err := copyFile(initrd, g.Initrd); err != nil {
		return nil, err
	}
	j.Driver, j.ModuleDirs = g.Config.Driver, g.ModuleDirs
	if err := writeJob(f.Shared, j); err != nil {
		return nil, err
	}
	f.Machine = g.Machine(boot, kind)
	f.Machine.Initrd = initrd
	f.Machine.Disk = filepath.Join(dir, diskFile)
	f.Machine.BlockSocket = filepath.Join(dir, blockSocket)
	f.Machine.ShareSocket = filepath.Join(dir, shareSocket)
	return f, makeDisk(f.Machine.Disk)
}

// QEMUArgv is the whole QEMU command, with the console on the terminal.
func (g *Guest) QEMUArgv(c *vm.Config) []string {
	argv := append([]string{}, g.QEMU.Argv...)
	return append(append(argv, c.Args()...), "-serial", vm.Serial)
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("writing %s: %w", to, err)
	}
	return nil
}

// encodeJob renders a job for the guest.
func encodeJob(j *job.Job) ([]byte, error) {
	data, err := json.MarshalIndent(j, "", "  ")
	return append(data, '\n'), err
}
