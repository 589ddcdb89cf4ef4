package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/u-root/gobusybox/src/pkg/bb"
	"github.com/u-root/gobusybox/src/pkg/bb/findpkg"
	"github.com/u-root/gobusybox/src/pkg/golang"
)

// urootCommands are the commands of u-root's cmds/core that the guest has: what
// a person expects at a prompt, and a script in a pipe.
var urootCommands = []string{
	"base64", "basename", "cat", "chmod", "cp", "date", "df", "dirname", "dmesg", "du", "echo",
	"false", "find", "free", "gosh", "grep", "head", "hexdump", "id", "kill", "ln", "ls", "lsmod", "md5sum",
	"mkdir", "mkfifo", "mknod", "mktemp", "more", "mount", "mv", "poweroff", "printenv", "ps", "pwd", "readlink", "realpath",
	"rm", "seq", "shasum", "sleep", "sort", "strings", "sync", "tail", "tar", "tee", "time", "touch", "tr", "true", "umount",
	"uname", "uniq", "uptime", "wc", "which", "xargs", "yes",
}

const (
	urootPath   = "github.com/u-root/u-root/cmds/core/"
	urootBinary = "usr/bin/u-root"
	// urootTags leave out gosh's line editor, which needs further modules.
	urootTags = "goshsmall"
)

// buildURoot compiles the commands into one program. That takes many times as
// long as everything else here, so it is kept under the hash of its input.
func buildURoot(source, cache string) (string, error) {
	key, err := urootKey(source)
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "u-root-"+key)
	if _, err := os.Stat(out); err == nil {
		now := time.Now()
		return out, os.Chtimes(out, now, now) // in use: see sweep
	}
	gen, err := os.MkdirTemp(cache, ".u-root-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(gen)

	var commands []string
	for _, c := range urootCommands {
		commands = append(commands, urootPath+c)
	}
	env := golang.Default(golang.WithGOARCH("arm64"), golang.WithGOOS("linux"), golang.DisableCGO(),
		golang.WithBuildTag(urootTags), golang.WithWorkingDir(source))
	var messages bytes.Buffer
	tmp := filepath.Join(gen, "out")
	err = bb.BuildBusybox(log.New(&messages, "", 0), &bb.Opts{
		Env:          env,
		LookupEnv:    &findpkg.Env{},
		GenSrcDir:    filepath.Join(gen, "src"),
		CommandPaths: commands,
		BinaryPath:   tmp,
		GoBuildOpts:  &golang.BuildOpts{},
	})
	if err != nil {
		return "", fmt.Errorf("building u-root's commands: %w\n%s", err, strings.TrimSpace(messages.String()))
	}
	return out, os.Rename(tmp, out)
}

// urootKey is a hash of all that decides what is built: the modules by their
// hashes, the compiler, the list of commands.
func urootKey(source string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		h.Write(data)
	}
	cmd := exec.Command("go", "env", "GOVERSION")
	cmd.Dir = source
	version, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking Go for its version: %w", err)
	}
	h.Write(version)
	io.WriteString(h, urootTags+" "+strings.Join(urootCommands, " "))
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// addURoot puts the commands into the tree. A name that is taken, by a program
// of Debian's, stays with it.
func (t *tree) addURoot(binary string) error {
	if err := t.file(urootBinary, binary, 0o755); err != nil {
		return err
	}
	for _, c := range urootCommands {
		t.symlink("usr/bin/"+c, filepath.Base(urootBinary))
	}
	t.symlink("usr/bin/sh", "gosh")
	return nil
}
