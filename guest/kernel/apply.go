package kernel

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// patchError says which patch does not apply, and where.
type patchError struct {
	Patch  string
	Number int // from 1
	Of     int
	Tree   string // what it was applied to
	File   string
	Hunk   string // "2 at line 345", empty if the file is the trouble
	Reason string
}

func (e *patchError) Error() string {
	where := ""
	if e.File != "" {
		where = ", " + e.File
	}
	if e.Hunk != "" {
		where += ", hunk " + e.Hunk
	}
	return fmt.Sprintf("patch %d of %d (%q) does not apply to %s%s: %s", e.Number, e.Of, e.Patch, e.Tree, where, e.Reason)
}

// patchVars change what patch(1) does.
var patchVars = regexp.MustCompile(`^(POSIXLY_CORRECT|PATCH_.*|VERSION_CONTROL|SIMPLE_BACKUP_SUFFIX)=`)

// apply applies a series to the tree in dir. what names the tree to people. The
// notes name what fitted only loosely, and may have gone to the wrong place.
func apply(ctx context.Context, dir, what string, list patchList) (notes []string, err error) {
	for i, p := range list {
		cmd := exec.CommandContext(ctx, "patch", "-p1", "--forward", "--batch", "--no-backup-if-mismatch", "--reject-file=-")
		cmd.Dir = dir
		cmd.Env = append(slices.DeleteFunc(os.Environ(), patchVars.MatchString), "LC_ALL=C", "QUOTING_STYLE=literal")
		cmd.Stdin = bytes.NewReader(p.Diff)
		out, err := cmd.CombinedOutput()
		if err == nil {
			notes = append(notes, loose(p.Name, string(out))...)
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, ok := err.(*exec.ExitError); !ok {
			return nil, fmt.Errorf("cannot run patch: %w", err)
		}
		e := readFailure(string(out))
		e.Patch, e.Number, e.Of, e.Tree = p.Name, i+1, len(list), what
		return nil, e
	}
	return notes, nil
}

// loose finds the hunks that patch(1) placed although not all lines around them
// were as expected.
func loose(name, out string) (notes []string) {
	file := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if m := patching.FindStringSubmatch(line); m != nil {
			file = m[1]
		}
		if m := hunkFuzz.FindStringSubmatch(line); m != nil {
			notes = append(notes, fmt.Sprintf("patch %q applies to this kernel only loosely: %s, hunk %s at line %s", name, file, m[1], m[2]))
		}
	}
	return notes
}

var (
	patching  = regexp.MustCompile(`^(?:patching|checking) file (.+?)(?: \(renamed from .*\))?$`)
	hunkFails = regexp.MustCompile(`^Hunk #(\d+) FAILED at (\d+)`)
	hunkFuzz  = regexp.MustCompile(`^Hunk #(\d+) succeeded at (\d+) with fuzz`)
	noFile    = regexp.MustCompile(`^can't find file to patch at input line`)
	reversed  = regexp.MustCompile(`^Reversed \(or previously applied\) patch detected`)
	isThere   = regexp.MustCompile(`^The next patch would create the file (.+),$`)
	isGone    = regexp.MustCompile(`^The next patch would delete the file (.+),$`)
	isDamaged = regexp.MustCompile(`malformed patch at line (\d+)|unexpected end of file in patch|Only garbage was found`)
	wouldBe   = regexp.MustCompile(`^\|\+\+\+ [^/]*/(.+?)(?:\t.*)?$`)
)

// readFailure finds the first failure in patch(1)'s messages.
func readFailure(out string) *patchError {
	e := &patchError{}
	file, missing := "", false
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if m := patching.FindStringSubmatch(line); m != nil {
			file = m[1]
			continue
		}
		switch {
		case hunkFails.MatchString(line):
			m := hunkFails.FindStringSubmatch(line)
			e.File, e.Hunk = file, m[1]+" at line "+m[2]
			e.Reason = "the lines around the change differ; give a series made for this kernel, or with --linux the tree it was made for"
			return e
		case noFile.MatchString(line):
			missing = true
			e.Reason = "the tree has no such file"
		case missing && wouldBe.MatchString(line):
			e.File = wouldBe.FindStringSubmatch(line)[1]
			return e
		case isThere.MatchString(line):
			e.File, e.Reason = isThere.FindStringSubmatch(line)[1], "the file exists already: the tree may have the series applied"
			return e
		case isGone.MatchString(line):
			e.File, e.Reason = isGone.FindStringSubmatch(line)[1], "the file to delete differs"
			return e
		case reversed.MatchString(line):
			e.File, e.Reason = file, "the tree has this change already; without --series it is used as it is"
			return e
		case isDamaged.MatchString(line):
			e.File, e.Reason = file, "the patch is damaged: "+line
			return e
		}
	}
	if e.Reason == "" {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		e.File, e.Reason = file, lines[len(lines)-1]
	}
	return e
}
