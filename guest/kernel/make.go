package kernel

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
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/qcemu/qcemu/progress"
)

// builder runs the kernel's make in one tree.
type builder struct {
	src  string // the source
	out  string // the build folder, as O=; empty: in the source
	log  string // file that gets everything make prints
	jobs int
	// lenient: a user's tree may lack what is merely wanted.
	lenient bool
}

// dir is the folder with the results.
func (b *builder) dir() string {
	if b.out != "" {
		return b.out
	}
	return b.src
}

// buildVars are taken out of the environment: they steer make and Kconfig, and
// whoever calls us may have them set, our own Makefile first of all.
var buildVars = regexp.MustCompile(`^(MAKE.*|MFLAGS|GNUMAKEFLAGS|ARCH|SUBARCH|CROSS_COMPILE|LLVM.*|CC|HOSTCC|LD|AR|O|V|W|C|KBUILD_.*|KCONFIG_.*|K[AC].*FLAGS|CFLAGS.*|CPPFLAGS|LDFLAGS|LOCALVERSION|INSTALL_.*|srctree|objtree)=`)

func buildEnv() []string {
	env := slices.DeleteFunc(os.Environ(), buildVars.MatchString)
	// The same source gives the same Image, and modules that match it, wherever
	// and whenever it is built.
	return append(env, "LC_ALL=C",
		"KBUILD_BUILD_USER=qcemu", "KBUILD_BUILD_HOST=qcemu", "KBUILD_BUILD_VERSION=1",
		"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970")
}

// args are make's arguments for every target.
func (b *builder) args() []string {
	jobs := b.jobs
	if jobs <= 0 {
		jobs = runtime.NumCPU() + 1
	}
	args := []string{"-C", b.src, "-j" + strconv.Itoa(jobs), "ARCH=arm64", "CROSS_COMPILE=" + crossCompile, "LOCALVERSION="}
	if b.out != "" {
		args = append(args, "O="+b.out)
	}
	return args
}

// make runs targets. Each line that stands for a step of the build is counted
// to step, where total is what to expect. It returns the count.
func (b *builder) make(ctx context.Context, step *progress.Step, total int64, targets ...string) (int64, error) {
	log, err := os.OpenFile(b.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	fmt.Fprintf(log, "make %s\n", strings.Join(append(b.args(), targets...), " "))

	cmd := exec.CommandContext(ctx, "make", append(b.args(), targets...)...)
	cmd.Env = buildEnv()
	// Its compilers are to end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var errs bytes.Buffer
	cmd.Stderr = io.MultiWriter(&errs, log)
	pr, pw := io.Pipe()
	cmd.Stdout = io.MultiWriter(pw, log)
	counted := make(chan int64)
	go func() { counted <- count(pr, step, total) }()
	err = cmd.Run()
	pw.Close()
	n := <-counted
	switch {
	case ctx.Err() != nil:
		return n, ctx.Err()
	case err != nil:
		return n, fmt.Errorf("%s; all of make's output is in %s", firstError(errs.String(), err), b.log)
	}
	return n, nil
}

// stepLine is a line like "  CC      kernel/fork.o".
var stepLine = regexp.MustCompile(`^  [A-Z0-9.]+ (\[M\])? *(\S+)`)

func count(r io.Reader, step *progress.Step, total int64) int64 {
	var n int64
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := stepLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		n++
		if step == nil {
			continue
		}
		if total > 0 {
			// The expected total is of an earlier build or another version.
			step.Note("%d %%, %s", min(n*100/total, 99), m[2])
		} else {
			step.Note("%d files, %s", n, m[2])
		}
	}
	io.Copy(io.Discard, r) // a line too long: the rest goes uncounted
	return n
}

var (
	notClean  = regexp.MustCompile(`The source tree is not clean`)
	diskFull  = regexp.MustCompile(`No space left on device`)
	errorLine = regexp.MustCompile(`(?i)error: |undefined reference`)
	noProgram = regexp.MustCompile(`(\S+): (command )?not found`)
)

// firstError finds the line in make's errors that says what went wrong.
func firstError(text string, err error) string {
	switch {
	case diskFull.MatchString(text):
		return "the kernel build failed: no space left on device"
	case notClean.MatchString(text):
		return "the kernel build failed: the source tree is not clean"
	}
	if m := noProgram.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("the kernel build failed: the program %s is missing", m[1])
	}
	// A program's own complaint stands before make's first "***".
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if errorLine.MatchString(line) {
			return "the kernel build failed: " + line
		}
		if last != "" && strings.Contains(line, "*** ") {
			break
		}
		if line != "" {
			last = line
		}
	}
	if last != "" {
		return "the kernel build failed: " + last
	}
	return "the kernel build failed: " + err.Error()
}

// configure makes .config of guest.config and checks it.
func (b *builder) configure(ctx context.Context) error {
	if err := os.MkdirAll(b.dir(), 0o755); err != nil {
		return err
	}
	file := filepath.Join(b.dir(), configStamp)
	if err := os.WriteFile(file, []byte(fragment(guestConfig, b.version())), 0o644); err != nil {
		return err
	}
	_, err := b.make(ctx, nil, 0, "KCONFIG_ALLCONFIG="+file, "allnoconfig")
	if err != nil {
		return err
	}
	config, err := readConfig(filepath.Join(b.dir(), ".config"))
	if err != nil {
		return err
	}
	return config.checkOwn(b.version(), b.lenient)
}

// version is the version in the source's Makefile, for messages.
func (b *builder) version() string {
	v, err := sourceVersion(b.src)
	if err != nil {
		return "of " + b.src
	}
	return v
}

var errNoKernelTree = errors.New("no kernel source")

// sourceVersion reads the version from the Makefile of a kernel tree.
func sourceVersion(dir string) (string, error) {
	f, err := os.Open(filepath.Join(dir, "Makefile"))
	if err != nil {
		return "", errNoKernelTree
	}
	defer f.Close()
	fields := map[string]string{}
	lines := bufio.NewScanner(f)
	for i := 0; i < 20 && lines.Scan(); i++ {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	if fields["VERSION"] == "" || fields["PATCHLEVEL"] == "" {
		return "", errNoKernelTree
	}
	v := fields["VERSION"] + "." + fields["PATCHLEVEL"]
	if s := fields["SUBLEVEL"]; s != "" && s != "0" {
		v += "." + s
	}
	return v + fields["EXTRAVERSION"], nil
}

// toolchain names the compiler, as far as it shapes the kernel. It is empty if
// there is none.
func toolchain(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, crossCompile+"gcc", "-dumpfullversion").Output()
	if err != nil {
		return ""
	}
	ld, err := exec.CommandContext(ctx, crossCompile+"ld", "--version").Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(ld), "\n")
	return strings.TrimSpace(string(out)) + " " + first
}
