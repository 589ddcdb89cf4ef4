package vhostuser

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
)

// pageSize is the granule of mappings that both protocols agree on.
const pageSize = 4096

// Mapping describes a range of the guest's bus address space.
type Mapping struct {
	Addr, Size  uint64
	Read, Write bool // what the peer allows

	// FD is the file that backs the range, from Offset on; Map does not take
	// it over. It is -1 for memory that is not shared: accesses then go to Far.
	FD     int
	Offset uint64
	Far    bus.Memory
}

// Memory is the guest memory that the peer has mapped for us: a table of
// disjoint ranges that changes at run time. It implements bus.Memory and is
// safe for concurrent use; an access may span ranges that touch.
//
// Map and Unmap wait for accesses in progress, so that nothing touches a range
// after Unmap has returned.
type Memory struct {
	mu     sync.RWMutex
	ranges []*mapped // sorted by address, disjoint

	last atomic.Pointer[mapped] // the range of the last access, most likely the next
}

var _ bus.Memory = (*Memory)(nil)

type mapped struct {
	addr, last  uint64 // first and last byte: a range may end at 2^64
	read, write bool
	mem         []byte     // the file, mapped; nil if far is set
	far         bus.Memory // memory that only the peer can reach
}

// Map adds a range. It returns EEXIST if the range overlaps another one, EINVAL
// if it is empty, unaligned or wraps around, or what mmap says of the file.
func (m *Memory) Map(d Mapping) error {
	r := &mapped{addr: d.Addr, last: d.Addr + d.Size - 1, read: d.Read, write: d.Write, far: d.Far}
	switch {
	case d.Size == 0 || r.last < d.Addr:
		return fmt.Errorf("map of %#x bytes at %#x: %w", d.Size, d.Addr, unix.EINVAL)
	case (d.Addr|d.Size|d.Offset)%pageSize != 0:
		return fmt.Errorf("map of %#x bytes at %#x, offset %#x: not page-aligned: %w", d.Size, d.Addr, d.Offset, unix.EINVAL)
	case !d.Read && !d.Write:
		return fmt.Errorf("map of %#x bytes at %#x with no access allowed: %w", d.Size, d.Addr, unix.EINVAL)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	i, overlap := m.search(r.addr, r.last)
	if overlap {
		return fmt.Errorf("map of %#x bytes at %#x overlaps the map at %#x: %w", d.Size, d.Addr, m.ranges[i].addr, unix.EEXIST)
	}
	if d.FD >= 0 {
		mem, err := mapFile(d)
		if err != nil {
			return fmt.Errorf("map of %#x bytes at %#x: %w", d.Size, d.Addr, err)
		}
		r.mem, r.far = mem, nil
	}
	m.ranges = slices.Insert(m.ranges, i, r)
	return nil
}

func mapFile(d Mapping) ([]byte, error) {
	if d.Size > math.MaxInt || d.Offset > math.MaxInt64-d.Size {
		return nil, unix.EINVAL
	}
	prot := unix.PROT_READ
	if d.Write {
		prot |= unix.PROT_WRITE
	}
	mem, err := unix.Mmap(d.FD, int64(d.Offset), int(d.Size), prot, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	unix.Madvise(mem, unix.MADV_DONTDUMP) // the guest's secrets are not for our core file
	return mem, nil
}

// Unmap removes the ranges that lie between addr and addr+size-1 and returns
// how many they were. Cutting a range in two is EINVAL, nothing there ENOENT;
// then the table is left as it was.
func (m *Memory) Unmap(addr, size uint64) (int, error) {
	last := addr + size - 1
	if size == 0 || last < addr {
		return 0, fmt.Errorf("unmap of %#x bytes at %#x: %w", size, addr, unix.EINVAL)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, overlap := m.search(addr, last)
	if !overlap {
		return 0, fmt.Errorf("unmap of %#x bytes at %#x: nothing is mapped there: %w", size, addr, unix.ENOENT)
	}
	j := i
	for ; j < len(m.ranges) && m.ranges[j].addr <= last; j++ {
		if r := m.ranges[j]; r.addr < addr || r.last > last {
			return 0, fmt.Errorf("unmap of %#x bytes at %#x cuts the map at %#x: %w", size, addr, r.addr, unix.EINVAL)
		}
	}
	m.drop(i, j)
	return j - i, nil
}

// UnmapAll removes every range and returns how many they were.
func (m *Memory) UnmapAll() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.ranges)
	m.drop(0, n)
	return n
}

// Len returns the number of ranges.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.ranges)
}

