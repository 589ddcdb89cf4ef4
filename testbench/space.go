package testbench

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What a run leaves on disk, at the most.
const (
	outSpace  = 32 << 20  // reports, the console, what the suites leave
	bootSpace = 64 << 20  // the kernel with its boot stub
	tempSpace = bootSpace // for one boot, beside the guest's disk
)

// checkSpace fails if a folder's disk has less than need bytes free. wayOut says
// how the user gives another folder.
func checkSpace(dir, what string, need int64, wayOut string) error {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Blocks == 0 {
		return nil // no disk: what is wrong with the folder says whoever writes to it
	}
	if avail := int64(st.Bavail) * st.Bsize; avail < need {
		return fmt.Errorf("not enough disk space in %s for %s: %d MB needed, %d MB free; free some, or %s", dir, what, need>>20, avail>>20, wayOut)
	}
	return nil
}

// spaceFor checks what a run needs beside the cache.
func spaceFor(out string) error {
	return errors.Join(
		checkSpace(out, "the reports", outSpace, "give --out a folder on a larger disk"),
		checkTemp(),
	)
}

// checkTemp checks what a boot needs.
func checkTemp() error {
	return checkSpace(os.TempDir(), "the guest's disk and kernel", tempSpace+diskSize, "set TMPDIR to a folder on a larger disk")
}

// noteFull says what to do about a disk that got full under a run.
func noteFull(err error, out string) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("the disk is full (%w): free some space in %s and %s, or give other folders with --out and TMPDIR", err, out, os.TempDir())
	}
	return err
}
