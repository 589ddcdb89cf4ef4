package tests

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/cryptoblock"
)

// The guest's shell: its greeting, and what it prints when it waits for a line.
const (
	greeting = "exit powers off"
	prompt   = "$ "
)

// terminal is a guest's console with somebody at the keyboard.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	keys   io.WriteCloser
	screen transcript
	read   int // of the screen
	ended  chan struct{}
}

// open runs a command whose standard input and output are a guest's console.
func open(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	c := &terminal{t: t, cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &c.screen, &c.screen
	cmd.WaitDelay = time.Second
	var err error
	if c.keys, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-c.ended
		if t.Failed() {
			t.Logf("the console:\n%s", c.screen.String())
		}
	})
	return c
}

// expect waits for words and returns what came up to their end.
func (c *terminal) expect(words string) string {
	c.t.Helper()
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		gone := false
		select {
		case <-c.ended:
			gone = true
		default:
		}
		text := c.screen.String()[c.read:]
		if before, _, ok := strings.Cut(text, words); ok {
			c.read += len(before) + len(words)
			return before
		}
		if gone {
			c.t.Fatalf("the guest ended before it said %q", words)
		}
		if time.Now().After(end) {
			c.t.Fatalf("the guest has not said %q", words)
		}
	}
}

// shell waits for the shell of a guest that boots.
func (c *terminal) shell() {
	c.t.Helper()
	c.expect(greeting)
	c.expect(prompt)
}

func (c *terminal) enter(line string) { io.WriteString(c.keys, line+"\n") }

// run types a command and returns what it prints. The console echoes what is
// typed, so the word that marks the end is typed in two parts.
func (c *terminal) run(line string) string {
	c.t.Helper()
	c.enter(line + `; echo "END""MARK"`)
	return c.expect("ENDMARK")
}

// exit leaves the shell, which switches the guest off.
func (c *terminal) exit() {
	c.t.Helper()
	c.enter("exit")
	select {
	case <-c.ended:
	case <-time.After(2 * patience):
		c.t.Fatalf("the guest has not switched itself off after %v", patience)
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		c.t.Errorf("exit code %d", code)
	}
}

// byHand writes a guest's files and returns the two commands that qemu-args
// prints, for a shell.
func byHand(t *testing.T, args ...string) (backend, qemu string) {
	t.Helper()
	cmd := exec.Command(qcemu, append([]string{"qemu-args", "--shell", "--dir", socketDir(t)}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	backend, qemu, ok := strings.Cut(string(out), "\n# QEMU\n")
	if !ok {
		t.Fatalf("qemu-args printed:\n%s", out)
	}
	return strings.TrimPrefix(backend, "# the backend\n"), qemu
}

// bySh runs a command line as a user does who copies it to his shell.
func bySh(line string) *exec.Cmd { return exec.Command("sh", "-c", "exec "+line) }

// probed checks that the drivers sit on the block in the guest.
func (c *terminal) probed() {
	c.t.Helper()
	if text := c.run("cat /proc/interrupts"); !strings.Contains(text, "Level") || !strings.Contains(text, "bam_dma") {
		c.t.Errorf("no interrupt of bam_dma:\n%s", text)
	}
	if text := c.run("cat /proc/crypto"); !strings.Contains(text, "cbc-aes-qce") {
		c.t.Errorf("no algorithm of the engine:\n%s", text)
	}
}

// TestGuestByHand starts backend and QEMU as qemu-args says. The guest reboots,
// QEMU ends and another one begins, all on one backend.
func TestGuestByHand(t *testing.T) {
	needGuests(t)
	backend, qemu := byHand(t)
	s := &server{out: filepath.Join(t.TempDir(), "out")}
	s.start(t, bySh(strings.TrimRight(backend, "\n")+" --out "+s.out))
	s.ready()

	// qemu-args prints a QEMU that ends when the guest reboots; this one goes on.
	first := open(t, bySh(strings.Replace(qemu, "-no-reboot", "", 1)))
	first.shell()
	first.probed()
	first.enter("echo b >/proc/sysrq-trigger")
	first.expect("Booting Linux on physical CPU")
	first.shell()
	first.probed()
	first.exit()

	second := open(t, bySh(qemu))
	second.shell()
	second.probed()
	second.exit()

	s.stop()
	if len(s.attestation()) == 0 {
		t.Error("the engine did nothing")
	}
}

// TestGuestShell: an interactive shell with a folder of the host.
func TestGuestShell(t *testing.T) {
	needGuests(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hello"), []byte("from the host\n"))
	c := open(t, exec.Command(qcemu, "shell", "--share", dir))
	c.shell()
	c.probed()
	if text := c.run("cat /host/hello"); !strings.Contains(text, "from the host") {
		t.Errorf("/host/hello: %s", text)
	}
	c.run("echo from the guest >/host/answer")
	c.exit()
	if data, err := os.ReadFile(filepath.Join(dir, "answer")); err != nil || string(data) != "from the guest\n" {
		t.Errorf("answer: %q, %v", data, err)
	}
}

// TestGuestShellKeys: on a terminal, Ctrl-C is the guest's, and Ctrl-A X ends it
// all.
func TestGuestShellKeys(t *testing.T) {
	needGuests(t)
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("no script (package bsdutils), which makes a terminal")
	}
	qemu, pidFile := wrapped(t, "")
	c := open(t, exec.Command("script", "-qfec", qcemu+" shell --qemu "+qemu+" --share "+t.TempDir(), "/dev/null"))
	c.shell()
	c.enter("cat")
	c.enter("running")
	c.expect("running") // as it is typed
	c.expect("running") // cat's
	io.WriteString(c.keys, "\x03")
	c.expect(prompt)
	c.probed()
	n := pid(t, pidFile)
	io.WriteString(c.keys, "\x01x")
	select {
	case <-c.ended:
	case <-time.After(2 * patience):
		t.Fatalf("it has not ended after %v", 2*patience)
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if running(n) {
		t.Error("QEMU still runs")
	}
}

// TestGuestUnshared: QEMU without shared memory is told how to start it.
func TestGuestUnshared(t *testing.T) {
	needGuests(t)
	backend, qemu := byHand(t)
	s := &server{}
	s.start(t, bySh(backend))
	s.ready()
	qemu = strings.Replace(qemu, ",share=on", ",share=off", 1)
	c := open(t, bySh(qemu))
	eventually(t, "the backend says what is wrong", func() bool {
		return strings.Contains(s.stderr.String(), "guest RAM is not shared, DMA does not see what the guest writes: start QEMU with memory-backend-memfd,share=on")
	})
	c.cmd.Process.Kill()
	<-c.ended
	s.alive()
	goodClient(t, &server{t: t, socket: socketOf(t, backend), cmd: s.cmd}, cryptoblock.DefaultSoC)
	s.stop()
}

// socketOf finds the socket in the backend's command line.
func socketOf(t *testing.T, line string) string {
	t.Helper()
	fields := strings.Fields(line)
	for i, f := range fields {
		if f == "--socket-path" {
			return fields[i+1]
		}
	}
	t.Fatalf("no --socket-path in %s", line)
	return ""
}
