// Package bus names what a device model sees of the world outside it: the
// memory it masters and the interrupt line it drives.
//
// The models under devices/ use nothing else to reach the outside, so the same
// code runs under QEMU, under a test, under a fuzzer and in a replay.
package bus

import "fmt"

// Memory is the address space that one bus master sees. Addresses are bus
// addresses as they stand in a descriptor (datasheet §1: IOVAs behind an SMMU,
// physical addresses otherwise), lengths are in bytes.
//
// A call either moves all of p or returns a *Fault; after a fault the contents
// of p (Read) or of the memory range (Write) are undefined. Implementations
// neither keep p nor allocate.
type Memory interface {
	Read(addr uint64, p []byte) error
	Write(addr uint64, p []byte) error
}

// Line is a level-triggered interrupt line. Set is called on a change of level
// only.
type Line interface {
	Set(asserted bool)
}

// Reason says why an access failed.
type Reason uint8

const (
	Unmapped  Reason = iota + 1 // no memory at the address, or only at a part of the range
	ReadOnly                    // a write to memory mapped for reading only
	Truncated                   // the backing file ends before the mapping does
	Injected                    // a test asked for the fault
)

func (r Reason) String() string {
	switch r {
	case Unmapped:
		return "unmapped"
	case ReadOnly:
		return "read-only"
	case Truncated:
		return "backing file truncated"
	case Injected:
		return "injected"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// Fault is the error of a bus access.
type Fault struct {
	Addr   uint64 // first byte of the access
	Len    int    // bytes
	Write  bool
	Reason Reason
}

func (f *Fault) Error() string {
	op := "read"
	if f.Write {
		op = "write"
	}
	return fmt.Sprintf("bus %s of %d bytes at %#x: %s", op, f.Len, f.Addr, f.Reason)
}

// None is an address space with nothing in it: every access faults.
var None Memory = none{}

type none struct{}

func (none) Read(addr uint64, p []byte) error {
	return &Fault{Addr: addr, Len: len(p), Reason: Unmapped}
}

func (none) Write(addr uint64, p []byte) error {
	return &Fault{Addr: addr, Len: len(p), Write: true, Reason: Unmapped}
}
