package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lock is an open lock file. The file stays when the lock is given up: to
// remove it would let two runs hold locks on two files of one name.
type lock struct {
	f *os.File
}

func openLock(path string) (*lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &lock{f}, nil
}

// try takes the lock in the given mode if it is free, or changes its mode.
func (l *lock) try(mode int) error {
	for {
		err := unix.Flock(int(l.f.Fd()), mode|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (l *lock) close() { l.f.Close() }

// poll is the time between two looks at a lock that someone else holds.
const poll = 200 * time.Millisecond

// lock takes the exclusive lock of an entry. It calls waiting once if it has to
// wait. While it waits it asks enough, if that is not nil, whether the lock is
// still wanted: it returns nil if not.
func (c *Cache) lock(ctx context.Context, kind, key string, waiting func(), enough func() bool) (*lock, error) {
	l, err := openLock(c.lockPath(kind, key))
	if err != nil {
		return nil, fmt.Errorf("cannot use the cache folder %s: %w; set %s to a folder you may write to", c.root, err, EnvRoot)
	}
	for first := true; ; first = false {
		err := l.try(unix.LOCK_EX)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			l.close()
			return nil, fmt.Errorf("cannot lock %s: %w", l.f.Name(), err)
		}
		if enough != nil && enough() {
			l.close()
			return nil, nil
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			l.close()
			return nil, ctx.Err()
		case <-time.After(poll):
		}
	}
}

// keep turns the lock into a shared one and holds it until Close.
func (c *Cache) keep(l *lock) error {
	// flock gives the old lock up before it takes the new one. A rival may have
	// it for a moment in between, until it sees that the entry is there.
	err := l.try(unix.LOCK_SH)
	for errors.Is(err, unix.EWOULDBLOCK) {
		time.Sleep(time.Millisecond)
		err = l.try(unix.LOCK_SH)
	}
	if err != nil {
		l.close()
		return fmt.Errorf("cannot lock %s: %w", l.f.Name(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inUse[l.f.Name()] != nil {
		l.close()
		return nil
	}
	c.inUse[l.f.Name()] = l
	return nil
}
