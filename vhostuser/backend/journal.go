package backend

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// journal holds back what a request writes to the guest's memory until the
// request is complete, in memory that outlives the process. A nil journal does
// nothing.
//
// A request that writes more than the journal holds is not protected: the rest
// goes to the guest at once.
type journal struct {
	mem  bus.Memory
	base uint64 // of the header in mem

	size   uint64 // of the records so far
	direct bool   // this request is not protected
	head   [journalHeader]byte
	data   [4096]byte
}

const (
	// journalSize is the room for the records of one request. Whatever a
	// driver's requests have today fits.
	journalSize = 256 << 10

	// The header: state, place, bytes written for the driver, length
	// of the records. A record is address and length, then the data.
	journalHeader = 32
	journalRecord = 16

	journalComplete = 1
)

// journalArea is what a journal takes in memory.
const journalArea = journalHeader + journalSize

func newJournal(mem bus.Memory, base uint64) *journal { return &journal{mem: mem, base: base} }

func journalErr(err error) error {
	if err != nil {
		err = fmt.Errorf("journal: %w", err)
	}
	return err
}

// begin starts a request. What an older one has left is not to be taken for it.
func (j *journal) begin() error {
	if j == nil {
		return nil
	}
	j.size, j.direct = 0, false
	return j.setState(0)
}

// takes reports whether a write of n bytes goes to the journal.
func (j *journal) takes(n int) bool {
	return j != nil && !j.direct && j.size+journalRecord+uint64(n) <= journalSize
}

func (j *journal) at(off uint64) uint64 { return j.base + journalHeader + off }

// add appends a write.
func (j *journal) add(addr uint64, p []byte) error {
	binary.LittleEndian.PutUint64(j.head[:], addr)
	binary.LittleEndian.PutUint64(j.head[8:], uint64(len(p)))
	if err := j.mem.Write(j.at(j.size), j.head[:journalRecord]); err != nil {
		return journalErr(err)
	}
	if err := j.mem.Write(j.at(j.size+journalRecord), p); err != nil {
		return journalErr(err)
	}
	j.size += journalRecord + uint64(len(p))
	return nil
}

// spill gives up on protecting the request.
func (j *journal) spill(m *requestMemory) error {
	if j == nil || j.direct {
		return nil
	}
	j.direct = true
	return j.copyOut(m, j.size)
}

// place tells where a request is: the ring's position, and above it a checksum of
// the chain's buffers, by which another guest's request there differs.
func place(pos uint32, c *virtqueue.Chain) uint64 {
	const odd = 0x9e3779b97f4a7c15 // spreads each step over the upper half
	sum := uint64(1)
	for _, segments := range [][]virtqueue.Segment{c.Out, c.In} {
		for _, s := range segments {
			sum = (bits.RotateLeft64(sum, 31) ^ s.Addr) * odd
			sum = (bits.RotateLeft64(sum, 31) ^ uint64(s.Len)) * odd
		}
		sum = (bits.RotateLeft64(sum, 31) + 1) * odd
	}
	return sum>>32<<32 | uint64(pos)
}

// commit notes that the request is complete.
func (j *journal) commit(pos uint32, c *virtqueue.Chain, written uint32) error {
	if j == nil || j.direct {
		return nil
	}
	for i, v := range []uint64{place(pos, c), uint64(written), j.size} {
		binary.LittleEndian.PutUint64(j.head[8+8*i:], v)
	}
	if err := j.mem.Write(j.base+8, j.head[8:]); err != nil {
		return journalErr(err)
	}
	return j.setState(journalComplete)
}

func (j *journal) setState(v uint64) error {
	binary.LittleEndian.PutUint64(j.head[:], v)
	return journalErr(j.mem.Write(j.base, j.head[:8]))
}

// replay copies the writes of a complete request to the guest.
func (j *journal) replay(m *requestMemory) error {
	if j == nil || j.direct {
		return nil
	}
	return j.copyOut(m, j.size)
}

// clear notes that the writes are in the guest's memory and the chain is used.
func (j *journal) clear() error {
	if j == nil || j.direct {
		return nil
	}
	return j.setState(0)
}

// complete returns the request that the journal was left with, if it is
// complete: its place and the bytes written for the driver.
func (j *journal) complete() (at uint64, written uint32, ok bool) {
	if j == nil || j.mem.Read(j.base, j.head[:]) != nil {
		return 0, 0, false
	}
	var v [4]uint64
	for i := range v {
		v[i] = binary.LittleEndian.Uint64(j.head[8*i:])
	}
	j.size = min(v[3], journalSize)
	return v[1], uint32(v[2]), v[0] == journalComplete
}

func (j *journal) copyOut(m *requestMemory, size uint64) error {
	for off := uint64(0); off+journalRecord <= size; {
		if err := j.mem.Read(j.at(off), j.head[:journalRecord]); err != nil {
			return journalErr(err)
		}
		addr := binary.LittleEndian.Uint64(j.head[:])
		n := binary.LittleEndian.Uint64(j.head[8:])
		off += journalRecord
		if n > size-off {
			return fmt.Errorf("journal: a record of %d bytes where %d are left", n, size-off)
		}
		for n > 0 {
			p := j.data[:min(n, uint64(len(j.data)))]
			if err := j.mem.Read(j.at(off), p); err != nil {
				return journalErr(err)
			}
			if err := m.direct(addr, p); err != nil {
				return err
			}
			k := uint64(len(p))
			addr, off, n = addr+k, off+k, n-k
		}
	}
	return nil
}
