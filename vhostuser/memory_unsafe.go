package vhostuser

import (
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"github.com/qcemu/qcemu/devices/bus"
)

// SetBit sets a bit of the byte at addr in a way that the peer, which clears
// bits there, does not miss. Only a shared mapping has such bytes.
func (m *Memory) SetBit(addr uint64, bit uint) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.find(addr)
	why := bus.Unmapped
	switch {
	case r == nil || r.mem == nil:
	case !r.write:
		why = bus.ReadOnly
	case setBit(r.mem, addr-r.addr, bit):
		return nil
	default:
		why = bus.Truncated
	}
	return &bus.Fault{Addr: addr, Len: 1, Write: true, Reason: why}
}

// setBit returns false where the file has become shorter than the mapping. The
// mapping begins and ends on a page, so the word lies in it.
func setBit(mem []byte, off uint64, bit uint) (ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if e := recover(); e != nil {
			if _, fault := e.(interface{ Addr() uintptr }); !fault {
				panic(e)
			}
			ok = false
		}
	}()
	word := (*uint32)(unsafe.Pointer(&mem[off&^3]))
	var one [4]byte
	one[off&3] = 1 << (bit & 7)
	mask := *(*uint32)(unsafe.Pointer(&one))
	if atomic.LoadUint32(word)&mask == 0 {
		atomic.OrUint32(word, mask)
	}
	return true
}
