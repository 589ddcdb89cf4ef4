package kernel

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
)

// configStamp is the first file that a build of ours writes to a tree: what is
// older is source.
const configStamp = "guest.config"

// cloneTree makes a copy of a built tree that can be built further without
// touching the first one. Sources, which a build only reads, are shared by hard
// links; everything that a build may write is copied, with its time, by which
// make tells what is to be built again.
func cloneTree(ctx context.Context, from, to string) error {
	stamp, err := os.Stat(filepath.Join(from, configStamp))
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		into := filepath.Join(to, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(into, 0o755)
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, into)
		case !info.Mode().IsRegular():
			return nil
		case info.ModTime().Before(stamp.ModTime()) && os.Link(path, into) == nil:
			return nil
		}
		if err := copyFile(path, into); err != nil {
			return err
		}
		if err := os.Chmod(into, info.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(into, info.ModTime(), info.ModTime())
	})
}

// overlay puts patched files into a cloned tree, and removes those that the
// patches removed. Files are replaced, never written to: the tree shares them.
func overlay(from, tree string, files []string) error {
	for _, name := range files {
		src, dst := filepath.Join(from, name), filepath.Join(tree, name)
		if err := os.RemoveAll(dst); err != nil {
			return err
		}
		if !exists(src) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		if err := copyFile(src, dst); err != nil {
			return err
		}
	}
	return nil
}
