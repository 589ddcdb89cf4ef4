package tests

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/report"
)

// replay runs qcemu replay and returns what it says and its exit code.
func replay(t *testing.T, args ...string) (string, int) {
	t.Helper()
	out, err := exec.Command(qcemu, append([]string{"replay"}, args...)...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// A backend's recording replays to the reports that the backend has written.
func TestRecord(t *testing.T) {
	for name, args := range map[string][]string{
		"plain":      nil,
		"timed":      {"--timing", "silicon"},
		"antagonist": {"--antagonist", "burst", "--modem", "random=0.02,group=2"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "run.qrec")
			s := serve(t, append([]string{"--record", file}, args...)...)
			c := connect(t, s.socket)
			d := probe(c, "sdm845")
			for n := range 20 {
				data := bytes.Repeat([]byte{byte(n), 7, 11, 13}, 64*n+64)
				d.series(qcetest.Cipher{Mode: qcetest.CTRAES, Key: data[:32], IV: data[:16], Encrypt: true, Data: data})
			}
			c.Close()
			s.stop()
			out := filepath.Join(t.TempDir(), "out")
			for range 2 {
				text, code := replay(t, file, "--out", out)
				if code != 0 || !strings.Contains(text, "all as recorded") {
					t.Fatalf("exit code %d:\n%s", code, text)
				}
				for _, f := range []string{report.AttestationFile, report.FindingsFile} {
					if want, got := content(t, filepath.Join(s.out, f)), content(t, filepath.Join(out, f)); !bytes.Equal(want, got) {
						t.Errorf("%s is not the same:\n%s\nwas\n%s", f, got, want)
					}
				}
			}
		})
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A backend that is killed leaves what came before.
func TestRecordKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.qrec")
	s := serve(t, "--record", file)
	goodClient(t, s, "sdm845")
	before := content(t, file)
	eventually(t, "the file grows", func() bool { return len(content(t, file)) > 4096 || len(content(t, file)) > len(before) })
	s.cmd.Process.Kill()
	<-s.ended
	if text, code := replay(t, file); code != 0 || !strings.Contains(text, "the recording has no end") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

// A full disk ends the recording with one line, and the guest does not notice.
func TestRecordFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=32K"); err != nil {
		t.Skip(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	file := filepath.Join(dir, "run.qrec")
	s := serve(t, "--record", file)
	said := func() int { return strings.Count(s.stderr.String(), "no space left on device") }
	eventually(t, "the disk is full", func() bool {
		goodClient(t, s, "sdm845")
		return said() > 0
	})
	goodClient(t, s, "sdm845")
	s.stop()
	if n := said(); n != 1 {
		t.Errorf("said %d times:\n%s", n, s.stderr.String())
	}
	if text, code := replay(t, file); code != 0 || !strings.Contains(text, "the recording has no end") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

// The recording that comes with the program shows the race, and everything that
// can be done with a recording can be done with it.
func TestReplayRace(t *testing.T) {
	race := filepath.Join("recordings", "race.qrec")
	text, code := replay(t, race)
	for _, want := range []string{"QCE-CFG-011", "another EE wrote registers between", "all as recorded", "EE0 (Linux)"} {
		if code != 0 || !strings.Contains(text, want) {
			t.Errorf("exit code %d, no %q in:\n%s", code, want, text)
		}
	}
	text, code = replay(t, race, "--print", "--from", "3", "--to", "200")
	if code != 0 || !strings.Contains(text, "P_CTRL[6] = 0x22 P_EN|P_SYS_MODE") || !strings.Contains(text, "(not shown)") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	text, code = replay(t, race, "--reading", "qce-foreign-cpu-access=ignored")
	if code != 0 || !strings.Contains(text, "With qce-foreign-cpu-access=ignored: ") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	small := filepath.Join(t.TempDir(), "small.qrec")
	if text, code = replay(t, race, "--shrink", "--finding", "QCE-CFG-011", "-o", small); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	if text, code = replay(t, small); code != 0 || !strings.Contains(text, "QCE-CFG-011") || !strings.Contains(text, "shrunk to what shows QCE-CFG-011") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if text, code = replay(t, race, "--shrink", "--finding", "NO-RULE-001", "-o", small); code != 2 || !strings.Contains(text, "it shows ") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	damaged := content(t, race)
	damaged[len(damaged)/2] ^= 1
	path := filepath.Join(t.TempDir(), "damaged.qrec")
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, code = replay(t, path); code != 2 || !strings.Contains(text, "damaged at byte") || strings.Count(text, "\n") != 1 {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}
