package cryptoblock

import (
	"encoding/binary"
	"fmt"

	"github.com/qcemu/qcemu/devices/trace"
)

// EntryKind says what came into the block.
type EntryKind uint8

const (
	ReadEntry  EntryKind = iota + 1 // a load by a processor: EE, Off, Size
	WriteEntry                      // a store: EE, Off, Size, Value
	ResetEntry                      // power-on reset of the chip
	IdleEntry                       // no access comes for the moment: whatever is still to happen, happens
)

func (k EntryKind) String() string {
	switch k {
	case ReadEntry:
		return "read"
	case WriteEntry:
		return "write"
	case ResetEntry:
		return "reset"
	case IdleEntry:
		return "idle"
	}
	return fmt.Sprintf("EntryKind(%d)", uint8(k))
}

// Entry is one thing that came into the block from outside. The block does
// nothing but for an entry, and what it does depends on its configuration, on
// the entries so far and on what its pipes read from memory meanwhile, on
// nothing else: the same of all three gives the same events, byte for byte.
type Entry struct {
	Kind  EntryKind
	EE    uint8
	Size  uint8  // 1, 2, 4 or 8 bytes
	Off   uint64 // in the window
	Value uint64 // what is written; of a load, once it is made, what was read
}

// Tap sees everything that comes into a block, for a recording: entries, and
// the memory accesses of pipes whose owner is outside the block. Its methods
// are called from inside the block, one at a time; they must not call back, or
// keep p. Written values and memory may hold keys.
type Tap interface {
	// Enter is called before an entry has any effect, Leave when it is over
	// (with the Value of a load). Memory accesses come in between.
	Enter(e *Entry)
	Leave(e *Entry)
	// MemoryRead has what a pipe read; when err is not nil, nothing. Data and
	// fault are input to the block.
	MemoryRead(pipe int, addr uint64, p []byte, err error)
	// MemoryWrite has what a pipe wrote, which is output; err is input.
	MemoryWrite(pipe int, addr uint64, p []byte, err error)
}

// Do makes an entry, as a replay does, and returns it with the Value of a load.
func (b *Block) Do(e Entry) Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.enter(&e)
	return b.entry
}

// enter is the only way into the block.
func (b *Block) enter(entry *Entry) {
	b.entries++
	b.entry = *entry
	e := &b.entry
	if b.tap != nil {
		b.tap.Enter(e)
	}
	if b.ordered {
		b.before(e)
	}
	switch e.Kind {
	case ReadEntry:
		e.Value = b.load(trace.CPUOf(int(e.EE)), e)
	case WriteEntry:
		b.store(trace.CPUOf(int(e.EE)), e)
	case ResetEntry:
		b.reset()
	}
	b.after(e)
	if b.tap != nil {
		b.tap.Leave(e)
	}
}

func (b *Block) load(by trace.Master, e *Entry) uint64 {
	off := uint32(e.Off)
	switch e.Size {
	case 4:
		return uint64(b.read(by, off))
	case 8:
		low := b.read(by, off)
		return uint64(b.read(by, off+4))<<32 | uint64(low)
	}
	b.oddAccess(by, off)
	return 0
}

func (b *Block) store(by trace.Master, e *Entry) {
	off := uint32(e.Off)
	switch e.Size {
	case 4:
		b.write(by, off, uint32(e.Value))
	case 8:
		b.write(by, off, uint32(e.Value))
		b.write(by, off+4, uint32(e.Value>>32))
	default:
		b.oddAccess(by, off)
	}
}

// value and putValue turn the bytes of an access into a number and back.
func value(p []byte) uint64 {
	if len(p) == 4 { // as nearly always
		return uint64(binary.LittleEndian.Uint32(p))
	}
	var w [8]byte
	copy(w[:], p)
	return binary.LittleEndian.Uint64(w[:])
}

func putValue(p []byte, v uint64) {
	var w [8]byte
	binary.LittleEndian.PutUint64(w[:], v)
	copy(p, w[:])
}
