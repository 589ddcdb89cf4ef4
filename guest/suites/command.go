package suites

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"time"
)

// Command is a program to run in the guest.
type Command struct {
	Args    []string // the program and its arguments
	Stdin   []byte
	Env     []string      // added to the environment
	Dir     string        // "": init's
	Timeout time.Duration // 0: a minute
}

// Result is what became of a Command that could be started.
type Result struct {
	Stdout   []byte
	Stderr   []byte
	Code     int  // exit code; -1 when a signal ended it
	TimedOut bool // it was killed at its timeout
	Elapsed  time.Duration
}

// Exec runs a command to its end. The error says that it could not be started;
// a failing program is a Result.
type Exec func(ctx context.Context, c Command) (Result, error)

// defaultTimeout limits a command that names no limit of its own.
const defaultTimeout = time.Minute

// maxOutput bounds what is kept of each output stream.
const maxOutput = 4 << 20

// RunCommand is the Exec of the guest: it runs the program itself.
func RunCommand(ctx context.Context, c Command) (Result, error) {
	if len(c.Args) == 0 {
		return Result{}, errors.New("empty command")
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()

	var stdout, stderr limited
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(cmd.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.WaitDelay = 2 * time.Second // for children that keep the pipes open

	start := time.Now()
	err := cmd.Run()
	r := Result{
		Stdout: stdout.buf.Bytes(), Stderr: stderr.buf.Bytes(),
		TimedOut: errors.Is(ctx.Err(), context.DeadlineExceeded),
		Elapsed:  time.Since(start),
	}
	if cmd.ProcessState == nil {
		return r, err
	}
	r.Code = cmd.ProcessState.ExitCode()
	return r, nil
}

// limited is a buffer that drops what goes beyond maxOutput. The buffer is not
// embedded: its ReadFrom would take everything.
type limited struct{ buf bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.buf.Len(); room > 0 {
		l.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
