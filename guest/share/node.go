package share

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hugelgupf/p9/fsimpl/readdir"
	"github.com/hugelgupf/p9/fsimpl/staticfs"
	"github.com/hugelgupf/p9/fsimpl/templatefs"
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"

	"github.com/qcemu/qcemu/guest/job"
)

// node is a file or folder of the host. It is known by its path below the
// root; each call resolves the path anew through os.Root, which does not let it
// lead outside.
type node struct {
	templatefs.NoopFile
	p9.DefaultWalkGetAttr

	server *Server

	mu      sync.Mutex
	path    string   // guarded by mu; changes with Renamed
	file    *os.File // guarded by mu; set by Open and Create
	entries []string // guarded by mu; of a folder, read at offset 0
}

var _ p9.File = (*node)(nil)

// where returns the node's path, or that of a child.
func (n *node) where(child ...string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return path.Join(append([]string{n.path}, child...)...)
}

func (n *node) opened() *os.File {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.file
}

// errno turns an error of os.Root into one that the client understands.
func errno(err error) error {
	var number syscall.Errno
	var ours linux.Errno
	switch {
	case err == nil, err == io.EOF:
		return err
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &number):
		return linux.Errno(number)
	case errors.Is(err, fs.ErrNotExist):
		return linux.ENOENT
	case errors.Is(err, fs.ErrExist):
		return linux.EEXIST
	default:
		return linux.EPERM // among them: the path escapes from its root
	}
}

// Walk implements p9.File.
func (n *node) Walk(names []string) ([]p9.QID, p9.File, error) {
	at := n.where()
	var qids []p9.QID
	for i, name := range names {
		if at == "." && name == job.ControlName && i == len(names)-1 {
			f, err := n.server.control.handle()
			if err != nil {
				return nil, nil, err
			}
			return append(qids, f.qid()), f, nil
		}
		if data := n.server.job.Load(); at == "." && name == job.FileName && data != nil && i == len(names)-1 {
			f := staticfs.ReadOnlyFile(string(*data))
			qid, _, _, err := f.GetAttr(p9.AttrMask{Mode: true})
			return append(qids, qid), f, err
		}
		at = path.Join(at, name)
		info, err := n.server.root.Lstat(at)
		if err != nil {
			return nil, nil, errno(err)
		}
		qids = append(qids, qidOf(info))
	}
	next, err := n.server.node(at)
	if err != nil {
		return nil, nil, err
	}
	return qids, next, nil
}

func (n *node) stat() (fs.FileInfo, error) {
	if f := n.opened(); f != nil {
		return f.Stat()
	}
	return n.server.root.Lstat(n.where())
}

