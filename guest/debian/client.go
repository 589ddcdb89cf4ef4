package debian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/qcemu/qcemu/guest/cache"
	"github.com/qcemu/qcemu/progress"
)

// Options of a Client.
type Options struct {
	Cache    *cache.Cache
	Progress *progress.Printer
	Mirror   string // the Debian mirror; empty: the machine's
	Refresh  bool   // look for newer packages even if the cache has a set
}

// Client brings packages.
type Client struct {
	Options

	mu        sync.Mutex
	refreshed map[string]bool // architectures whose lists were fetched anew
}

// New returns a client. Nothing happens before a package is asked for.
func New(o Options) *Client { return &Client{Options: o, refreshed: map[string]bool{}} }

// Kinds of cache entries.
const (
	kindApt    = "apt"    // private apt states, one for each architecture
	kindTree   = "tree"   // unpacked packages
	kindSource = "source" // kernel source archives
)

// QEMU brings a QEMU with the vfio-user client, to run on this machine.
func (c *Client) QEMU(ctx context.Context) (*Tree, error) {
	arch, err := hostArch(ctx)
	if err != nil {
		return nil, err
	}
	return c.tree(ctx, "QEMU", "qemu", arch, release+"-backports", "qemu-system-arm")
}

// Userland brings programs of another architecture with their libraries.
func (c *Client) Userland(ctx context.Context, arch string, packages ...string) (*Tree, error) {
	if triplets[arch] == "" {
		return nil, fmt.Errorf("unknown Debian architecture %q", arch)
	}
	names := slices.Sorted(slices.Values(packages))
	return c.tree(ctx, arch+" programs", "userland-"+arch, arch, "", names...)
}

// noted is what a request was resolved to the last time.
type noted struct {
	Entry string `json:"entry"` // the key of the tree or source
}

func (c *Client) noted(key string) (string, bool) {
	var n noted
	b, ok := c.Cache.Note(kindApt, key)
	if !ok || c.Refresh || json.Unmarshal(b, &n) != nil {
		return "", false
	}
	return n.Entry, n.Entry != ""
}

func (c *Client) note(key, entry string) error {
	b, err := json.Marshal(noted{entry})
	if err != nil {
		return err
	}
	return c.Cache.WriteNote(kindApt, key, b)
}

// Files of a tree's cache entry.
const (
	treeRoot     = "root"
	treeManifest = "packages.json"
)

func (c *Client) tree(ctx context.Context, what, name, arch, suite string, packages ...string) (*Tree, error) {
	request := cache.Key(name, append([]string{c.Mirror, release, suite, arch}, packages...)...)
	if entry, ok := c.noted(request); ok {
		if dir, ok := c.Cache.Lookup(kindTree, entry); ok {
			return openTree(dir, arch)
		}
	}
	a, done, err := c.open(ctx, arch)
	if err != nil {
		return nil, err
	}
	defer done()
	var dir, entry string
	err = c.withLists(ctx, a, func() error {
		set, err := a.resolve(ctx, suite, packages...)
		if err != nil {
			return err
		}
		if len(set) == 0 {
			return fmt.Errorf("apt-get resolves %s to nothing", strings.Join(packages, " "))
		}
		var total int64
		inputs := make([]string, 0, len(set))
		for _, p := range set {
			total += p.Size
			inputs = append(inputs, p.File+" "+p.Hash)
		}
		slices.Sort(inputs)
		entry = cache.Key(name, inputs...)
		dir, err = c.Cache.Get(ctx, cache.Recipe{
			Kind: kindTree, Key: entry, What: what,
			Space: total * 7, // the archives and what comes out of them
			Make: func(ctx context.Context, dir string) error {
				if err := a.fetch(ctx, what, set); err != nil {
					return err
				}
				return c.unpack(ctx, a, what, set, dir)
			},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := c.note(request, entry); err != nil {
		return nil, err
	}
	return openTree(dir, arch)
}

// withLists calls f with current package lists, once more with newer ones if
// the mirror has moved on.
func (c *Client) withLists(ctx context.Context, a *apt, f func() error) error {
	c.mu.Lock()
	force := c.Refresh && !c.refreshed[a.arch]
	c.refreshed[a.arch] = true
	c.mu.Unlock()
	if err := a.update(ctx, force); err != nil {
		return err
	}
	err := f()
	var explained *explainedError
	if errors.As(err, &explained) && explained.stale() {
		if err := a.update(ctx, true); err != nil {
			return err
		}
		err = f()
	}
	return err
}

// listSpace is what one architecture's lists and apt's indexes of them take.
const listSpace = 200 << 20

// open opens the private apt for an architecture.
func (c *Client) open(ctx context.Context, arch string) (a *apt, done func(), err error) {
	m, err := c.mirrors()
	if err != nil {
		return nil, nil, err
	}
	keyring, err := findKeyring(m.Keyring)
	if err != nil {
		return nil, nil, err
	}
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, nil, fmt.Errorf("%s is missing: packages can be fetched on Debian and Ubuntu only; elsewhere give --qemu and --linux", program)
		}
	}
	if err := c.Cache.CheckSpace(listSpace, "Debian's package lists"); err != nil {
		return nil, nil, err
	}
	dir, done, err := c.Cache.Work(ctx, kindApt, release+"-"+arch)
	if err != nil {
		return nil, nil, err
	}
	a = &apt{dir: dir, arch: arch, mirrors: m, keyring: keyring, progress: c.Progress}
	if err := a.configure(); err != nil {
		done()
		return nil, nil, err
	}
	return a, done, nil
}

func (c *Client) mirrors() (mirrors, error) {
	if c.Mirror != "" {
		if err := CheckMirror(c.Mirror); err != nil {
			return mirrors{}, err
		}
		m := mirrors{Archive: c.Mirror}
		if own, err := pickMirrors(readSources(os.DirFS("/etc/apt"))); err == nil && own.Archive == strings.TrimRight(c.Mirror, "/") {
			m = own
		}
		return m, nil
	}
	return pickMirrors(readSources(os.DirFS("/etc/apt")))
}

func openTree(dir, arch string) (*Tree, error) {
	t := &Tree{Root: filepath.Join(dir, treeRoot), Arch: arch}
	b, err := os.ReadFile(filepath.Join(dir, treeManifest))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &t.Packages); err != nil {
		return nil, fmt.Errorf("%s is damaged: remove %s", filepath.Join(dir, treeManifest), dir)
	}
	return t, nil
}

// hostArch is Debian's name of this machine's architecture.
func hostArch(ctx context.Context) (string, error) {
	if out, err := exec.CommandContext(ctx, "dpkg", "--print-architecture").Output(); err == nil {
		if arch := strings.TrimSpace(string(out)); triplets[arch] != "" {
			return arch, nil
		}
	}
	for arch, goarch := range map[string]string{"amd64": "amd64", "arm64": "arm64", "riscv64": "riscv64", "ppc64el": "ppc64le", "s390x": "s390x"} {
		if goarch == runtime.GOARCH {
			return arch, nil
		}
	}
	return "", fmt.Errorf("no Debian packages are known for a machine of type %s", runtime.GOARCH)
}
