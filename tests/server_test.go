package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/report"
)

// readiness is the line by which the backend says that clients can connect.
const readiness = "qcemu: ready"

// server is a running qcemu serve.
type server struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout transcript
	stderr transcript
	ended  chan struct{}
	err    error  // how it ended
	socket string // --socket-path
	out    string // --out
}

// serve starts a backend on a socket of its own and waits until it is ready.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	dir := socketDir(t)
	s := &server{socket: filepath.Join(dir, "block.sock"), out: filepath.Join(dir, "out")}
	s.start(t, exec.Command(qcemu, append([]string{"serve", "--socket-path", s.socket, "--out", s.out}, args...)...))
	s.ready()
	return s
}

// socketDir is a folder with a path short enough for a UNIX address.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "qct-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a command line that is, or becomes, a backend.
func (s *server) start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	s.t, s.cmd, s.ended = t, cmd, make(chan struct{})
	cmd.Stdout, cmd.Stderr = &s.stdout, &s.stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-s.ended
		if t.Failed() {
			t.Logf("the backend said:\n%s%s", s.stdout.String(), s.stderr.String())
		}
	})
}

func (s *server) ready() {
	s.t.Helper()
	eventually(s.t, "the backend is ready", func() bool {
		select {
		case <-s.ended:
			s.t.Fatalf("the backend ended: %v\n%s", s.err, s.stderr.String())
		default:
		}
		return strings.Contains(s.stdout.String(), readiness+"\n")
	})
}

// alive fails the test if the backend has ended.
func (s *server) alive() {
	s.t.Helper()
	select {
	case <-s.ended:
		s.t.Fatalf("the backend ended: %v\n%s", s.err, s.stderr.String())
	default:
	}
}

// wait waits for the end and returns the exit code.
func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatalf("the backend has not ended after %v", patience)
	}
	if exit, ok := errors.AsType[*exec.ExitError](s.err); ok {
		return exit.ExitCode()
	}
	if s.err != nil {
		s.t.Fatal(s.err)
	}
	return 0
}

// stop ends the backend as a service manager does.
func (s *server) stop() {
	s.t.Helper()
	s.alive()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		s.t.Errorf("after SIGTERM the exit code is %d, want 0\n%s", code, s.stderr.String())
	}
}

// fds lists what the backend's file descriptors are.
func (s *server) fds() []string {
	s.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			kind, _, _ := strings.Cut(to, "[") // socket:[123], anon_inode:[eventfd]
			if kind == "anon_inode:" {
				kind = to
			}
			list = append(list, kind)
		}
	}
	slices.Sort(list)
	return list
}

// maps counts the files of guest memory that the backend has mapped.
func (s *server) maps() int {
	s.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(data), "/memfd:")
}

// findings reads what the backend wrote at its end.
func (s *server) findings() map[string]finding.Finding {
	s.t.Helper()
	var list []finding.Finding
	readJSON(s.t, filepath.Join(s.out, report.FindingsFile), &list)
	m := map[string]finding.Finding{}
	for _, f := range list {
		m[f.ID] = f
	}
	return m
}

// attestation reads what the engine did.
func (s *server) attestation() []attest.Row {
	s.t.Helper()
	var rows []attest.Row
	readJSON(s.t, filepath.Join(s.out, report.AttestationFile), &rows)
	return rows
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// transcript keeps what a process prints.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
