package vhostuser

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
)

// memfd returns a file of n bytes that is closed at the end of the test.
func memfd(t testing.TB, n int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("qcemu-test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(n); err != nil {
		t.Fatal(err)
	}
	return f
}

func rw(f *os.File, addr, size, off uint64) Mapping {
	return Mapping{Addr: addr, Size: size, Read: true, Write: true, FD: int(f.Fd()), Offset: off}
}

func mustMap(t testing.TB, m *Memory, d Mapping) {
	t.Helper()
	if err := m.Map(d); err != nil {
		t.Fatal(err)
	}
}

func reason(err error) bus.Reason {
	var f *bus.Fault
	if errors.As(err, &f) {
		return f.Reason
	}
	return 0
}

// mappings counts the mappings of test files in this process.
func mappings(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	return strings.Count(string(b), "qcemu-test")
}

func TestMapErrors(t *testing.T) {
	f := memfd(t, 1<<20)
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer CloseFDs(pipe)
	const top = ^uint64(0)
	for _, tt := range []struct {
		name string
		m    Mapping
		want error
	}{
		{"empty", rw(f, 0x1000, 0, 0), unix.EINVAL},
		{"wraps", rw(f, top-0xfff, 0x2000, 0), unix.EINVAL},
		{"address not aligned", rw(f, 0x1800, 0x1000, 0), unix.EINVAL},
		{"size not aligned", rw(f, 0x1000, 0x800, 0), unix.EINVAL},
		{"offset not aligned", rw(f, 0x1000, 0x1000, 0x10), unix.EINVAL},
		{"no access", Mapping{Addr: 0x1000, Size: 0x1000, FD: int(f.Fd())}, unix.EINVAL},
		{"giant", rw(f, 0x200000, 1<<63, 0), unix.EINVAL},
		{"offset past every file", rw(f, 0x1000, 0x1000, 1<<63-0x1000), unix.EINVAL},
		{"not mappable", Mapping{Addr: 0x1000, Size: 0x1000, Read: true, FD: pipe[0]}, unix.ENODEV},
		{"same", rw(f, 0x100000, 0x2000, 0), unix.EEXIST},
		{"inside", rw(f, 0x101000, 0x1000, 0), unix.EEXIST},
		{"around", rw(f, 0xff000, 0x4000, 0), unix.EEXIST},
		{"last page", rw(f, 0x101000, 0x2000, 0), unix.EEXIST},
		{"first page", rw(f, 0xff000, 0x2000, 0), unix.EEXIST},
		{"before", rw(f, 0xff000, 0x1000, 0), nil},
		{"behind", rw(f, 0x102000, 0x1000, 0), nil},
		{"up to the end", rw(f, top-0xfff, 0x1000, 0), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Memory
			defer m.UnmapAll()
			mustMap(t, &m, rw(f, 0x100000, 0x2000, 0))
			if err := m.Map(tt.m); !errors.Is(err, tt.want) {
				t.Errorf("Map: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	f := memfd(t, 0x10000)
	var m Memory
	defer m.UnmapAll()
	mustMap(t, &m, rw(f, 0x40000000, 0x2000, 0x3000))
	mustMap(t, &m, rw(f, 0x40002000, 0x1000, 0x8000)) // touches the first
	mustMap(t, &m, Mapping{Addr: 0x50000000, Size: 0x1000, Read: true, FD: int(f.Fd()), Offset: 0x3000})
	mustMap(t, &m, Mapping{Addr: 0x60000000, Size: 0x1000, Write: true, FD: int(f.Fd()), Offset: 0x4000})
	const top = ^uint64(0)
	mustMap(t, &m, rw(f, top-0xfff, 0x1000, 0))

	for _, tt := range []struct {
		name        string
		addr        uint64
		n           int
		read, write bus.Reason
	}{
		{"first", 0x40000000, 4, 0, 0},
		{"all", 0x40000000, 0x2000, 0, 0},
		{"across", 0x40001ffe, 4, 0, 0},
		{"across to the last byte", 0x40001000, 0x2000, 0, 0},
		{"one too far", 0x40001000, 0x2001, bus.Unmapped, bus.Unmapped},
		{"one too early", 0x3fffffff, 4, bus.Unmapped, bus.Unmapped},
		{"nothing there", 0x1000, 1, bus.Unmapped, bus.Unmapped},
		{"read-only", 0x50000010, 8, 0, bus.ReadOnly},
		{"write-only", 0x60000010, 8, bus.Unmapped, 0},
		{"end of space", top, 1, 0, 0},
		{"past the end of space", top, 2, bus.Unmapped, bus.Unmapped},
		{"empty", 0x1000, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := make([]byte, tt.n)
			if got := reason(m.Read(tt.addr, p)); got != tt.read {
				t.Errorf("Read: %v, want %v", got, tt.read)
			}
			if got := reason(m.Write(tt.addr, p)); got != tt.write {
				t.Errorf("Write: %v, want %v", got, tt.write)
			}
		})
	}

	// What goes through the table is what the file has, offsets included.
	if err := m.Write(0x40001fff, []byte{0xa1, 0xb2}); err != nil {
		t.Fatal(err)
	}
	var got [2]byte
	f.ReadAt(got[:1], 0x4fff)
	f.ReadAt(got[1:], 0x8000)
	if diff := cmp.Diff([2]byte{0xa1, 0xb2}, got); diff != "" {
		t.Errorf("file after write (-want +got):\n%s", diff)
	}
	f.WriteAt([]byte{0x77}, 0x3123)
	var b [1]byte
	if err := m.Read(0x50000123, b[:]); err != nil || b[0] != 0x77 {
		t.Errorf("Read = %#x, %v, want 0x77", b, err)
	}
}

func TestUnmap(t *testing.T) {
	f := memfd(t, 0x10000)
	before := mappings(t)
	var m Memory
	fill := func() {
		m.UnmapAll()
		for i := range uint64(4) {
			mustMap(t, &m, rw(f, 0x1000*i, 0x1000, 0))
		}
		mustMap(t, &m, rw(f, 0x10000, 0x2000, 0))
	}
	for _, tt := range []struct {
		name       string
		addr, size uint64
		n          int
		err        error
	}{
		{"one", 0x1000, 0x1000, 1, nil},
		{"several", 0x1000, 0x3000, 3, nil},
		{"with holes", 0, 0x20000, 5, nil},
		{"nothing there", 0x8000, 0x1000, 0, unix.ENOENT},
		{"cuts the last", 0x1000, 0x10000, 0, unix.EINVAL},
		{"cuts the first", 0x11000, 0x1000, 0, unix.EINVAL},
		{"empty", 0x1000, 0, 0, unix.EINVAL},
		{"wraps", 0x1000, ^uint64(0), 0, unix.EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fill()
			var b [1]byte
			m.Read(tt.addr, b[:]) // make it the cached range
			n, err := m.Unmap(tt.addr, tt.size)
			if n != tt.n || !errors.Is(err, tt.err) {
				t.Fatalf("Unmap = %d, %v, want %d, %v", n, err, tt.n, tt.err)
			}
			if want := 5 - tt.n; m.Len() != want {
				t.Errorf("%d ranges left, want %d", m.Len(), want)
			}
			if got := reason(m.Read(tt.addr, b[:])); tt.n > 0 && got != bus.Unmapped {
				t.Errorf("Read of unmapped memory: %v", got)
			}
		})
	}
	m.UnmapAll()
	if after := mappings(t); after != before {
		t.Errorf("%d mappings leaked", after-before)
	}
}

// TestTruncated shrinks a file under its mapping.
func TestTruncated(t *testing.T) {
	f := memfd(t, 0x4000)
	var m Memory
	defer m.UnmapAll()
	mustMap(t, &m, rw(f, 0x1000, 0x4000, 0))
	if err := f.Truncate(0x1000); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 0x2000)
	for _, tt := range []struct {
		name string
		addr uint64
		n    int
		want bus.Reason
	}{
		{"still there", 0x1000, 0x1000, 0},
		{"gone", 0x3000, 4, bus.Truncated},
		{"across the end", 0x1800, 0x1000, bus.Truncated},
	} {
		if got := reason(m.Read(tt.addr, p[:tt.n])); got != tt.want {
			t.Errorf("%s: Read: %v, want %v", tt.name, got, tt.want)
		}
		if got := reason(m.Write(tt.addr, p[:tt.n])); got != tt.want {
			t.Errorf("%s: Write: %v, want %v", tt.name, got, tt.want)
		}
	}
	if err := f.Truncate(0x4000); err != nil {
		t.Fatal(err)
	}
	if err := m.Read(0x3000, p[:4]); err != nil {
		t.Errorf("Read after the file has grown again: %v", err)
	}
}

// TestGuardPassesPanics: only faults are caught.
func TestGuardPassesPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a panic that is no fault was swallowed")
		}
	}()
	var far bus.Memory // nil: calling it panics
	r := mapped{last: 10, read: true, far: far, mem: make([]byte, 1)}
	r.move(5, make([]byte, 3), false) // beyond mem
}

