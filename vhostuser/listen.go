package vhostuser

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxPath is the longest path of a UNIX socket: sun_path ends with a NUL.
const maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Listen creates a listening UNIX socket at path. A socket that a dead server
// left there is replaced; one that a live server listens on, or a file of any
// other kind, is an error. Closing the listener removes the socket.
func Listen(path string) (*net.UnixListener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the socket's path %s has %d bytes: the kernel takes at most %d", path, len(path), maxPath)
	}
	unlock := lockDir(filepath.Dir(path))
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, errors.Unwrap(err))
	}
	return l, nil
}

// removeStale makes room at path if what is there is a socket without a server.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket: choose another path or remove it", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%s is in use by a running server: stop it or choose another path", path)
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("%s exists and cannot be checked: %w", path, err)
}

// lockDir keeps two servers that start at the same moment from removing each
// other's socket. A directory that cannot be locked is used without.
func lockDir(dir string) (unlock func()) {
	d, err := os.Open(dir)
	if err != nil {
		return func() {}
	}
	unix.Flock(int(d.Fd()), unix.LOCK_EX)
	return func() { d.Close() }
}

// Inherited takes over a UNIX stream socket that the parent process left open
// as fd (--fd, socket activation). It is either a listening socket, returned as
// a listener, or a connected one, returned as a Socket.
func Inherited(fd int) (*net.UnixListener, *Socket, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, nil, fmt.Errorf("file descriptor %d is not a socket: %w", fd, err)
	}
	if listening == 0 {
		s, err := NewSocket(fd)
		return nil, s, err
	}
	f := os.NewFile(uintptr(fd), fmt.Sprintf("fd %d", fd))
	defer f.Close() // FileListener has its own copy
	l, err := net.FileListener(f)
	if err != nil {
		return nil, nil, fmt.Errorf("file descriptor %d: %w", fd, err)
	}
	ul, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, nil, fmt.Errorf("file descriptor %d is not a UNIX socket", fd)
	}
	ul.SetUnlinkOnClose(false) // the path is the parent's
	return ul, nil, nil
}

// Accepted turns an accepted connection into a Socket and closes c.
func Accepted(c *net.UnixConn) (*Socket, error) {
	defer c.Close()
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dupErr error
	if err := rc.Control(func(orig uintptr) {
		fd, dupErr = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 3)
	}); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, dupErr
	}
	s, err := NewSocket(fd)
	if err != nil {
		unix.Close(fd)
	}
	return s, err
}
