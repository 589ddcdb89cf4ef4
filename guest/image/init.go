package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	modulePath  = "github.com/qcemu/qcemu"
	initPackage = modulePath + "/guest/init"
)

// buildInit compiles the guest's init into a file of its own, for another run,
// of another checkout perhaps, may do the same now. The go command keeps its own
// cache: a build of unchanged source takes a moment.
func buildInit(ctx context.Context, source, cache string) (out string, remove func(), err error) {
	dir, err := os.MkdirTemp(cache, ".init-*")
	if err != nil {
		return "", nil, err
	}
	out, remove = filepath.Join(dir, "init"), func() { os.RemoveAll(dir) }
	if err := goBuild(ctx, source, out, initPackage); err != nil {
		remove()
		return "", nil, err
	}
	return out, remove, nil
}

// goBuild compiles a command for the guest: static, and with nothing in it that
// depends on the machine it is built on.
func goBuild(ctx context.Context, dir, out, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	// Interrupted, it ends its compilers and removes what it has half made.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return errors.New("the guest's init is built from source: install Go (https://go.dev/dl) and put it on PATH")
		}
		return fmt.Errorf("building %s: %w\n%s", pkg, err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// findSource finds the root of this module's source.
func findSource(given string) (string, error) {
	if given != "" {
		if !isSource(given) {
			return "", fmt.Errorf("%s is not the source of %s", given, modulePath)
		}
		return given, nil
	}
	var tried []string
	if wd, err := os.Getwd(); err == nil {
		tried = append(tried, wd)
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) { // not with -trimpath
		tried = append(tried, filepath.Dir(file))
	}
	if exe, err := os.Executable(); err == nil {
		tried = append(tried, filepath.Dir(exe))
	}
	for _, dir := range tried {
		for ; ; dir = filepath.Dir(dir) {
			if isSource(dir) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("the source of qcemu, from which the guest's init is built, is not here: run inside the checkout")
}

func isSource(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(first) == "module "+modulePath
}
