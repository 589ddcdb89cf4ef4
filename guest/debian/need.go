package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/qcemu/qcemu/progress"
)

// Requirement is something that this machine must have, and the package that
// brings it.
type Requirement struct {
	Package string
	Program string // a program on PATH
	Header  string // or a C header in the system's include folders
}

func (r Requirement) met() bool {
	if r.Program != "" {
		if _, err := exec.LookPath(r.Program); err != nil {
			return false
		}
	}
	if r.Header != "" {
		found, _ := filepath.Glob(filepath.Join("/usr/include", "*-linux-gnu*", r.Header))
		if _, err := os.Stat(filepath.Join("/usr/include", r.Header)); err != nil && len(found) == 0 {
			return false
		}
	}
	return true
}

// missingPackages lists the packages of the requirements that are not met.
func missingPackages(list []Requirement) []string {
	var packages []string
	for _, r := range list {
		if !r.met() && !slices.Contains(packages, r.Package) {
			packages = append(packages, r.Package)
		}
	}
	return packages
}

// missingError names packages that must be installed first.
type missingError struct {
	Packages []string
	Reason   string // why they were not installed, if that was tried
	NoLists  bool   // the machine has no package lists yet, as in a fresh container
}

func (e *missingError) Error() string {
	reason := ""
	if e.Reason != "" {
		reason = " (" + e.Reason + ")"
	}
	update := ""
	if e.NoLists {
		update = "sudo apt-get update && "
	}
	return fmt.Sprintf("packages are missing%s, run: %ssudo apt-get install --no-install-recommends %s", reason, update, strings.Join(e.Packages, " "))
}

// Need sees to it that the requirements are met: as root it installs the
// packages that are missing, otherwise the error says what to run.
func Need(ctx context.Context, p *progress.Printer, list []Requirement) error {
	missing := missingPackages(list)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("programs are missing, install what your distribution calls %s", strings.Join(missing, ", "))
	}
	if os.Geteuid() != 0 {
		return &missingError{Packages: missing, NoLists: !haveLists()}
	}
	if err := install(ctx, p, missing); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &missingError{Packages: missing, Reason: err.Error(), NoLists: !haveLists()}
	}
	if still := missingPackages(list); len(still) > 0 {
		return &missingError{Packages: still, Reason: "apt-get has installed them, but they are not found"}
	}
	return nil
}

// haveLists reports whether the machine's apt knows any package.
func haveLists() bool {
	lists, _ := filepath.Glob("/var/lib/apt/lists/*_Packages*")
	return len(lists) > 0
}

func install(ctx context.Context, p *progress.Printer, packages []string) (err error) {
	step := p.Begin("Installing %s", strings.Join(packages, " "))
	defer func() { step.End(err) }()
	if !haveLists() {
		step.Note("fetching the package lists")
		if err := system(ctx, "update", "-q"); err != nil {
			return err
		}
	}
	args := append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)
	if err = system(ctx, args...); err == nil || ctx.Err() != nil {
		return err
	}
	// The lists may be older than what the mirror has.
	step.Note("fetching newer package lists")
	if system(ctx, "update", "-q") != nil {
		return err
	}
	return system(ctx, args...)
}

// system runs the machine's own apt-get.
func system(ctx context.Context, args ...string) error {
	// Others may be at work with dpkg, and a mirror may be slow for a moment.
	args = append([]string{"-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=5"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // dpkg is not to be torn
	out, err := cmd.CombinedOutput()
	if err != nil {
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "E: ") {
				return fmt.Errorf("apt-get: %s", aptLine(line))
			}
		}
		return fmt.Errorf("apt-get: %w", err)
	}
	return nil
}
