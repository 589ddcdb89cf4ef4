package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// VM is a running QEMU.
type VM struct {
	cmd    *exec.Cmd
	stderr tail
	done   chan struct{}
	err    error
}

// Serial puts the guest's console on a terminal at which somebody sits: Ctrl-C
// reaches the guest, and Ctrl-A X ends QEMU.
const Serial = "mon:stdio"

// Start runs QEMU. The guest's console is written to console; a nil console
// connects it to the terminal.
func Start(q *QEMU, c *Config, console io.Writer) (*VM, error) {
	serial := "stdio"
	if console == nil {
		serial = Serial
	}
	args := append(c.Args(), "-serial", serial)
	v := &VM{cmd: q.command(context.Background(), args...), done: make(chan struct{})}
	// A group of its own: a Ctrl-C at the terminal reaches us alone, and what
	// we end, we end in order. In a shell session QEMU must own the terminal.
	if console == nil {
		v.cmd.Stdin, v.cmd.Stdout, v.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	} else {
		v.cmd.Stdout, v.cmd.Stderr = console, &v.stderr
		v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	if v.cmd.SysProcAttr == nil {
		v.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	v.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	v.cmd.WaitDelay = 5 * time.Second
	started := make(chan error, 1)
	go func() {
		// The kernel sends the parent-death signal when the thread that forked
		// ends, not the process: that thread has to stay for as long as QEMU.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(v.done)
		err := v.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if err := v.cmd.Wait(); err != nil {
			v.err = fmt.Errorf("QEMU ended with %w%s", err, v.stderr.suffix())
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting QEMU: %w", err)
	}
	return v, nil
}

// Done is closed when QEMU has ended.
func (v *VM) Done() <-chan struct{} { return v.done }

// Err says how QEMU ended, nil for exit code 0. It waits for the end.
func (v *VM) Err() error {
	<-v.done
	return v.err
}

// Stderr is the end of what QEMU has said on its standard error, unless that is
// the terminal's.
func (v *VM) Stderr() string { return v.stderr.String() }

// Stop ends QEMU: it asks, waits a little, then kills.
func (v *VM) Stop() {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := v.cmd.Process.Signal(sig); errors.Is(err, os.ErrProcessDone) {
			break
		}
		select {
		case <-v.done:
			return
		case <-time.After(5 * time.Second):
		}
	}
	<-v.done
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailSize {
		t.buf = t.buf[len(t.buf)-tailSize:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

func (t *tail) suffix() string {
	if s := t.String(); s != "" {
		return ": " + lastLine(s)
	}
	return ""
}
