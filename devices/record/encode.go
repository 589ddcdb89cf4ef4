package record

import (
	"encoding/binary"
	"slices"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
)

// encoder appends records to a chunk.
type encoder struct {
	ee   uint8 // Linux's
	buf  []byte
	next predictor
}

// begin starts a chunk in an empty buffer.
func (e *encoder) begin(buf []byte) {
	e.buf = buf[:0]
	e.next = predictor{}
}

func (e *encoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }

func (e *encoder) entry(n *cryptoblock.Entry) {
	first := kindOf(n.Kind)
	if n.EE != e.ee {
		first |= otherEE
	}
	access := n.Kind == cryptoblock.ReadEntry || n.Kind == cryptoblock.WriteEntry
	if access && n.Size != 4 {
		first |= otherSize
	}
	e.buf = append(e.buf, first)
	if first&otherEE != 0 {
		e.buf = append(e.buf, n.EE)
	}
	if !access {
		return
	}
	if first&otherSize != 0 {
		e.buf = append(e.buf, n.Size)
	}
	e.uint(n.Off)
	if n.Kind == cryptoblock.WriteEntry {
		e.uint(n.Value)
	}
}

// entryKinds are the kinds of entries by the kind of their record.
var entryKinds = [...]cryptoblock.EntryKind{
	readRec: cryptoblock.ReadEntry, writeRec: cryptoblock.WriteEntry,
	resetRec: cryptoblock.ResetEntry, idleRec: cryptoblock.IdleEntry,
}

func kindOf(k cryptoblock.EntryKind) byte {
	return byte(max(slices.Index(entryKinds[:], k), int(readRec)))
}

// leave ends an entry.
func (e *encoder) leave(n *cryptoblock.Entry, writes uint64, sum uint32) {
	first := byte(leaveRec)
	load := n.Kind == cryptoblock.ReadEntry
	if load {
		first |= hasValue
	}
	if writes > 0 {
		first |= hasWrites
	}
	e.buf = append(e.buf, first)
	if load {
		e.uint(n.Value)
	}
	if writes > 0 {
		e.uint(writes)
		e.buf = binary.LittleEndian.AppendUint32(e.buf, sum)
	}
}

// access is what fetches and faults begin with.
func (e *encoder) access(first byte, pipe int, addr uint64, size int) {
	e.buf = append(e.buf, first, byte(pipe))
	e.uint(uint64(size))
	next := e.next.next(pipe, size)
	e.buf = binary.AppendVarint(e.buf, int64(addr-*next))
	*next = addr + uint64(size)
}

func (e *encoder) fetch(pipe int, addr uint64, p []byte) {
	e.access(byte(fetchRec), pipe, addr, len(p))
	e.buf = append(e.buf, p...)
}

func (e *encoder) fault(pipe int, addr uint64, size int, reason bus.Reason) {
	e.access(byte(faultRec), pipe, addr, size)
	e.buf = append(e.buf, byte(reason))
}

func (e *encoder) writeFault(pipe int, addr uint64, size int, reason bus.Reason, before uint64) {
	e.access(byte(faultRec)|onWrite, pipe, addr, size)
	e.buf = append(e.buf, byte(reason))
	e.uint(before)
}

func (e *encoder) suite(name string) {
	name = name[:min(len(name), maxSuite)]
	e.buf = append(e.buf, byte(suiteRec))
	e.uint(uint64(len(name)))
	e.buf = append(e.buf, name...)
}

func (e *encoder) end() { e.buf = append(e.buf, byte(endRec)) }

func (e *encoder) time(ms uint64) {
	e.buf = append(e.buf, byte(timeRec))
	e.uint(ms)
}
