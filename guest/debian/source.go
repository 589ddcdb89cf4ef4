package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/qcemu/qcemu/guest/cache"
)

// Source is a kernel source archive.
type Source struct {
	Linux   string // "6.12"
	Version string // of the package: "6.12.100-1"
	Tarball string // .tar.xz with one folder in it
}

var linuxVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// Source brings the source of a kernel, as Debian builds it. Which versions
// there are is the mirror's matter: a long-term one for years, the newest ones
// for some weeks.
func (c *Client) Source(ctx context.Context, linux string) (*Source, error) {
	if !linuxVersion.MatchString(linux) {
		return nil, fmt.Errorf("%q is no Linux version: it must look like 6.12", linux)
	}
	name := "linux-source-" + linux
	const arch = "amd64" // the package is the same for all; its list is there for QEMU
	request := cache.Key(name, c.Mirror, release)
	if entry, ok := c.noted(request); ok {
		if dir, ok := c.Cache.Lookup(kindSource, entry); ok {
			return openSource(dir, linux)
		}
	}
	a, done, err := c.open(ctx, arch)
	if err != nil {
		return nil, err
	}
	defer done()
	var dir, entry string
	err = c.withLists(ctx, a, func() error {
		p, err := a.resolveOne(ctx, name)
		if err != nil {
			return err
		}
		entry = cache.Key(p.Name+"_"+p.Version, p.Hash)
		dir, err = c.Cache.Get(ctx, cache.Recipe{
			Kind: kindSource, Key: entry, What: name,
			Space: 2 * p.Size,
			Make: func(ctx context.Context, dir string) error {
				deb, err := a.fetchOne(ctx, p)
				if err != nil {
					return err
				}
				defer os.Remove(deb)
				return unpackSource(ctx, deb, dir, name, p.Version)
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
	return openSource(dir, linux)
}

// unpackSource keeps the archive from within the package, and the version.
func unpackSource(ctx context.Context, deb, dir, name, version string) error {
	tmp := filepath.Join(dir, "unpacked")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	if err := unpackOne(ctx, deb, tmp); err != nil {
		return err
	}
	tarball := filepath.Join(tmp, "usr", "src", name+".tar.xz")
	if err := os.Rename(tarball, filepath.Join(dir, name+".tar.xz")); err != nil {
		return fmt.Errorf("the package %s holds no %s.tar.xz", name, name)
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "version"), []byte(version), 0o644), os.RemoveAll(tmp))
}

func openSource(dir, linux string) (*Source, error) {
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, err
	}
	return &Source{Linux: linux, Version: string(version), Tarball: filepath.Join(dir, "linux-source-"+linux+".tar.xz")}, nil
}
