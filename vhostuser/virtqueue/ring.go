package virtqueue

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/qcemu/qcemu/devices/bus"
)

// MaxSize is the largest number of descriptors of a ring (virtio §2.7, §2.8).
const MaxSize = 1 << 15

// Memory is the guest's memory.
type Memory interface {
	bus.Memory
	// Covers reports whether all of the range can be accessed.
	Covers(addr, size uint64, write bool) bool
}

// Config describes a ring. Addresses are guest addresses.
type Config struct {
	Packed bool
	Size   uint32 // descriptors; a power of two for a split ring
	Desc   uint64 // descriptor table, or the packed descriptor ring
	Driver uint64 // available ring, or the packed driver event structure
	Device uint64 // used ring, or the packed device event structure

	Indirect bool // VIRTIO_F_INDIRECT_DESC
	EventIdx bool // VIRTIO_F_EVENT_IDX
	Unsaid   bool // nobody knows whether EventIdx was negotiated

	// Base is where a packed ring begins: the position as Ring.Base returned it.
	// A split ring knows from its used ring.
	Base uint32

	// Inflight is the ring's region of in-flight memory, InflightSize bytes
	// from address 0 on; nil: chains are not tracked.
	Inflight bus.Memory

	// Log is told of writes to the ring, by their guest addresses. It may be
	// nil.
	Log func(addr, size uint64)
}

// Ring is one virtqueue. It is used by one goroutine at a time.
type Ring interface {
	// Next takes the next available chain. It returns false if there is none.
	Next(c *Chain) (bool, error)
	// Return gives the chain that was taken last back to where it was.
	Return(c *Chain) error
	// Use gives a chain back to the driver with the number of bytes written to
	// its writable buffers.
	Use(c *Chain, written uint32) error
	// Call reports whether the driver wants to be told of what was used since
	// Call was asked last.
	Call() (bool, error)
	// More reports whether the driver has made a chain available by now.
	More() (bool, error)
	// Idle asks the driver to kick when it makes a chain available. It returns
	// true if there is one already.
	Idle() (bool, error)
	// Busy tells the driver that kicks are not needed.
	Busy() error
	// Base returns the ring's position, in the form that the vhost-user
	// messages have for this kind of ring.
	Base() uint32
	// Used returns a number for the place where the next chain will be used,
	// which does not come again soon.
	Used() uint32
}

// New returns the ring that the driver has set up.
func New(mem Memory, c Config) (Ring, error) {
	if c.Size == 0 || c.Size > MaxSize || !c.Packed && bits.OnesCount32(c.Size) != 1 {
		return nil, fmt.Errorf("ring of %d descriptors: not a size that a ring can have", c.Size)
	}
	for _, a := range c.areas() {
		if a.addr%a.align != 0 {
			return nil, fmt.Errorf("%s at %#x: not aligned to %d bytes", a.name, a.addr, a.align)
		}
		if !mem.Covers(a.addr, a.size, a.write) {
			return nil, fmt.Errorf("%s at %#x, %d bytes: not in the guest's memory", a.name, a.addr, a.size)
		}
	}
	if c.Packed {
		return newPacked(mem, c)
	}
	return newSplit(mem, c)
}

// area is a part of a ring.
type area struct {
	name              string
	addr, size, align uint64
	write             bool
}

// areas returns the parts of the ring with the sizes and alignments of virtio
// §2.7 and §2.8.10. The used and available rings include the event index, which
// is part of the layout whether it is used or not.
func (c *Config) areas() []area {
	n := uint64(c.Size)
	if c.Packed {
		return []area{
			{"descriptor ring", c.Desc, descSize * n, 16, true},
			{"driver event structure", c.Driver, eventSize, 4, false},
			{"device event structure", c.Device, eventSize, 4, true},
		}
	}
	return []area{
		{"descriptor table", c.Desc, descSize * n, 16, false},
		{"available ring", c.Driver, 6 + 2*n, 2, false},
		{"used ring", c.Device, 6 + 8*n, 4, true},
	}
}

// BrokenError says how the guest has broken a ring.
type BrokenError struct {
	Rule  string
	Value uint64
	Err   error // of the memory, if that was it
}

func (e *BrokenError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Rule, e.Err)
	}
	return fmt.Sprintf("%s (%#x)", e.Rule, e.Value)
}

func (e *BrokenError) Unwrap() error { return e.Err }

func broken(rule string, value uint64) error { return &BrokenError{Rule: rule, Value: value} }

// access reads and writes a ring's memory. The buffer lives here so that
// nothing is allocated for an access.
type access struct {
	mem   Memory
	log   func(addr, size uint64)
	order atomic.Uint32
	buf   [descSize]byte
}

// fence orders accesses to memory that the driver also accesses. The
// read-modify-write is a full barrier for the processor, and the compiler does
// not move accesses across it.
func (a *access) fence() { a.order.Add(1) }

func (a *access) read(addr uint64, n int) ([]byte, error) {
	p := a.buf[:n]
	if err := a.mem.Read(addr, p); err != nil {
		return nil, &BrokenError{Rule: "ring cannot be read", Err: err}
	}
	return p, nil
}

func (a *access) read16(addr uint64) (uint16, error) {
	p, err := a.read(addr, 2)
	if err != nil {
		return 0, err
	}
	return order.Uint16(p), nil
}

// write writes the first n bytes of the buffer.
func (a *access) write(addr uint64, n int) error {
	if err := a.mem.Write(addr, a.buf[:n]); err != nil {
		return &BrokenError{Rule: "ring cannot be written", Err: err}
	}
	if a.log != nil {
		a.log(addr, uint64(n))
	}
	return nil
}

func (a *access) write16(addr uint64, v uint16) error {
	order.PutUint16(a.buf[:], v)
	return a.write(addr, 2)
}

// passed reports whether an index that moved from old to new has passed event
// (virtio §2.7.7.1).
func passed(event, new, old uint16) bool { return new-event-1 < new-old }
