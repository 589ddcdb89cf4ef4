package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// dumpTimeout limits QEMU's run for a dump; it takes a fraction of a second.
const dumpTimeout = 5 * time.Minute

// DumpDTB lets QEMU write the device tree of a machine. qemu is the program
// with all arguments that shape the machine (-machine, -cpu, -smp, -m, memory
// objects) and none that name a device behind a socket.
func DumpDTB(ctx context.Context, qemu []string) ([]byte, error) {
	if len(qemu) == 0 {
		return nil, errors.New("no QEMU given")
	}
	dir, err := os.MkdirTemp("", "qcemu-dtb-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "machine.dtb")

	ctx, cancel := context.WithTimeout(ctx, dumpTimeout)
	defer cancel()
	args := append(qemu[1:len(qemu):len(qemu)], "-display", "none", "-machine", "dumpdtb="+file)
	cmd := exec.CommandContext(ctx, qemu[0], args...)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("asking QEMU for its device tree: %w: %s", err, strings.TrimSpace(out.String()))
	}
	dtb, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("QEMU ended without writing a device tree: %s", strings.TrimSpace(out.String()))
	}
	return dtb, nil
}
