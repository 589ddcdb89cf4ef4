package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// minMajor and minMinor are the first QEMU release with the vfio-user client.
const (
	minMajor = 10
	minMinor = 1
)

// program is the emulator for an arm64 guest.
const program = "qemu-system-aarch64"

// QEMU is a QEMU that was found fit for the job.
type QEMU struct {
	Argv    []string // the program, with what must stand before its own arguments
	Env     []string // additions to the environment
	Version string   // for example "11.1.3"
}

// UnfitError says why a QEMU cannot be used.
type UnfitError struct {
	Path   string
	Reason string
}

func (e *UnfitError) Error() string { return fmt.Sprintf("QEMU %s: %s", e.Path, e.Reason) }

// FindInPath returns the QEMU on PATH. The error is an *UnfitError when there
// is one that cannot be used, and exec.ErrNotFound when there is none.
func FindInPath(ctx context.Context) (*QEMU, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, exec.ErrNotFound
	}
	return Check(ctx, []string{path}, nil)
}

var versionLine = regexp.MustCompile(`version (\d+)\.(\d+)(\.\d+)?`)

// Check runs a QEMU to see whether it is new enough and has vfio-user-pci.
func Check(ctx context.Context, argv, env []string) (*QEMU, error) {
	q := &QEMU{Argv: argv, Env: env}
	name := argv[len(argv)-1]
	for _, a := range argv {
		if strings.Contains(a, "qemu-system-") {
			name = a
		}
	}
	out, err := q.command(ctx, "--version").CombinedOutput()
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return nil, &UnfitError{name, "cannot be run: " + lastLine(err.Error())}
		}
		return nil, &UnfitError{name, fmt.Sprintf("does not start: %s", firstOf(lastLine(string(out)), err.Error()))}
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return nil, &UnfitError{name, "is no QEMU: it does not say its version"}
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	q.Version = string(m[1]) + "." + string(m[2]) + string(m[3])
	if major < minMajor || major == minMajor && minor < minMinor {
		return nil, &UnfitError{name, fmt.Sprintf("is version %s, %d.%d or newer is needed (the vfio-user client is missing before)", q.Version, minMajor, minMinor)}
	}
	// A QEMU built without the device answers this with an error.
	if out, err := q.command(ctx, "-device", "vfio-user-pci,help").CombinedOutput(); err != nil || !strings.Contains(string(out), "vfio-user-pci options") {
		return nil, &UnfitError{name, "was built without the device vfio-user-pci"}
	}
	return q, nil
}

func (q *QEMU) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, q.Argv[0], append(append([]string{}, q.Argv[1:]...), args...)...)
	if len(q.Env) > 0 {
		cmd.Env = append(os.Environ(), q.Env...)
	}
	return cmd
}

// lastLine returns the last line with something in it.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
