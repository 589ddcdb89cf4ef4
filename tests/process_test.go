package tests

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// TestSocketPath: a path that a live backend has is refused, one that a dead
// one left is taken over, and a backend that ends tidies up.
func TestSocketPath(t *testing.T) {
	s := serve(t)
	out, err := exec.Command(qcemu, "serve", "--socket-path", s.socket).CombinedOutput()
	if err == nil || !strings.Contains(string(out), s.socket+" is in use by a running server: stop it or choose another path") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("second backend on one path: %v\n%s", err, out)
	}
	goodClient(t, s, cryptoblock.DefaultSoC)

	s.cmd.Process.Kill()
	<-s.ended
	if _, err := os.Stat(s.socket); err != nil {
		t.Fatalf("the dead backend's socket: %v", err)
	}
	next := &server{socket: s.socket, out: s.out}
	next.start(t, exec.Command(qcemu, "serve", "--socket-path", s.socket))
	next.ready()
	goodClient(t, next, cryptoblock.DefaultSoC)
	next.stop()
	if _, err := os.Stat(s.socket); err == nil {
		t.Error("the socket is still there after the end")
	}
}

// TestSignals: SIGTERM and SIGINT end the backend with exit code 0 and its
// reports written, whether nobody, a client at rest or one in the middle of
// something is connected.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, c := range []struct {
			name string
			do   func(*server)
		}{
			{"idle", func(*server) {}},
			{"connected", func(s *server) { probe(connect(t, s.socket), cryptoblock.DefaultSoC) }},
			{"half a message", func(s *server) {
				r := dialRaw(t, s)
				r.version()
				r.send(make([]byte, 5))
			}},
		} {
			t.Run(sig.String()+" "+c.name, func(t *testing.T) {
				s := serve(t)
				c.do(s)
				s.cmd.Process.Signal(sig)
				if code := s.wait(); code != 0 {
					t.Errorf("exit code %d\n%s", code, s.stderr.String())
				}
				s.findings()
				s.attestation()
			})
		}
	}
}

// TestReplyBeforeEnd: QEMU aborts if the backend leaves while it waits for a
// reply. What was sent before the signal is answered.
func TestReplyBeforeEnd(t *testing.T) {
	s := serve(t)
	c := connect(t, s.socket)
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var replies []<-chan vfiotest.Reply
	for range 100 {
		replies = append(replies, c.Start(wire.RegionRead, vfiotest.Access(wire.RegionConfig, 0, 4, nil)))
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Process.Signal(syscall.SIGCONT)
	for i, ch := range replies {
		if r, ok := <-ch; !ok || r.Err() != nil {
			t.Fatalf("request %d of %d was not answered", i+1, len(replies))
		}
	}
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestReadiness: systemd is told when the backend is ready.
func TestReadiness(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &server{socket: filepath.Join(dir, "block.sock")}
	cmd := exec.Command(qcemu, "serve", "--socket-path", s.socket)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	s.start(t, cmd)
	conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	if err != nil || !slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
		t.Fatalf("notification: %q, %v", buf[:n], err)
	}
	goodClient(t, s, cryptoblock.DefaultSoC)
	s.stop()
}

// listening returns a listening UNIX socket as a file.
func listening(t *testing.T) (*os.File, string) {
	t.Helper()
	path := filepath.Join(socketDir(t), "block.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

// TestSocketActivation: the environment that systemd makes for a socket unit.
func TestSocketActivation(t *testing.T) {
	f, path := listening(t)
	s := &server{socket: path}
	// LISTEN_PID is the backend's own, so a shell sets it before it becomes it.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, qcemu)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{f}
	s.start(t, cmd)
	s.ready()
	goodClient(t, s, cryptoblock.DefaultSoC)
	goodClient(t, s, cryptoblock.DefaultSoC)
	s.stop()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket is systemd's, and gone after the end: %v", err)
	}
}

// TestSocketActivationRefused: what cannot be served is said.
func TestSocketActivationRefused(t *testing.T) {
	f, _ := listening(t)
	g, _ := listening(t)
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, qcemu)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2")
	cmd.ExtraFiles = []*os.File{f, g}
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "socket activation passed 2 sockets") {
		t.Errorf("two sockets: %v\n%s", err, out)
	}
}

