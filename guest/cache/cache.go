package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/qcemu/qcemu/progress"
	"golang.org/x/sys/unix"
)

// EnvRoot names the environment variable with the cache's folder.
const EnvRoot = "QCEMU_CACHE"

const (
	tmpDir  = "tmp"
	lockDir = "lock"
	noteExt = ".json"
)

// Cache is a cache folder. It holds a shared lock on each entry it has given
// out, until Close or the end of the process.
type Cache struct {
	root     string
	progress *progress.Printer

	mu    sync.Mutex
	inUse map[string]*lock // by lock file
}

// defaultRoot is the folder a Cache uses when none is given.
func defaultRoot() (string, error) {
	if dir := os.Getenv(EnvRoot); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set %s to a folder", err, EnvRoot)
	}
	return filepath.Join(dir, "qcemu"), nil
}

// Open opens the cache in root, or in defaultRoot if root is empty, and makes
// the folder if need be.
func Open(root string, p *progress.Printer) (*Cache, error) {
	var err error
	if root == "" {
		root, err = defaultRoot()
	} else {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{root, filepath.Join(root, tmpDir), filepath.Join(root, lockDir)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("cannot use the cache folder %s: %w; set %s to a folder you may write to", root, err, EnvRoot)
		}
	}
	return &Cache{root: root, progress: p, inUse: map[string]*lock{}}, nil
}

// Root is the cache's folder.
func (c *Cache) Root() string { return c.root }

// Close gives up the entries in use, so that Prune may remove them.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, l := range c.inUse {
		l.close()
		delete(c.inUse, name)
	}
}

// Recipe says how to make an entry.
type Recipe struct {
	Kind  string // the folder: "kernel"
	Key   string // what tells it from others of its kind; see Key
	What  string // for people: "Linux 6.12.100 for arm64"
	Space int64  // bytes of disk it takes to make
	// Make fills dir, an empty folder. The folder is renamed afterwards: what
	// it holds must not name it.
	Make func(ctx context.Context, dir string) error
}

// Get returns the entry's folder, and makes the entry if it is not there.
func (c *Cache) Get(ctx context.Context, r Recipe) (string, error) {
	if err := checkName(r.Kind, r.Key); err != nil {
		return "", err
	}
	if dir, ok := c.Lookup(r.Kind, r.Key); ok {
		return dir, nil
	}
	// The run that makes the entry keeps a shared lock on it afterwards, so
	// whoever waits must look for the entry and not for the lock alone.
	var dir string
	l, err := c.lock(ctx, r.Kind, r.Key, func() {
		c.progress.Printf("  another run is making %s: waiting for it", r.What)
	}, func() bool {
		var ok bool
		dir, ok = c.Lookup(r.Kind, r.Key)
		return ok
	})
	if err != nil || l == nil {
		return dir, err
	}
	dir = c.path(r.Kind, r.Key)
	if !isDir(dir) { // else the other run has made it
		if err := c.make(ctx, r, dir); err != nil {
			l.close()
			return "", err
		}
	}
	return dir, c.keep(l)
}

func (c *Cache) make(ctx context.Context, r Recipe, dir string) error {
	if err := c.CheckSpace(r.Space, r.What); err != nil {
		return err
	}
	tmp := filepath.Join(c.root, tmpDir, r.Kind, r.Key)
	if err := removeAll(tmp); err != nil { // of a run that died
		return err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return err
	}
	if err := r.Make(ctx, tmp); err != nil {
		full := c.noteFull(err)
		removeAll(tmp)
		return full
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// Lookup returns the entry's folder if the entry is there.
func (c *Cache) Lookup(kind, key string) (string, bool) {
	if checkName(kind, key) != nil {
		return "", false
	}
	dir := c.path(kind, key)
	if !isDir(dir) {
		return "", false
	}
	l, err := openLock(c.lockPath(kind, key))
	if err != nil || l.try(unix.LOCK_SH) != nil {
		// It cannot be locked: a read-only cache, or someone removes it now.
		if l != nil {
			l.close()
		}
		return dir, err != nil && isDir(dir)
	}
	if !isDir(dir) {
		l.close()
		return "", false
	}
	now := time.Now()
	os.Chtimes(dir, now, now) // List shows it as the time of last use
	return dir, c.keep(l) == nil
}

// discard renames before it removes, so that half an entry is never seen.
func (c *Cache) discard(kind, key string) error {
	tmp := filepath.Join(c.root, tmpDir, kind, key)
	if err := removeAll(tmp); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(tmp), 0o755); err != nil {
		return err
	}
	if err := os.Rename(c.path(kind, key), tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeAll(tmp)
}

// Work opens a folder that is kept from run to run and changed in place, for
// tools with a state of their own. The caller has it alone until done is called.
func (c *Cache) Work(ctx context.Context, kind, key string) (dir string, done func(), err error) {
	if err := checkName(kind, key); err != nil {
		return "", nil, err
	}
	l, err := c.lock(ctx, kind, key, func() {
		c.progress.Printf("  another run is using %s %s: waiting for it", kind, key)
	}, nil)
	if err != nil {
		return "", nil, err
	}
	dir = c.path(kind, key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.close()
		return "", nil, err
	}
	return dir, l.close, nil
}

// Note reads a small record.
func (c *Cache) Note(kind, key string) ([]byte, bool) {
	b, err := os.ReadFile(c.path(kind, key) + noteExt)
	return b, err == nil
}

// WriteNote writes a small record, whole or not at all.
func (c *Cache) WriteNote(kind, key string, data []byte) error {
	if err := checkName(kind, key); err != nil {
		return err
	}
	path := c.path(kind, key) + noteExt
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(c.root, tmpDir), "note-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return c.noteFull(err)
	}
	return nil
}

// Key makes a key: a part for people and a hash of everything that the entry
// depends on.
func Key(name string, inputs ...string) string {
	h := sha256.New()
	for _, in := range inputs {
		fmt.Fprintf(h, "%d:%s,", len(in), in)
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(".+~_-", r):
			return r
		}
		return '_'
	}, name)
	return strings.TrimLeft(clean, ".") + "-" + hex.EncodeToString(h.Sum(nil))[:12]
}

func (c *Cache) path(kind, key string) string     { return filepath.Join(c.root, kind, key) }
func (c *Cache) lockPath(kind, key string) string { return filepath.Join(c.root, lockDir, kind, key) }

func checkName(kind, key string) error {
	for _, s := range []string{kind, key} {
		if s == "" || strings.HasPrefix(s, ".") || strings.ContainsAny(s, "/\x00") || kind == tmpDir || kind == lockDir {
			return fmt.Errorf("cache: bad name %q/%q", kind, key)
		}
	}
	return nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// removeAll also removes folders without write permission, as packages and
// kernel trees may bring them.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
