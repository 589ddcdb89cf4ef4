package suites

import (
	"errors"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// window is a page of device registers, mapped.
type window struct{ mem []byte }

// openWindow maps the page at a physical address.
func openWindow(at uint64) (_ *window, err error) {
	f, err := os.OpenFile("/dev/mem", os.O_RDWR|unix.O_SYNC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	mem, err := unix.Mmap(int(f.Fd()), int64(at), os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &window{mem}, nil
}

// word is the register at an offset. An atomic access is one load or store of
// its size, which device memory needs, and is never left out.
func (w *window) word(off int) *uint32 {
	return (*uint32)(unsafe.Pointer(unsafe.SliceData(w.mem[off:][:4])))
}

func (w *window) read(off int) uint32     { return atomic.LoadUint32(w.word(off)) }
func (w *window) write(off int, v uint32) { atomic.StoreUint32(w.word(off), v) }

func (w *window) close() { unix.Munmap(w.mem) }