// GetAttr implements p9.File.
func (n *node) GetAttr(req p9.AttrMask) (p9.QID, p9.AttrMask, p9.Attr, error) {
	info, err := n.stat()
	if err != nil {
		return p9.QID{}, p9.AttrMask{}, p9.Attr{}, errno(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return qidOf(info), req, p9.Attr{
		Mode:             p9.FileMode(st.Mode),
		NLink:            p9.NLink(st.Nlink),
		Size:             uint64(st.Size),
		BlockSize:        uint64(st.Blksize),
		Blocks:           uint64(st.Blocks),
		ATimeSeconds:     uint64(st.Atim.Sec),
		ATimeNanoSeconds: uint64(st.Atim.Nsec),
		MTimeSeconds:     uint64(st.Mtim.Sec),
		MTimeNanoSeconds: uint64(st.Mtim.Nsec),
		CTimeSeconds:     uint64(st.Ctim.Sec),
		CTimeNanoSeconds: uint64(st.Ctim.Nsec),
	}, nil // owner: root in the guest, whoever runs the server on the host
}

// qidOf identifies a file by device and inode.
func qidOf(info fs.FileInfo) p9.QID {
	st := info.Sys().(*syscall.Stat_t)
	return p9.QID{
		Type: p9.ModeFromOS(info.Mode()).QIDType(),
		Path: st.Ino ^ st.Dev<<48,
	}
}

// SetAttr implements p9.File. Owners are not kept.
func (n *node) SetAttr(valid p9.SetAttrMask, attr p9.SetAttr) error {
	at, root := n.where(), n.server.root
	info, err := n.stat()
	if err != nil {
		return errno(err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return linux.EPERM
	}
	if valid.Permissions {
		if err := root.Chmod(at, info.Mode()&^fs.ModePerm|fs.FileMode(attr.Permissions)&fs.ModePerm); err != nil {
			return errno(err)
		}
	}
	if valid.Size {
		if attr.Size > math.MaxInt64 {
			return linux.EINVAL
		}
		if err := n.truncate(int64(attr.Size)); err != nil {
			return errno(err)
		}
	}
	if valid.ATime || valid.MTime {
		var atime, mtime time.Time // zero: unchanged
		if valid.ATime {
			atime = timeOf(valid.ATimeNotSystemTime, attr.ATimeSeconds, attr.ATimeNanoSeconds)
		}
		if valid.MTime {
			mtime = timeOf(valid.MTimeNotSystemTime, attr.MTimeSeconds, attr.MTimeNanoSeconds)
		}
		if err := root.Chtimes(at, atime, mtime); err != nil {
			return errno(err)
		}
	}
	return nil
}

func timeOf(given bool, sec, nsec uint64) time.Time {
	if !given {
		return time.Now()
	}
	return time.Unix(int64(sec), int64(nsec%1e9))
}

func (n *node) truncate(size int64) error {
	if f := n.opened(); f != nil {
		if err := f.Truncate(size); err == nil {
			return nil
		} // else: opened for reading only
	}
	f, err := n.server.openFile(n.where(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer n.server.closeFile(f)
	return f.Truncate(size)
}

// openFile opens a regular file or a folder and counts it. A FIFO or a device
// in the folder would block the server or let the guest reach the host's
// hardware: never opened.
func (s *Server) openFile(at string, flags int, perm fs.FileMode) (*os.File, error) {
	if err := take(&s.open, maxOpen); err != nil {
		return nil, err
	}
	f, err := s.root.OpenFile(at, flags|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, perm)
	if err == nil {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			if info.Mode().IsRegular() || info.IsDir() {
				return f, nil
			}
			err = linux.EPERM
		}
		f.Close()
	}
	s.open.Add(-1)
	return nil, err
}

func (s *Server) closeFile(f *os.File) error {
	s.open.Add(-1)
	return f.Close()
}

// accessFlags keeps of the client's open flags what has a meaning here: 9P
// writes carry their offset, so O_APPEND has none.
func accessFlags(flags p9.OpenFlags) int {
	return int(flags) & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR | os.O_TRUNC)
}

// Open implements p9.File.
func (n *node) Open(flags p9.OpenFlags) (p9.QID, uint32, error) {
	at := n.where()
	info, err := n.server.root.Lstat(at)
	if err != nil {
		return p9.QID{}, 0, errno(err)
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return p9.QID{}, 0, linux.EPERM
	}
	f, err := n.server.openFile(at, accessFlags(flags), 0)
	if err != nil {
		return p9.QID{}, 0, errno(err)
	}
	n.mu.Lock()
	n.file = f
	n.mu.Unlock()
	return qidOf(info), 0, nil
}

// Create implements p9.File.
func (n *node) Create(name string, flags p9.OpenFlags, perm p9.FileMode, _ p9.UID, _ p9.GID) (p9.File, p9.QID, uint32, error) {
	at := n.where(name)
	if at == job.ControlName {
		return nil, p9.QID{}, 0, linux.EEXIST
	}
	child, err := n.server.node(at)
	if err != nil {
		return nil, p9.QID{}, 0, err
	}
	child.file, err = n.server.openFile(at, accessFlags(flags)|os.O_CREATE|os.O_EXCL, fs.FileMode(perm)&fs.ModePerm)
	if err != nil {
		child.Close()
		return nil, p9.QID{}, 0, errno(err)
	}
	info, err := child.file.Stat()
	if err != nil {
		child.Close()
		return nil, p9.QID{}, 0, errno(err)
	}
	return child, qidOf(info), 0, nil
}

// Close implements p9.File.
func (n *node) Close() error {
	n.server.nodes.Add(-1)
	if f := n.opened(); f != nil {
		return n.server.closeFile(f)
	}
	return nil
}

// ReadAt implements p9.File.
func (n *node) ReadAt(p []byte, off int64) (int, error) {
	f := n.opened()
	if f == nil {
		return 0, linux.EBADF
	}
	k, err := f.ReadAt(p, off)
	return k, errno(err)
}

// WriteAt implements p9.File.
func (n *node) WriteAt(p []byte, off int64) (int, error) {
	f := n.opened()
	if f == nil {
		return 0, linux.EBADF
	}
	k, err := f.WriteAt(p, off)
	return k, errno(err)
}

// FSync implements p9.File.
func (n *node) FSync() error {
	f := n.opened()
	if f == nil {
		return linux.EBADF
	}
	return errno(f.Sync())
}

// Readdir implements p9.File. The entries are read once, at offset 0, so that
// the offsets stay good while files come and go.
func (n *node) Readdir(offset uint64, count uint32) (p9.Dirents, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return nil, linux.EBADF
	}
	if offset == 0 || n.entries == nil {
		f, err := n.server.openFile(n.path, os.O_RDONLY, 0)
		if err != nil {
			return nil, errno(err)
		}
		names, err := f.Readdirnames(-1)
		n.server.closeFile(f)
		if err != nil {
			return nil, errno(err)
		}
		slices.Sort(names)
		n.entries = names
	}
	end := min(offset+uint64(count)/direntSize+1, uint64(len(n.entries)))
	qids := map[string]p9.QID{}
	for i := offset; i < end; i++ {
		name := n.entries[i]
		if info, err := n.server.root.Lstat(path.Join(n.path, name)); err == nil {
			qids[name] = qidOf(info)
		}
	}
	return readdir.Readdir(offset, count/direntSize+1, n.entries, qids)
}

// direntSize is the least that an entry takes in a reply: qid, offset, type and
// a name.
const direntSize = 13 + 8 + 1 + 2 + 1

// Mkdir implements p9.File.
func (n *node) Mkdir(name string, perm p9.FileMode, _ p9.UID, _ p9.GID) (p9.QID, error) {
	at := n.where(name)
	if at == job.ControlName {
		return p9.QID{}, linux.EEXIST
	}
	if err := n.server.root.Mkdir(at, fs.FileMode(perm)&fs.ModePerm); err != nil {
		return p9.QID{}, errno(err)
	}
	info, err := n.server.root.Lstat(at)
	if err != nil {
		return p9.QID{}, errno(err)
	}
	return qidOf(info), nil
}

// RenameAt implements p9.File.
func (n *node) RenameAt(oldName string, newDir p9.File, newName string) error {
	dir, ok := newDir.(*node)
	if !ok {
		return linux.ENOTDIR
	}
	from, to := n.where(oldName), dir.where(newName)
	if from == job.ControlName || to == job.ControlName {
		return linux.EPERM
	}
	return errno(n.server.root.Rename(from, to))
}

// Renamed implements p9.File.
func (n *node) Renamed(newDir p9.File, newName string) {
	dir, ok := newDir.(*node)
	if !ok {
		return
	}
	at := dir.where(newName)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path = at
}

// removeDir is AT_REMOVEDIR of unlinkat(2).
const removeDir = 0x200

// UnlinkAt implements p9.File.
func (n *node) UnlinkAt(name string, flags uint32) error {
	at := n.where(name)
	info, err := n.server.root.Lstat(at)
	if err != nil {
		return errno(err)
	}
	switch dir := flags&removeDir != 0; {
	case dir && !info.IsDir():
		return linux.ENOTDIR
	case !dir && info.IsDir():
		return linux.EISDIR
	}
	return errno(n.server.root.Remove(at))
}

// Symlink implements p9.File: refused, a link in the folder could only mislead
// whoever reads it on the host.
func (n *node) Symlink(string, string, p9.UID, p9.GID) (p9.QID, error) {
	return p9.QID{}, linux.EPERM
}

// Link implements p9.File: refused.
func (n *node) Link(p9.File, string) error { return linux.EPERM }

// Mknod implements p9.File: refused.
func (n *node) Mknod(string, p9.FileMode, uint32, uint32, p9.UID, p9.GID) (p9.QID, error) {
	return p9.QID{}, linux.EPERM
}

// Readlink implements p9.File.
func (n *node) Readlink() (string, error) {
	target, err := n.server.root.Readlink(n.where())
	return target, errno(err)
}

// StatFS implements p9.File: made-up figures of a file system with room.
func (n *node) StatFS() (p9.FSStat, error) {
	const blocks = 1 << 20
	return p9.FSStat{
		Type: 0x01021997, BlockSize: 4096, Blocks: blocks, BlocksFree: blocks, BlocksAvailable: blocks,
		Files: blocks, FilesFree: blocks, NameLength: 255,
	}, nil
}
