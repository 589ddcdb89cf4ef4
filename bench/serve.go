package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/testbench"
)

// Limits of 'qcemu serve', and how often it is started to see the first.
const (
	readyLimit  = 100 // ms
	memoryLimit = 64  // MiB
	starts      = 15
)

// readyLine is what 'qcemu serve' prints when it can be connected to.
const readyLine = "qcemu: ready"

// serve measures the backend as a program of its own.
func (r *run) serve(ctx context.Context) error {
	ready, err := r.readyTimes(ctx)
	if err != nil {
		return err
	}
	r.add("serve",
		Line{What: "from exec to ready, p50", Value: ready.p50(), Unit: milliseconds, Target: atMost(readyLimit)},
		Line{What: "from exec to ready, slowest", Value: ready[len(ready)-1], Unit: milliseconds, Note: fmt.Sprintf("of %d starts", len(ready))},
	)
	peak, err := r.residentMemory(ctx)
	if err != nil {
		return err
	}
	r.add("serve", Line{What: "memory beside the guest's, peak", Value: peak, Unit: mebibytes, Target: atMost(memoryLimit),
		Note: "resident, without what is shared with the guest, while a guest boots with all self-tests of the kernel"})
	return nil
}

// readyTimes starts the backend some times, in milliseconds.
func (r *run) readyTimes(ctx context.Context) (samples, error) {
	step := r.Progress.Begin("starts of qcemu serve")
	var times samples
	for range starts {
		dir, err := os.MkdirTemp("", "qcemu-")
		if err != nil {
			return nil, err
		}
		start := time.Now()
		b, err := r.startBackend(ctx, filepath.Join(dir, "block.sock"))
		if err == nil {
			times = append(times, float64(time.Since(start))/1e6)
			err = b.stop()
		}
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			step.End(err)
			return nil, err
		}
	}
	step.End(nil)
	slices.Sort(times)
	return times, nil
}

// backend is a running 'qcemu serve'.
type backend struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	tail   chan error // what came of its output after it was ready
}

// startBackend returns when the backend is ready.
func (r *run) startBackend(ctx context.Context, socket string) (*backend, error) {
	b := &backend{cmd: exec.CommandContext(ctx, r.Program, "serve", "--socket-path", socket, "--soc", r.Guest.Profile.Name), tail: make(chan error, 1)}
	b.cmd.Cancel = func() error { return b.cmd.Process.Signal(syscall.SIGTERM) }
	b.cmd.WaitDelay = 5 * time.Second
	b.cmd.Stderr = &b.stderr
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if strings.TrimSpace(line) != readyLine {
		b.cmd.Process.Kill()
		err = errors.Join(err, b.cmd.Wait())
		return nil, fmt.Errorf("qcemu serve did not become ready: %w; it said %q", err, line+b.stderr.String())
	}
	go func() {
		_, err := io.Copy(io.Discard, lines)
		b.tail <- err
	}()
	return b, nil
}

// stop ends the backend in order.
func (b *backend) stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-b.tail
	return b.cmd.Wait()
}

// residentMemory lets a backend serve a guest and returns the most memory that
// it held meanwhile, in MiB.
func (r *run) residentMemory(ctx context.Context) (float64, error) {
	g, err := testbench.Prepare(ctx, r.Guest)
	if err != nil {
		return 0, err
	}
	defer g.Close()
	var peak float64
	_, err = r.boot(ctx, g, suites.BootSelftest, "probe", func(ctx context.Context, wg *sync.WaitGroup, _ string, machine *vm.Config) error {
		b, err := r.startBackend(ctx, machine.BlockSocket)
		if err != nil {
			return err
		}
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done(): // which ends it as well
					<-b.tail
					b.cmd.Wait()
					return
				case <-tick.C:
					if own, err := ownMemory(b.cmd.Process.Pid); err == nil {
						peak = max(peak, own)
					}
				}
			}
		})
		return nil
	})
	if err == nil && peak == 0 {
		err = errors.New("the memory of qcemu serve could not be read")
	}
	return peak, err
}

// ownMemory is what a process holds in MiB without memory that it shares: of
// the backend, the guest's.
func ownMemory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	field := func(name string) float64 {
		_, rest, _ := strings.Cut(string(status), "\n"+name+":")
		text, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		kib, _ := strconv.ParseFloat(text, 64)
		return kib / 1024
	}
	return field("VmRSS") - field("RssShmem"), nil
}
