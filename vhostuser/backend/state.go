package backend

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	dev  Device
	file *os.File
	mem  *vhostuser.Memory
	l    inflight
	size uint64
}

// The header of the file: a magic number, the front-end's process, and the device
// that the state is one of.
const (
	stateHeader = pageMask + 1
	stateMagic  = "qcemu-vhost-user-state-2"
	statePeer   = 32
	statePeerID = 16 // process ID, start time
	stateDevice = 64 // checksum
)

// OpenState opens the file or creates it, for a device of one kind. The file is
// locked while it is open.
func OpenState(path string, d Device) (*State, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: a symbolic link: name the file itself", path)
	}
	if err != nil {
		return nil, err
	}
	s := &State{dev: d, file: f, mem: &vhostuser.Memory{}}
	if err := s.open(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *State) open() error {
	if err := unix.Flock(int(s.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("in use by another server: %w", err)
	}
	n := s.dev.Queues()
	s.l = inflight{mem: s.mem, queues: n, journals: stateHeader, device: stateHeader + uint64(n)*journalArea, lasting: true}
	s.size = (s.l.device + stateSize(s.dev) + pageMask) &^ pageMask
	if err := s.check(); err != nil {
		return err
	}
	if err := s.file.Truncate(int64(s.size)); err != nil {
		return err
	}
	if err := s.mem.Map(vhostuser.Mapping{Size: s.size, Read: true, Write: true, FD: int(s.file.Fd())}); err != nil {
		return err
	}
	device := deviceSum(s.dev)
	if err := s.mem.Write(stateDevice, device[:]); err != nil {
		return err
	}
	return s.mem.Write(0, []byte(stateMagic))
}

// check refuses a file that is not ours alone, or not the state of this device.
func (s *State) check() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.file.Fd()), &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a file")
	case st.Nlink == 0:
		return errors.New("removed by another server at this moment: try again")
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("belongs to user %d, who could read the keys: name another file", st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("others may open it (mode %04o), and keys are in it: make that 0600 or remove it", st.Mode&0o777)
	case st.Size == 0:
		return nil
	}
	var head [stateHeader]byte
	if _, err := s.file.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return err
	}
	device := deviceSum(s.dev)
	switch {
	case st.Size < stateHeader || string(head[:len(stateMagic)]) != stateMagic:
		return errors.New("not the state of a server like this one: remove it")
	case uint64(st.Size) != s.size || [len(device)]byte(head[stateDevice:]) != device:
		return errors.New("the state of a device with other queues or algorithms: start it as it was (--soc, --queues), or remove the file")
	}
	return nil
}

// deviceSum is the same for devices that a guest cannot tell apart.
func deviceSum(d Device) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d %x %x", d.Queues(), d.Features(), d.Config()))
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
	l := s.l
	if now == was && pid != 0 {
		err := s.adoptable(&l)
		if err == nil {
			return &l, nil
		}
		slog.Warn("what was kept for the front-end makes no sense and is dropped", "file", s.file.Name(), "err", err)
	}
	if err := s.wipe(); err != nil {
		return nil, err
	}
	return &l, s.mem.Write(statePeer, now[:])
}

// adoptable lets the device try to take up what was kept: a front-end is not shut
// out for good by it.
func (s *State) adoptable(l *inflight) error {
	if p, ok := s.dev.(Persistent); ok {
		return p.Adopt(l.state())
	}
	return nil
}

// startTime tells a process from a later one with the same ID (proc(5)).
func startTime(pid int) (ticks uint64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return startTimeIn(string(b))
}

// startTimeIn finds the start time in a process's stat file. The second field is
// the program's name in parentheses, in which there may be anything.
func startTimeIn(stat string) (ticks uint64) {
	if f := strings.Fields(stat[strings.LastIndex(stat, ")")+1:]); len(f) > 19 {
		fmt.Sscan(f[19], &ticks)
	}
	return ticks
}
