package tests

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/qcemu/qcemu/report"
)

// needGuests skips a test that boots guests, unless they are asked for.
func needGuests(t *testing.T) {
	t.Helper()
	if os.Getenv(envGuests) != "1" {
		t.Skipf("boots guests: set %s=1, as make test does", envGuests)
	}
}

// bootPatience is how long a boot may take, with what has to be fetched and
// built before the first.
const bootPatience = 40 * time.Minute

// bench is a qcemu run that has begun.
type bench struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    string
	stdout transcript
	stderr transcript
	ended  chan struct{}
}

// startRun begins qcemu run.
func startRun(t *testing.T, args ...string) *bench {
	t.Helper()
	return startProgram(t, qcemu, args...)
}

// startProgram begins "run" of a program that is qcemu, or becomes it.
func startProgram(t *testing.T, path string, args ...string) *bench {
	t.Helper()
	b := &bench{t: t, out: filepath.Join(t.TempDir(), "out"), ended: make(chan struct{})}
	b.cmd = exec.Command(path, append([]string{"run", "--out", b.out}, args...)...)
	b.cmd.Stdout, b.cmd.Stderr = &b.stdout, &b.stderr
	b.cmd.WaitDelay = time.Second
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b.cmd.Wait()
		close(b.ended)
	}()
	t.Cleanup(func() {
		b.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-b.ended:
		case <-time.After(patience):
			b.cmd.Process.Kill()
			<-b.ended
		}
		if t.Failed() {
			t.Logf("qcemu %s\n%s%s", strings.Join(b.cmd.Args[1:], " "), b.stderr.String(), b.stdout.String())
		}
	})
	return b
}

// wait waits for the end and returns the exit code.
func (b *bench) wait() int {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(bootPatience):
		b.t.Fatalf("qcemu run has not ended after %v", bootPatience)
	}
	return b.cmd.ProcessState.ExitCode()
}

// console is what the guest has printed so far.
func (b *bench) console() string {
	data, err := os.ReadFile(filepath.Join(b.out, "console.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(data)
}

// until waits for words on the guest's console.
func (b *bench) until(words string) {
	b.t.Helper()
	for end := time.Now().Add(bootPatience); !strings.Contains(b.console(), words); time.Sleep(50 * time.Millisecond) {
		select {
		case <-b.ended:
			b.t.Fatalf("qcemu run ended before the console said %q", words)
		default:
		}
		if time.Now().After(end) {
			b.t.Fatalf("the console has not said %q", words)
		}
	}
}

// report reads the report.
func (b *bench) report() report.Run {
	b.t.Helper()
	var r report.Run
	readJSON(b.t, filepath.Join(b.out, report.JSONFile), &r)
	return r
}

// suite is a suite of the report.
func suite(t *testing.T, r report.Run, name string) report.Suite {
	t.Helper()
	for _, s := range r.Suites {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no suite %s in the report: %+v", name, r.Suites)
	return report.Suite{}
}

// guestFacts are parts of what qcemu guest show says.
type guestFacts struct {
	qemu    string            // as a shell has it
	image   string            // the kernel
	modules map[string]string // folders by driver
}

var (
	qemuLine   = regexp.MustCompile(`(?s)^QEMU\s+\S+\s+(.*?)\nkernel\s`)
	imageLine  = regexp.MustCompile(`(?m)^kernel\s+\S+\s+(.*)$`)
	moduleLine = regexp.MustCompile(`(?m)^\s+modules \((\w+)\)\s+(.*)$`)
)

// facts asks qcemu once what the guest is made of. The first time it is made.
var facts = sync.OnceValues(func() (*guestFacts, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(qcemu, "guest", "show")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New(stderr.String())
	}
	f := &guestFacts{modules: map[string]string{}}
	q, i := qemuLine.FindSubmatch(out), imageLine.FindSubmatch(out)
	if q == nil || i == nil {
		return nil, errors.New("cannot read this:\n" + string(out))
	}
	f.qemu, f.image = string(q[1]), string(i[1])
	for _, m := range moduleLine.FindAllSubmatch(out, -1) {
		f.modules[string(m[1])] = string(m[2])
	}
	return f, nil
})

func guestShow(t *testing.T) *guestFacts {
	t.Helper()
	f, err := facts()
	if err != nil {
		t.Fatalf("qcemu guest show: %v", err)
	}
	return f
}

// wrapped makes a QEMU for --qemu: a script with the real one behind it, which
// can be told from others by the process number in the file that is returned.
func wrapped(t *testing.T, prelude string) (path, pidFile string) {
	t.Helper()
	dir := t.TempDir()
	path, pidFile = filepath.Join(dir, "qemu-system-aarch64"), filepath.Join(dir, "pid")
	script := "#!/bin/sh\n" + prelude + "\necho $$ >" + pidFile + "\nexec " + guestShow(t).qemu + ` "$@"` + "\n"
	syscall.ForkLock.RLock() // a program started now would keep it open for writing, and it could not be run
	err := os.WriteFile(path, []byte(script), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path, pidFile
}

// pid reads the process number that a wrapped QEMU left.
func pid(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// running says whether a process is there, and no zombie.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
