package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// unpackers is the number of dpkg-deb at a time: each one decompresses on one core.
const unpackers = 3

// unpack unpacks packages from the archives folder into dir/root, writes the
// manifest, and removes the archives.
func (c *Client) unpack(ctx context.Context, a *apt, what string, set []pkg, dir string) (err error) {
	step := c.Progress.Begin("Unpacking %s", what)
	defer func() { step.End(err) }()
	root := filepath.Join(dir, treeRoot)
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	versions := map[string]string{}
	work := make(chan pkg)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		count atomic.Int64
	)
	for range unpackers {
		wg.Go(func() {
			for p := range work {
				if err := unpackOne(ctx, filepath.Join(a.archives(), p.File), root); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
				step.Update(count.Add(1), int64(len(set)), "packages")
			}
		})
	}
	for _, p := range set {
		versions[p.Name] = p.Version
		work <- p
	}
	close(work)
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if first != nil {
		return first
	}
	manifest, err := json.MarshalIndent(versions, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, treeManifest), manifest, 0o644); err != nil {
		return err
	}
	for _, p := range set {
		os.Remove(filepath.Join(a.archives(), p.File))
	}
	return nil
}

func unpackOne(ctx context.Context, deb, root string) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, root)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("unpacking %s: %w: %s", filepath.Base(deb), err, strings.TrimSpace(out.String()))
	}
	return nil
}
