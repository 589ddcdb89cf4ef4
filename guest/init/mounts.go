package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mounts are the kernel's own file systems. An optional one may be missing from
// the kernel.
var mounts = []struct {
	kind, at string
	flags    uintptr
	data     string
	optional bool
}{
	{kind: "proc", at: "/proc", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{kind: "sysfs", at: "/sys", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{kind: "devtmpfs", at: "/dev", flags: unix.MS_NOSUID},
	{kind: "devpts", at: "/dev/pts", flags: unix.MS_NOSUID | unix.MS_NOEXEC, optional: true},
	{kind: "tmpfs", at: "/dev/shm", flags: unix.MS_NOSUID | unix.MS_NODEV, optional: true},
	{kind: "tmpfs", at: "/tmp", flags: unix.MS_NOSUID | unix.MS_NODEV, optional: true},
	{kind: "tmpfs", at: "/run", flags: unix.MS_NOSUID | unix.MS_NODEV, optional: true},
	{kind: "debugfs", at: "/sys/kernel/debug", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, optional: true},
}

func mountAll() error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.at, 0o755); err != nil && !m.optional {
			return err
		}
		err := unix.Mount(m.kind, m.at, m.kind, m.flags, m.data)
		if err == unix.EBUSY || m.optional {
			continue // EBUSY: the kernel has mounted it (CONFIG_DEVTMPFS_MOUNT)
		}
		if err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.kind, m.at, err)
		}
	}
	return nil
}