// drop releases ranges i to j-1. m.mu is held for writing.
func (m *Memory) drop(i, j int) {
	for _, r := range m.ranges[i:j] {
		if r.mem != nil {
			unix.Munmap(r.mem)
		}
	}
	m.ranges = slices.Delete(m.ranges, i, j)
	m.last.Store(nil)
}

// search returns the index of the first range that ends at or after addr, and
// whether it begins at or before last. m.mu is held.
func (m *Memory) search(addr, last uint64) (int, bool) {
	i, _ := slices.BinarySearchFunc(m.ranges, addr, func(r *mapped, a uint64) int {
		if r.last < a {
			return -1
		}
		return 1
	})
	return i, i < len(m.ranges) && m.ranges[i].addr <= last
}

// Read implements bus.Memory.
func (m *Memory) Read(addr uint64, p []byte) error { return m.access(addr, p, false) }

// Write implements bus.Memory.
func (m *Memory) Write(addr uint64, p []byte) error { return m.access(addr, p, true) }

func (m *Memory) access(addr uint64, p []byte, write bool) error {
	m.mu.RLock()
	why := m.walk(addr, p, write)
	m.mu.RUnlock()
	if why != 0 {
		return &bus.Fault{Addr: addr, Len: len(p), Write: write, Reason: why}
	}
	return nil
}

// walk moves p range by range. m.mu is held for reading.
func (m *Memory) walk(addr uint64, p []byte, write bool) bus.Reason {
	for len(p) > 0 {
		r := m.find(addr)
		if r == nil {
			return bus.Unmapped
		}
		n := len(p)
		if left := r.last - addr; uint64(n-1) > left {
			n = int(left + 1)
		}
		if why := r.move(addr, p[:n], write); why != 0 {
			return why
		}
		p = p[n:]
		addr += uint64(n)
		if len(p) > 0 && addr == 0 {
			return bus.Unmapped // beyond 2^64
		}
	}
	return 0
}

func (m *Memory) find(addr uint64) *mapped {
	if r := m.last.Load(); r != nil && addr >= r.addr && addr <= r.last {
		return r
	}
	i, ok := m.search(addr, addr)
	if !ok {
		return nil
	}
	m.last.Store(m.ranges[i])
	return m.ranges[i]
}

// move copies between p and the range. All of p lies in the range.
func (r *mapped) move(addr uint64, p []byte, write bool) bus.Reason {
	switch {
	case write && !r.write:
		return bus.ReadOnly
	case !write && !r.read:
		return bus.Unmapped // mapped for writing only
	case r.far != nil:
		return r.moveFar(addr, p, write)
	}
	mem := r.mem[addr-r.addr:][:len(p)]
	ok := false
	if write {
		ok = copyGuarded(mem, p)
	} else {
		ok = copyGuarded(p, mem)
	}
	if !ok {
		return bus.Truncated
	}
	return 0
}

func (r *mapped) moveFar(addr uint64, p []byte, write bool) bus.Reason {
	var err error
	if write {
		err = r.far.Write(addr, p)
	} else {
		err = r.far.Read(addr, p)
	}
	if f, ok := err.(*bus.Fault); ok {
		return f.Reason
	} else if err != nil {
		return bus.Unmapped
	}
	return 0
}

// Covers reports whether all of a range is mapped and allows reading, or
// writing. It can be unmapped right after.
func (m *Memory) Covers(addr, size uint64, write bool) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if size == 0 || addr+size-1 < addr {
		return false
	}
	for last := addr + size - 1; ; {
		r := m.find(addr)
		if r == nil || write && !r.write || !write && !r.read {
			return false
		}
		if r.last >= last {
			return true
		}
		addr = r.last + 1
	}
}
