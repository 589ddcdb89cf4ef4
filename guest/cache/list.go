package cache

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is one entry of the cache, or a single file that another package keeps
// there.
type Entry struct {
	Kind, Key string
	Path      string
	Bytes     int64     // of disk
	Used      time.Time // when it was last asked for
	Busy      bool      // made or used by a run right now, this one included
}

// List lists the entries, by kind and key.
func (c *Cache) List() ([]Entry, error) {
	kinds, err := os.ReadDir(c.root)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, kind := range kinds {
		if !kind.IsDir() || kind.Name() == tmpDir || kind.Name() == lockDir {
			continue
		}
		keys, err := os.ReadDir(filepath.Join(c.root, kind.Name()))
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if filepath.Ext(key.Name()) == noteExt {
				continue
			}
			e := Entry{Kind: kind.Name(), Key: key.Name(), Path: c.path(kind.Name(), key.Name())}
			if info, err := key.Info(); err == nil {
				e.Used = info.ModTime()
			}
			e.Bytes = diskUsage(e.Path)
			if l, err := openLock(c.lockPath(e.Kind, e.Key)); err == nil {
				e.Busy = l.try(unix.LOCK_EX) != nil
				l.close()
			}
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return strings.Compare(a.Kind+"\x00"+a.Key, b.Kind+"\x00"+b.Key)
	})
	return list, nil
}

// Prune removes the entries that drop picks, but for busy ones, and what runs
// that died have left behind. It returns what it removed.
func (c *Cache) Prune(drop func(Entry) bool) ([]Entry, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	var gone []Entry
	for _, e := range list {
		if !drop(e) {
			continue
		}
		ok, err := c.ifFree(e.Kind, e.Key, func() error { return c.discard(e.Kind, e.Key) })
		if err != nil {
			return gone, err
		}
		if ok {
			gone = append(gone, e)
		}
	}
	left, _ := filepath.Glob(filepath.Join(c.root, tmpDir, "*", "*"))
	for _, dir := range left {
		if _, err := c.ifFree(filepath.Base(filepath.Dir(dir)), filepath.Base(dir), func() error { return removeAll(dir) }); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// ifFree calls f with the entry's exclusive lock, unless someone has it.
func (c *Cache) ifFree(kind, key string, f func() error) (bool, error) {
	l, err := openLock(c.lockPath(kind, key))
	if err != nil {
		return false, err
	}
	defer l.close()
	if l.try(unix.LOCK_EX) != nil {
		return false, nil
	}
	return true, f()
}

// diskUsage sums up the blocks of a folder; what cannot be read counts nothing.
func diskUsage(dir string) int64 {
	var sum int64
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				sum += st.Blocks * 512
			} else {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}
