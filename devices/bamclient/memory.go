package bamclient

import (
	"encoding/binary"
	"sync"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bus"
)

// The client's address space, which fits into the 32 bits that every BAM has:
// memory of its own, a sink for output that nobody wants, and windows onto the
// operation's data. What goes wrong there is the operation's error, not a bus
// fault, which would leave the BAM stuck.
const (
	rxFIFO  = 0x00000 // descriptor FIFOs
	txFIFO  = 0x08000
	list    = 0x10000 // command list of the set-up
	unlock  = 0x10c00 // the element of UNLOCK
	prefix  = 0x10d00 // header of associated data
	padding = 0x10d40 // zeros
	tagIn   = 0x10d80 // tag that a decryption expects
	tailOut = 0x10e00 // MAC area and result dump
	ramSize = 0x11000

	fifoSize = txFIFO - rxFIFO
	tailSize = 256

	sink      = 0x20000000
	inWindow  = 0x40000000
	outWindow = 0x80000000
	aadWindow = 0xc0000000

	windowMask = 0x3fffffff
)

// memory is what the client's pipes master.
type memory struct {
	mu    sync.Mutex // the pipes may still be at it when an operation is canceled
	ram   [ramSize]byte
	op    *Operation // nil: there are no windows
	err   error      // of the operation's data
	out   bool       // some of it was written
	moves uint64     // accesses so far
}

// begin opens the windows, end closes them, tells whether anything was written
// through them, and returns what went wrong.
func (m *memory) begin(op *Operation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.op, m.err, m.out = op, nil, false
}

func (m *memory) end() (written bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.op = nil
	clear(m.ram[list:unlock]) // keys
	return m.out, m.err
}

// moved returns how many accesses there were.
func (m *memory) moved() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moves
}

// Read implements bus.Memory.
func (m *memory) Read(addr uint64, p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves++
	off := addr & windowMask
	switch {
	case addr+uint64(len(p)) <= ramSize:
		copy(p, m.ram[addr:])
		return nil
	case addr >= inWindow && addr < outWindow && m.op != nil:
		m.note(m.op.In.Read(off, p), p)
		return nil
	case addr >= aadWindow && addr <= 1<<32-1 && m.op != nil:
		m.note(m.op.AAD.Read(off, p), p)
		return nil
	}
	return &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Unmapped}
}

// note keeps the first error of the operation's data. The engine goes on with
// zeros.
func (m *memory) note(err error, p []byte) {
	if err == nil {
		return
	}
	clear(p)
	if m.err == nil {
		m.err = err
	}
}

// Write implements bus.Memory.
func (m *memory) Write(addr uint64, p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves++
	switch {
	case addr+uint64(len(p)) <= ramSize:
		copy(m.ram[addr:], p)
		return nil
	case addr >= sink && addr < inWindow:
		return nil
	case addr >= outWindow && addr < aadWindow && m.op != nil:
		m.out = true
		if m.err == nil {
			m.err = m.op.Out.Write(addr&windowMask, p)
		}
		return nil
	}
	return &bus.Fault{Addr: addr, Len: len(p), Write: true, Reason: bus.Unmapped}
}

// ring is one pipe with its descriptor FIFO.
type ring struct {
	pipe int
	base uint32
	tail uint32 // where the next descriptor goes
}

// push appends descriptors for size bytes from addr on; flags go on the last.
func (m *memory) push(r *ring, addr, size uint32, flags uint32) {
	for {
		n := min(size, maxDescriptor)
		f := uint32(0)
		if n == size {
			f = flags
		}
		d := m.ram[r.base+r.tail:]
		binary.LittleEndian.PutUint32(d, addr)
		binary.LittleEndian.PutUint32(d[4:], f<<16|n)
		if r.tail += bam.DescriptorSize; r.tail == fifoSize {
			r.tail = 0
		}
		addr, size = addr+n, size-n
		if size == 0 {
			return
		}
	}
}

// maxDescriptor is the most that a descriptor carries: below the 32 KiB - 1 that
// hardware has (datasheet §5.1), and whole bursts.
const maxDescriptor = 32<<10 - 64

// element puts one command element into memory.
func (m *memory) element(at, reg, val uint32) {
	e := m.ram[at:]
	binary.LittleEndian.PutUint32(e, reg&0xffffff)
	binary.LittleEndian.PutUint32(e[4:], val)
	binary.LittleEndian.PutUint32(e[8:], ^uint32(0))
	binary.LittleEndian.PutUint32(e[12:], 0)
}
