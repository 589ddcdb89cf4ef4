package antagonist

import (
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bus"
)

// Where things are in an antagonist's memory, which no other master sees.
const (
	ramBase  = 0xF000_0000
	ramSize  = 0x20000
	fifoSize = 64 * bam.DescriptorSize
	rxFIFO   = ramBase
	txFIFO   = ramBase + 0x400
	lists    = ramBase + 0x1000 // command elements
	input    = ramBase + 0x4000
	output   = ramBase + 0x8000
	dumpAt   = ramBase + 0xF000
)

// ram is memory of the secure world: one range.
type ram [ramSize]byte

func (m *ram) at(addr uint64, n int, write bool) (uint64, error) {
	if addr < ramBase || addr-ramBase > ramSize || uint64(n) > ramSize-(addr-ramBase) {
		return 0, &bus.Fault{Addr: addr, Len: n, Write: write, Reason: bus.Unmapped}
	}
	return addr - ramBase, nil
}

// Read implements bus.Memory.
func (m *ram) Read(addr uint64, p []byte) error {
	at, err := m.at(addr, len(p), false)
	if err == nil {
		copy(p, m[at:])
	}
	return err
}

// Write implements bus.Memory.
func (m *ram) Write(addr uint64, p []byte) error {
	at, err := m.at(addr, len(p), true)
	if err == nil {
		copy(m[at:], p)
	}
	return err
}

func (m *ram) bytes(addr uint32, n int) []byte { return m[addr-ramBase:][:n] }

// ring is one of an antagonist's two descriptor FIFOs.
type ring struct {
	pipe       int
	base       uint32
	tail, done uint32 // offsets: behind the last descriptor, and of the first unfinished one
	begin      uint32 // tail before the request in progress
}

// push puts a descriptor into the FIFO.
func (m *ram) push(r *ring, addr uint32, size int, flags uint32) {
	raw := m.bytes(r.base+r.tail, bam.DescriptorSize)
	binary.LittleEndian.PutUint32(raw, addr)
	binary.LittleEndian.PutUint32(raw[4:], flags<<16|uint32(size))
	r.tail = (r.tail + bam.DescriptorSize) % fifoSize
}

// element writes a command element.
func (m *ram) element(addr, reg, val uint32) {
	raw := m.bytes(addr, bam.ElementSize)
	binary.LittleEndian.PutUint32(raw, reg&0xFFFFFF)
	binary.LittleEndian.PutUint32(raw[4:], val)
	binary.LittleEndian.PutUint32(raw[8:], ^uint32(0))
	binary.LittleEndian.PutUint32(raw[12:], 0)
}