type farMemory struct{ err error }

func (f farMemory) Read(addr uint64, p []byte) error {
	for i := range p {
		p[i] = byte(addr) + byte(i)
	}
	return f.err
}
func (f farMemory) Write(uint64, []byte) error { return f.err }

func TestFar(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bus.Reason
	}{
		{"works", nil, 0},
		{"faults", &bus.Fault{Reason: bus.ReadOnly}, bus.ReadOnly},
		{"fails", unix.EIO, bus.Unmapped},
	} {
		var m Memory
		mustMap(t, &m, Mapping{Addr: 0x1000, Size: 0x1000, Read: true, Write: true, FD: -1, Far: farMemory{tt.err}})
		p := make([]byte, 3)
		if got := reason(m.Read(0x1020, p)); got != tt.want {
			t.Errorf("%s: Read: %v, want %v", tt.name, got, tt.want)
		}
		if got := reason(m.Write(0x1020, p)); got != tt.want {
			t.Errorf("%s: Write: %v, want %v", tt.name, got, tt.want)
		}
		if want := []byte{0x20, 0x21, 0x22}; tt.err == nil && !bytes.Equal(p, want) {
			t.Errorf("Read = %x, want %x", p, want)
		}
	}
}

// TestRandomAccess compares the table with a flat array.
func TestRandomAccess(t *testing.T) {
	const pages = 16
	rnd := rand.New(rand.NewPCG(1, 2))
	f := memfd(t, pages*pageSize)
	var m Memory
	defer m.UnmapAll()
	flat := make([]byte, pages*pageSize)
	var there [pages]bool
	for range 20000 {
		page := rnd.Uint64N(pages)
		switch rnd.IntN(8) {
		case 0:
			err := m.Map(rw(f, page*pageSize, pageSize, page*pageSize))
			if (err == nil) == there[page] {
				t.Fatalf("Map of page %d, mapped %v: %v", page, there[page], err)
			}
			there[page] = true
		case 1:
			_, err := m.Unmap(page*pageSize, pageSize)
			if (err == nil) != there[page] {
				t.Fatalf("Unmap of page %d, mapped %v: %v", page, there[page], err)
			}
			there[page] = false
		default:
			n := 1 + rnd.IntN(2*pageSize)
			off := rnd.IntN(len(flat) - n)
			ok := true
			for i := off / pageSize; i <= (off+n-1)/pageSize; i++ {
				ok = ok && there[i]
			}
			p := make([]byte, n)
			if rnd.IntN(2) == 0 {
				err := m.Read(uint64(off), p)
				if (err == nil) != ok || ok && !bytes.Equal(p, flat[off:off+n]) {
					t.Fatalf("Read of %d at %#x: %v, mapped %v, or wrong bytes", n, off, err, ok)
				}
				continue
			}
			if !ok {
				continue // would write a part
			}
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
			copy(flat[off:], p)
			if err := m.Write(uint64(off), p); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAccessAllocatesNothing(t *testing.T) {
	f := memfd(t, 0x2000)
	var m Memory
	defer m.UnmapAll()
	mustMap(t, &m, rw(f, 0, 0x1000, 0))
	mustMap(t, &m, rw(f, 0x1000, 0x1000, 0x1000))
	p := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		m.Read(0x10, p)
		m.Write(0xff0, p)
	}); n != 0 {
		t.Errorf("%v allocations per access", n)
	}
}

func BenchmarkRead(b *testing.B) {
	f := memfd(b, 1<<20)
	var m Memory
	defer m.UnmapAll()
	mustMap(b, &m, rw(f, 0x40000000, 1<<20, 0))
	for _, n := range []int{8, 16, 4096} {
		b.Run(sizeName(n), func(b *testing.B) {
			p := make([]byte, n)
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := m.Read(0x40000100, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizeName(n int) string {
	if n >= 1024 {
		return "4KiB"
	}
	return map[int]string{8: "descriptor", 16: "element"}[n]
}
