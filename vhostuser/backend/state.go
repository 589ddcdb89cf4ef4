package backend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
)

// State is memory of the server's own that outlives the process: a file, which
// should lie in memory (/run, /dev/shm), because the keys of crypto sessions are
// in it. It is for front-ends that do not keep in-flight memory for us, as
// QEMU's cryptodev-vhost-user does not.
//
// It belongs to one front-end, the process that has connected: what another one
// has left is wiped.
type State struct {
	file *os.File
	mem  *vhostuser.Memory
	l    inflight
	size uint64
}

// The header of the file: a magic number and the front-end's process.
const (
	stateHeader = pageMask + 1
	stateMagic  = "qcemu-vhost-user-state-1"
	statePeer   = 32
	statePeerID = 16 // process ID, start time
)

// OpenState opens the file or creates it, for a device of one kind. The file is
// locked while it is open.
func OpenState(path string, d Device) (*State, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &State{file: f, mem: &vhostuser.Memory{}}
	if err := s.open(d); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *State) open(d Device) error {
	if err := unix.Flock(int(s.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("in use by another server: %w", err)
	}
	fi, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("not a file")
	}
	n := d.Queues()
	s.l = inflight{mem: s.mem, queues: n, journals: stateHeader, device: stateHeader + uint64(n)*journalArea, lasting: true}
	s.size = (s.l.device + stateSize(d) + pageMask) &^ pageMask
	magic := make([]byte, len(stateMagic))
	s.file.ReadAt(magic, 0)
	if fi.Size() > 0 && (string(magic) != stateMagic || uint64(fi.Size()) != s.size) {
		return fmt.Errorf("not the state of a server like this one: remove it")
	}
	if err := s.file.Truncate(int64(s.size)); err != nil {
		return err
	}
	if err := s.mem.Map(vhostuser.Mapping{Size: s.size, Read: true, Write: true, FD: int(s.file.Fd())}); err != nil {
		return err
	}
	return s.mem.Write(0, []byte(stateMagic))
}

// Close ends the use of the file and removes it: what it has kept is over. After
// Release it does nothing.
func (s *State) Close() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.wipe(), s.remove())
	return errors.Join(err, s.unuse())
}

// Release ends the use of the file and leaves it for the next server, unless
// there has never been a front-end. After Close it does nothing.
func (s *State) Release() error {
	if s.file == nil {
		return nil
	}
	var err error
	if peer, e := s.peer(); e == nil && peer == [statePeerID]byte{} {
		err = s.remove()
	}
	return errors.Join(err, s.unuse())
}

// remove removes the file, if it is the one that the path leads to.
func (s *State) remove() error {
	own, err := s.file.Stat()
	if err != nil {
		return err
	}
	if fi, err := os.Lstat(s.file.Name()); err != nil || !os.SameFile(fi, own) {
		return nil
	}
	return os.Remove(s.file.Name())
}

func (s *State) unuse() error {
	s.mem.UnmapAll()
	err := s.file.Close()
	s.file = nil
	return err
}

// peer is the front-end whose state it is; zero: nobody's.
func (s *State) peer() (id [statePeerID]byte, err error) {
	err = s.mem.Read(statePeer, id[:])
	return id, err
}

// wipe forgets what was kept.
func (s *State) wipe() error {
	zero := make([]byte, 64<<10)
	for at := s.l.journals; at < s.size; at += uint64(len(zero)) {
		if err := s.mem.Write(at, zero[:min(uint64(len(zero)), s.size-at)]); err != nil {
			return err
		}
	}
	return nil
}

// claim makes the state that of a front-end.
func (s *State) claim(pid int) (*inflight, error) {
	var now [statePeerID]byte
	binary.LittleEndian.PutUint64(now[:], uint64(pid))
	binary.LittleEndian.PutUint64(now[8:], startTime(pid))
	was, err := s.peer()
	if err != nil {
		return nil, err
	}
	if now != was || pid == 0 {
		if err := s.wipe(); err != nil {
			return nil, err
		}
		if err := s.mem.Write(statePeer, now[:]); err != nil {
			return nil, err
		}
	}
	l := s.l
	return &l, nil
}

// startTime tells a process from a later one with the same ID (proc(5)).
func startTime(pid int) (ticks uint64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	if f := strings.Fields(rest); len(f) > 19 {
		fmt.Sscan(f[19], &ticks)
	}
	return ticks
}