// TestSystemd lets systemd's own tool do the activation.
func TestSystemd(t *testing.T) {
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("no systemd-socket-activate")
	}
	dir := socketDir(t)
	s := &server{socket: filepath.Join(dir, "block.sock"), out: filepath.Join(dir, "out")}
	s.start(t, exec.Command(tool, "-l", s.socket, qcemu, "serve", "--out", s.out))
	eventually(t, "the tool listens", func() bool {
		_, err := os.Stat(s.socket)
		return err == nil
	})
	goodClient(t, s, cryptoblock.DefaultSoC)
	goodClient(t, s, cryptoblock.DefaultSoC)
	s.stop()
}

// TestInheritedFD: --fd with a listening socket, and with a connected one.
func TestInheritedFD(t *testing.T) {
	t.Run("listening", func(t *testing.T) {
		f, path := listening(t)
		s := &server{socket: path}
		cmd := exec.Command(qcemu, "serve", "--fd", "3")
		cmd.ExtraFiles = []*os.File{f}
		s.start(t, cmd)
		s.ready()
		goodClient(t, s, cryptoblock.DefaultSoC)
		goodClient(t, s, cryptoblock.DefaultSoC)
		s.stop()
	})
	t.Run("connected", func(t *testing.T) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		theirs := os.NewFile(uintptr(pair[1]), "theirs")
		s := &server{}
		cmd := exec.Command(qcemu, "serve", "--fd", "3")
		cmd.ExtraFiles = []*os.File{theirs}
		s.start(t, cmd)
		theirs.Close()
		s.ready()
		sock, err := vhostuser.NewSocket(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		c := vfiotest.New(sock)
		if _, err := c.Version(vfiotest.QEMUCapabilities); err != nil {
			t.Fatal(err)
		}
		c.Close()
		// There is nobody else to serve.
		if code := s.wait(); code != 0 {
			t.Errorf("after its only client has left the exit code is %d\n%s", code, s.stderr.String())
		}
	})
}

// TestCapabilities: what the program says that it can do.
func TestCapabilities(t *testing.T) {
	out, err := exec.Command(qcemu, "serve", "--print-capabilities").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Type string
		SoCs []string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Type != "vfio-user" {
		t.Errorf("type %q", got.Type)
	}
	if diff := cmp.Diff(cryptoblock.Profiles(), got.SoCs); diff != "" {
		t.Errorf("SoCs (-want +got):\n%s", diff)
	}
}

// clean is what tells a kernel tree that nothing was built in.
var clean = map[string]string{
	"Makefile": "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 0\n",
	"Kconfig":  "", "arch/arm64/Kconfig": "", "drivers/dma/qcom/bam_dma.c": "", "drivers/crypto/qce/core.c": "",
}

// TestInterruptedBuild: Ctrl-C during the build of a kernel ends make and what
// make has started.
func TestInterruptedBuild(t *testing.T) {
	for _, tool := range []string{"aarch64-linux-gnu-gcc", "flex", "bison", "bc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: the tools for building a kernel are not installed", tool)
		}
	}
	dir := t.TempDir()
	for name, text := range clean {
		write(t, filepath.Join(dir, "linux", name), []byte(text))
	}
	// A make that is busy, and a QEMU that is never started.
	for name, script := range map[string]string{
		"make": "sleep 1000 & echo $! >" + dir + "/child.new && mv " + dir + "/child.new " + dir + "/child; wait",
		"qemu": `[ "$1" = --version ] && echo "QEMU emulator version 11.1.3" || echo "vfio-user-pci options:"`,
	} {
		path := filepath.Join(dir, "bin", name)
		write(t, path, []byte("#!/bin/sh\n"+script+"\n"))
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var words transcript
	cmd := exec.Command(qcemu, "run", "--suite", "probe", "--qemu", filepath.Join(dir, "bin", "qemu"), "--linux", filepath.Join(dir, "linux"), "--out", filepath.Join(dir, "out"))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "QCEMU_CACHE="+filepath.Join(dir, "cache"))
	cmd.Stderr = &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	child := filepath.Join(dir, "child")
	eventually(t, "make runs", func() bool {
		_, err := os.Stat(child)
		return err == nil
	})
	n := pid(t, child)
	t.Cleanup(func() {
		if t.Failed() {
			syscall.Kill(n, syscall.SIGKILL)
		}
	})
	cmd.Process.Signal(os.Interrupt)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("still there after %v", patience)
	}
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(words.String(), "qcemu: interrupted") {
		t.Errorf("exit code %d\n%s", code, words.String())
	}
	eventually(t, "what make has started is gone", func() bool { return !running(n) })
}
