package backend

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// maxSlots is the number of regions that we take.
const maxSlots = 509 // as the kernel's vhost

// memTable is the front-end's memory: where the guest sees it is in mem, where
// the front-end sees it in regions.
type memTable struct {
	mem     *vhostuser.Memory
	regions []wire.Region
}

func newMemTable() *memTable { return &memTable{mem: &vhostuser.Memory{}} }

// add maps a region. fd stays the caller's.
func (t *memTable) add(r wire.Region, fd int) error {
	if r.UserAddr+r.Size < r.UserAddr || len(t.regions) >= maxSlots {
		return fmt.Errorf("region of %#x bytes at user address %#x: %w", r.Size, r.UserAddr, unix.EINVAL)
	}
	for _, o := range t.regions {
		if r.UserAddr < o.UserAddr+o.Size && o.UserAddr < r.UserAddr+r.Size {
			return fmt.Errorf("region at user address %#x overlaps that at %#x: %w", r.UserAddr, o.UserAddr, unix.EEXIST)
		}
	}
	err := t.mem.Map(vhostuser.Mapping{Addr: r.GuestAddr, Size: r.Size, Read: true, Write: true, FD: fd, Offset: r.Offset})
	if err != nil {
		return err
	}
	t.regions = append(t.regions, r)
	return nil
}

// remove unmaps the region that r describes. Its offset does not matter.
func (t *memTable) remove(r wire.Region) error {
	i := slices.IndexFunc(t.regions, func(o wire.Region) bool {
		return o.GuestAddr == r.GuestAddr && o.UserAddr == r.UserAddr && o.Size == r.Size
	})
	if i < 0 {
		return fmt.Errorf("no region of %#x bytes at %#x: %w", r.Size, r.GuestAddr, unix.ENOENT)
	}
	t.regions = slices.Delete(t.regions, i, i+1)
	_, err := t.mem.Unmap(r.GuestAddr, r.Size)
	return err
}

// guest translates a user address.
func (t *memTable) guest(user uint64) (uint64, bool) {
	for _, r := range t.regions {
		if off := user - r.UserAddr; user >= r.UserAddr && off < r.Size {
			return r.GuestAddr + off, true
		}
	}
	return 0, false
}

// setMemTable replaces all of the table, or leaves it as it was.
func (s *session) setMemTable(m *message) (int, error) {
	n := wire.Get[wire.MemTable](m.payload).Count
	rest := m.payload[wire.MemTableSize:]
	if n > wire.MaxRegions || uint64(len(rest)) < uint64(n)*wire.RegionSize || len(m.fds) != int(n) {
		return 0, fmt.Errorf("%d regions in %d bytes with %d file descriptors: %w", n, len(rest), len(m.fds), unix.EINVAL)
	}
	t := newMemTable()
	for i := range int(n) {
		if err := t.add(wire.Get[wire.Region](rest[i*wire.RegionSize:]), m.fds[i]); err != nil {
			t.mem.UnmapAll()
			return 0, err
		}
	}
	return 0, s.restart(func() error {
		s.mem.mem.UnmapAll()
		s.mem = t
		return nil
	})
}

func (s *session) getMaxMemSlots(*message) (int, error) { return s.u64(maxSlots) }

func (s *session) addMemReg(m *message) (int, error) {
	if len(m.fds) != 1 {
		return 0, fmt.Errorf("no file descriptor: %w", unix.EINVAL)
	}
	r := wire.Get[wire.OneRegion](m.payload).Region
	return 0, s.mem.add(r, m.fds[0])
}

// remMemReg takes a file descriptor with the message, as some front-ends send,
// and does not use it.
func (s *session) remMemReg(m *message) (int, error) {
	r := wire.Get[wire.OneRegion](m.payload).Region
	return 0, s.restart(func() error { return s.mem.remove(r) })
}

// restart stops all rings while change is made.
func (s *session) restart(change func() error) error {
	for _, r := range s.rings {
		r.stop()
	}
	err := change()
	for _, r := range s.rings {
		r.update()
	}
	return err
}
