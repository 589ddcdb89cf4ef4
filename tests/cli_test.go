package tests

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// TestCommandLine runs the scripts in testdata/script. Beside the commands of
// testscript they have:
//
//	qcemu CODE ARG...   run qcemu and expect this exit code
//	refuses CODE ARG... the same, and nothing on stdout, and on stderr one line
//	                    that begins with "qcemu: "
//	json FILE|stdout    expect valid JSON
//	tmpfs DIR SIZE      mount a small file system, until the script ends
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			if err := os.Symlink(qcemu, filepath.Join(bin, "qcemu")); err != nil {
				return err
			}
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			// Nothing is to reach the user's cache, and nothing the network.
			env.Setenv("QCEMU_CACHE", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("UNREACHABLE", "http://127.0.0.1:9/debian")
			recordings, err := filepath.Abs("recordings")
			if err != nil {
				return err
			}
			env.Setenv("RECORDINGS", recordings)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "mounts" {
				return mounts(), nil
			}
			return false, errors.New("no such condition")
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"qcemu": func(ts *testscript.TestScript, neg bool, args []string) { exits(ts, neg, args) },
			"refuses": func(ts *testscript.TestScript, neg bool, args []string) {
				exits(ts, neg, args)
				oneLine(ts)
			},
			"json":  validJSON,
			"tmpfs": tmpfs,
		},
		RequireUniqueNames: true,
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: qcemu CODE ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec("qcemu", args[1:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func oneLine(ts *testscript.TestScript) {
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("an error, and this on stdout: %q", out)
	}
	msg := ts.ReadFile("stderr")
	if !strings.HasPrefix(msg, "qcemu: ") || strings.Count(msg, "\n") != 1 || !strings.HasSuffix(msg, "\n") {
		ts.Fatalf("want one line that begins with \"qcemu: \" on stderr, got %q", msg)
	}
}

func validJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json FILE")
	}
	if !json.Valid([]byte(ts.ReadFile(args[0]))) {
		ts.Fatalf("%s is no JSON", args[0])
	}
}

// mounts reports whether tmpfs will work: root in a container may not mount.
func mounts() bool {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if unix.Mount("none", dir, "tmpfs", 0, "size=4K") != nil {
		return false
	}
	return unix.Unmount(dir, unix.MNT_DETACH) == nil
}

func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	if err := unix.Mount("none", dir, "tmpfs", 0, "size="+args[1]); err != nil {
		ts.Fatalf("mounting a tmpfs: %v", err)
	}
	ts.Defer(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// TestHelp: every command there is explains itself, and refuses what it does
// not know.
func TestHelp(t *testing.T) {
	var visit func(path []string)
	visit = func(path []string) {
		out, err := exec.Command(qcemu, append(path, "--help")...).Output()
		if err != nil || !strings.Contains(string(out), "Usage:\n  qcemu") || !strings.Contains(string(out), "Flags:\n") {
			t.Errorf("qcemu %s --help: %v\n%s", strings.Join(path, " "), err, out)
		}
		cmd := exec.Command(qcemu, append(path, "--no-such-flag")...)
		msg, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || strings.Count(string(msg), "\n") != 1 {
			t.Errorf("qcemu %s --no-such-flag: %v\n%s", strings.Join(path, " "), err, msg)
		}
		_, commands, _ := strings.Cut(string(out), "Available Commands:\n")
		commands, _, _ = strings.Cut(commands, "\n\n")
		for line := range strings.Lines(commands) {
			if name := strings.Fields(line)[0]; name != "help" {
				visit(append(path[:len(path):len(path)], name))
			}
		}
	}
	visit(nil)
}
