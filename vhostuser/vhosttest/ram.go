package vhosttest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// RAM is one region of guest memory, in a file that the back-end maps.
type RAM struct {
	wire.Region
	FD   int
	mem  []byte
	next uint64
}

// NewRAM returns a region of size bytes at a guest address and a user address.
// It begins at the second page of its file.
func NewRAM(tb testing.TB, guest, user, size uint64) *RAM {
	tb.Helper()
	const offset = 4096
	fd, err := unix.MemfdCreate("ram", unix.MFD_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	if err := unix.Ftruncate(fd, int64(offset+size)); err != nil {
		tb.Fatal(err)
	}
	mem, err := unix.Mmap(fd, offset, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		unix.Munmap(mem)
		unix.Close(fd)
	})
	return &RAM{Region: wire.Region{GuestAddr: guest, Size: size, UserAddr: user, Offset: offset}, FD: fd, mem: mem}
}

// Bytes is the guest's view of n bytes at a guest address.
func (r *RAM) Bytes(guest, n uint64) []byte {
	off := guest - r.GuestAddr
	if guest < r.GuestAddr || off+n > r.Size {
		panic(fmt.Sprintf("vhosttest: %d bytes at %#x are not in the region", n, guest))
	}
	return r.mem[off : off+n : off+n]
}

// Alloc returns the guest address of n bytes that nobody uses. Memory is never
// given back, except all of it by Free.
func (r *RAM) Alloc(n, align uint64) uint64 {
	r.next = (r.next + align - 1) &^ (align - 1)
	at := r.next
	if r.next += n; r.next > r.Size {
		panic("vhosttest: out of guest memory")
	}
	return r.GuestAddr + at
}

// Mark remembers what is allocated; Free gives back what was allocated since.
func (r *RAM) Mark() uint64     { return r.next }
func (r *RAM) Free(mark uint64) { r.next = mark }

// Put allocates memory with p in it.
func (r *RAM) Put(p []byte) Buffer {
	at := r.Alloc(uint64(len(p)), 1)
	copy(r.Bytes(at, uint64(len(p))), p)
	return Buffer{at, uint32(len(p))}
}

// Space allocates n bytes of 0xAA.
func (r *RAM) Space(n int) Buffer {
	at := r.Alloc(uint64(n), 1)
	for i := range r.Bytes(at, uint64(n)) {
		r.Bytes(at, uint64(n))[i] = 0xaa
	}
	return Buffer{at, uint32(n)}
}

// Buffer is a part of guest memory.
type Buffer struct {
	Addr uint64
	Len  uint32
}

// Of returns what is in the buffer.
func (r *RAM) Of(b Buffer) []byte { return r.Bytes(b.Addr, uint64(b.Len)) }

// User returns the user address of a guest address.
func (r *RAM) User(guest uint64) uint64 { return guest - r.GuestAddr + r.UserAddr }
