package cache

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// reserve is what a step must leave free: below it the disk counts as full.
const reserve = 32 << 20

// spaceError says that the disk of the cache is too small.
type spaceError struct {
	Root  string
	What  string // what was to be made
	Need  int64  // bytes, 0 if unknown
	Avail int64
	Err   error // of the step that failed, if one did
}

func (e *spaceError) Error() string {
	need := ""
	if e.Need > 0 {
		need = fmt.Sprintf("%s needed, ", size(e.Need))
	}
	what := ""
	if e.What != "" {
		what = " for " + e.What
	}
	return fmt.Sprintf("not enough disk space in %s%s: %s%s free; free some, or set %s to a folder on a larger disk",
		e.Root, what, need, size(e.Avail), EnvRoot)
}

func (e *spaceError) Unwrap() error { return e.Err }

// CheckSpace fails with a *spaceError if the cache's disk has less than need
// bytes free.
func (c *Cache) CheckSpace(need int64, what string) error {
	avail, err := c.free()
	if err != nil || need <= 0 || avail >= need+reserve {
		return nil // where the free space cannot be told, the step itself will
	}
	return &spaceError{Root: c.root, What: what, Need: need, Avail: avail}
}

// noteFull makes a *spaceError of an error if a full disk is its likely cause:
// programs that fail for it seldom say so in a form of their own.
func (c *Cache) noteFull(err error) error {
	var known *spaceError
	if errors.As(err, &known) {
		return err
	}
	avail, ferr := c.free()
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || ferr == nil && avail < reserve {
		return &spaceError{Root: c.root, Avail: avail, Err: err}
	}
	return err
}

func (c *Cache) free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(c.root, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	default:
		return fmt.Sprintf("%d MB", n>>20)
	}
}
