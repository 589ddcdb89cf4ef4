package virtqueue

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/qcemu/qcemu/devices/bus"
)

// The in-flight region of a queue, as vhost-user defines it: a header, then an
// entry for each descriptor.
const (
	inflightVersion = 1

	regionVersion  = 8  // header: u16 behind the 64-bit feature flags
	regionSize     = 10 // u16
	splitBatchHead = 12 // u16: the last batch of used descriptors
	splitUsedIdx   = 14 // u16
	splitHeader    = 16
	splitEntry     = 16

	packedFree     = 12 // u16: head of the list of free entries
	packedOldFree  = 14 // u16
	packedUsed     = 16 // u16: position in the ring
	packedOldUsed  = 18 // u16
	packedWrap     = 20 // u8
	packedOldWrap  = 21 // u8
	packedHeader   = 32
	packedEntry    = 32
	regionRounding = 64
)

// Offsets in an entry.
const (
	entryInflight = 0 // u8
	splitNext     = 6 // u16
	entryCounter  = 8 // u64

	packedNext  = 2  // u16
	packedLast  = 4  // u16
	packedNum   = 6  // u16
	packedID    = 16 // u16
	packedFlags = 18 // u16
	packedLen   = 20 // u32
	packedAddr  = 24 // u64
)

// InflightSize returns the size of the in-flight region of a ring.
func InflightSize(packed bool, size uint32) uint64 {
	n := uint64(splitHeader + splitEntry*uint64(size))
	if packed {
		n = packedHeader + packedEntry*uint64(size)
	}
	return (n + regionRounding - 1) &^ (regionRounding - 1)
}

// region reads and writes the fields of an in-flight region. The peer can write
// there too, so what is read is checked.
type region struct {
	mem bus.Memory
	buf [8]byte
}

func (r *region) get(off uint64, n int) (uint64, error) {
	clear(r.buf[:])
	if err := r.mem.Read(off, r.buf[:n]); err != nil {
		return 0, fmt.Errorf("in-flight memory: %w", err)
	}
	return order.Uint64(r.buf[:]), nil
}

func (r *region) put(off uint64, n int, v uint64) error {
	order.PutUint64(r.buf[:], v)
	if err := r.mem.Write(off, r.buf[:n]); err != nil {
		return fmt.Errorf("in-flight memory: %w", err)
	}
	return nil
}

// fresh reports whether nothing has been noted in the region yet.
func (r *region) fresh(size uint32) (bool, error) {
	v, err := r.get(regionVersion, 2)
	if err != nil || v == 0 {
		return v == 0, err
	}
	n, err := r.get(regionSize, 2)
	switch {
	case err != nil:
		return false, err
	case v != inflightVersion:
		return false, fmt.Errorf("in-flight memory: unknown version %d", v)
	case uint32(n) != size&0xffff:
		return false, fmt.Errorf("in-flight memory: for a ring of %d descriptors, not %d", n, size)
	}
	return false, nil
}

func (r *region) begin(size uint32) error {
	if err := r.put(0, 8, 0); err != nil {
		return err
	}
	if err := r.put(regionSize, 2, uint64(size)); err != nil {
		return err
	}
	return r.put(regionVersion, 2, inflightVersion)
}

// pending is a chain that was in flight.
type pending struct {
	index   uint16
	counter uint64
}

// inOrder sorts chains as they were taken.
func inOrder(p []pending) {
	slices.SortFunc(p, func(a, b pending) int { return cmp.Compare(a.counter, b.counter) })
}

// splitInflight tracks the chains of a split ring.
type splitInflight struct {
	mem     bus.Memory
	size    uint16
	region  region
	counter uint64
}

func (t *splitInflight) field(i uint16, off uint64) uint64 {
	return splitHeader + splitEntry*uint64(i) + off
}

// take notes that the chain with a head was taken.
func (t *splitInflight) take(head uint16) error {
	if err := t.region.put(t.field(head, entryCounter), 8, t.counter); err != nil {
		return err
	}
	t.counter++
	return t.region.put(t.field(head, entryInflight), 1, 1)
}

// drop notes that it is not taken after all.
func (t *splitInflight) drop(head uint16) error {
	return t.region.put(t.field(head, entryInflight), 1, 0)
}

// finish notes that the chain is about to be used: a batch of one.
func (t *splitInflight) finish(head uint16) error {
	last, err := t.region.get(splitBatchHead, 2)
	if err != nil {
		return err
	}
	if err := t.region.put(t.field(head, splitNext), 2, last); err != nil {
		return err
	}
	return t.region.put(splitBatchHead, 2, uint64(head))
}

// done notes that it is used, with the new index of the used ring.
func (t *splitInflight) done(head, used uint16) error {
	if err := t.drop(head); err != nil {
		return err
	}
	return t.region.put(splitUsedIdx, 2, uint64(used))
}

// recover brings the region up to date with the used ring and returns the heads
// of the chains in flight, in order.
func (t *splitInflight) recover(used uint16) ([]uint16, error) {
	t.region.mem = t.mem
	size := uint32(t.size)
	if fresh, err := t.region.fresh(size); err != nil {
		return nil, err
	} else if fresh {
		if err := t.region.put(splitUsedIdx, 2, uint64(used)); err != nil {
			return nil, err
		}
		return nil, t.region.begin(size)
	}
	if err := t.settle(used); err != nil {
		return nil, err
	}
	var found []pending
	for i := range t.size {
		v, err := t.region.get(t.field(i, entryInflight), 1)
		if err != nil {
			return nil, err
		}
		if v == 0 {
			continue
		}
		n, err := t.region.get(t.field(i, entryCounter), 8)
		if err != nil {
			return nil, err
		}
		t.counter = max(t.counter, n+1)
		found = append(found, pending{i, n})
	}
	inOrder(found)
	heads := make([]uint16, len(found))
	for i, p := range found {
		heads[i] = p.index
	}
	return heads, nil
}

// settle ends a batch that reached the used ring but was not noted as done.
func (t *splitInflight) settle(used uint16) error {
	noted, err := t.region.get(splitUsedIdx, 2)
	if err != nil {
		return err
	}
	batch := used - uint16(noted)
	if batch == 0 {
		return nil
	}
	if batch > t.size {
		return fmt.Errorf("in-flight memory: used index %d, in the ring %d", noted, used)
	}
	head, err := t.region.get(splitBatchHead, 2)
	for range batch {
		if err != nil {
			return err
		}
		if head >= uint64(t.size) {
			return fmt.Errorf("in-flight memory: entry %d of %d", head, t.size)
		}
		if err := t.drop(uint16(head)); err != nil {
			return err
		}
		head, err = t.region.get(t.field(uint16(head), splitNext), 2)
	}
	return t.region.put(splitUsedIdx, 2, uint64(used))
}
