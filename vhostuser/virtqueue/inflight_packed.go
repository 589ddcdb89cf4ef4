package virtqueue

import "fmt"

// packedInflight tracks the chains of a packed ring. As used descriptors
// overwrite others in the ring, the region has a copy of each descriptor that
// was taken; the copies of a chain are a list of entries.
type packedInflight struct {
	size    uint16
	region  region
	counter uint64

	// The list of free entries ends with the number of an entry that does not
	// exist.
	free    uint16 // its head
	oldFree uint16 // its head at the beginning of the chain that is being taken
}

func (t *packedInflight) field(i uint16, off uint64) uint64 {
	return packedHeader + packedEntry*uint64(i) + off
}

func (t *packedInflight) get(i uint16, off uint64, n int) (uint64, error) {
	return t.region.get(t.field(i, off), n)
}

func (t *packedInflight) put(i uint16, off uint64, n int, v uint64) error {
	return t.region.put(t.field(i, off), n, v)
}

// index reads a field that is the number of an entry.
func (t *packedInflight) index(i uint16, off uint64) (uint16, error) {
	v, err := t.get(i, off, 2)
	if err == nil && v >= uint64(t.size) {
		err = fmt.Errorf("in-flight memory: entry %d of %d", v, t.size)
	}
	return uint16(v), err
}

// first collects the error of a row of writes.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// take notes a descriptor of a chain; c.slots of it were noted before.
func (t *packedInflight) take(d *descriptor, c *Chain, last bool) error {
	head, i := t.oldFree, t.free
	if head >= t.size || i >= t.size {
		return broken("more descriptors are in flight than the ring has", uint64(t.size))
	}
	if c.slots == 0 {
		c.entry = head
		if err := first(
			t.put(head, packedNum, 2, 0),
			t.put(head, entryCounter, 8, t.counter),
			t.put(head, entryInflight, 1, 1),
		); err != nil {
			return err
		}
		t.counter++
	}
	next, err := t.get(i, packedNext, 2)
	if err != nil {
		return err
	}
	if last {
		if err := t.put(head, packedLast, 2, uint64(i)); err != nil {
			return err
		}
	}
	if err := first(
		t.put(head, packedNum, 2, uint64(c.slots)+1),
		t.put(i, packedAddr, 8, d.addr),
		t.put(i, packedLen, 4, uint64(d.size)),
		t.put(i, packedFlags, 2, uint64(d.flags)),
		t.put(i, packedID, 2, uint64(d.last)),
		t.setFree(packedFree, &t.free, uint16(next)),
	); err != nil {
		return err
	}
	if last {
		return t.setFree(packedOldFree, &t.oldFree, t.free)
	}
	return nil
}

func (t *packedInflight) setFree(off uint64, v *uint16, i uint16) error {
	*v = i
	return t.region.put(off, 2, uint64(i))
}

// drop notes that the chain that was taken last is not taken after all.
func (t *packedInflight) drop(c *Chain) error {
	return first(
		t.put(c.entry, entryInflight, 1, 0),
		t.setFree(packedFree, &t.free, c.entry),
		t.setFree(packedOldFree, &t.oldFree, c.entry),
	)
}

// finish notes that the chain is about to be used, and where the ring is then.
func (t *packedInflight) finish(c *Chain, next position) error {
	last, err := t.index(c.entry, packedLast)
	if err != nil {
		return err
	}
	return first(
		t.put(last, packedNext, 2, uint64(t.free)),
		t.setFree(packedFree, &t.free, c.entry),
		t.region.put(packedUsed, 2, uint64(next.at)),
		t.region.put(packedWrap, 1, uint64(bit(next.wrap))),
	)
}

// done notes that it is used.
func (t *packedInflight) done(c *Chain, next position) error {
	return first(
		t.put(c.entry, entryInflight, 1, 0),
		t.setFree(packedOldFree, &t.oldFree, t.free),
		t.region.put(packedOldUsed, 2, uint64(next.at)),
		t.region.put(packedOldWrap, 1, uint64(bit(next.wrap))),
	)
}

// recover sets the ring's used position from the region, notes the chains that
// were in flight in p.resubmit, and returns how many descriptors they take.
func (t *packedInflight) recover(p *packed) (uint32, error) {
	t.region.mem = p.Inflight
	fresh, err := t.region.fresh(p.Size)
	if err != nil {
		return 0, err
	}
	if fresh {
		return 0, t.format(p)
	}
	if err := t.settle(p); err != nil {
		return 0, err
	}
	return t.find(p)
}

// format makes the list of free entries.
func (t *packedInflight) format(p *packed) error {
	for i := range t.size {
		if err := t.put(i, packedNext, 2, uint64(i)+1); err != nil {
			return err
		}
	}
	return first(
		t.region.put(packedUsed, 2, uint64(p.used.at)),
		t.region.put(packedOldUsed, 2, uint64(p.used.at)),
		t.region.put(packedWrap, 1, uint64(bit(p.used.wrap))),
		t.region.put(packedOldWrap, 1, uint64(bit(p.used.wrap))),
		t.region.begin(p.Size),
	)
}

// settle commits what reached the ring before the crash and rolls the rest back.
func (t *packedInflight) settle(p *packed) error {
	var v [6]uint64
	for i, f := range [...]struct {
		off uint64
		n   int
	}{{packedFree, 2}, {packedOldFree, 2}, {packedUsed, 2}, {packedOldUsed, 2}, {packedWrap, 1}, {packedOldWrap, 1}} {
		var err error
		if v[i], err = t.region.get(f.off, f.n); err != nil {
			return err
		}
		if i < 2 && v[i] > uint64(t.size) || (i == 2 || i == 3) && v[i] >= uint64(t.size) {
			return fmt.Errorf("in-flight memory: position %d of %d", v[i], t.size)
		}
	}
	used := position{uint16(v[2]), v[4] != 0}
	oldUsed := position{uint16(v[3]), v[5] != 0}
	t.oldFree = uint16(v[1])
	p.used = oldUsed
	if used != oldUsed {
		flags, err := p.flags(oldUsed)
		if err != nil {
			return err
		}
		if !oldUsed.available(flags) {
			t.oldFree, p.used = uint16(v[0]), used
		}
	}
	return first(
		t.setFree(packedOldFree, &t.oldFree, t.oldFree),
		t.setFree(packedFree, &t.free, t.oldFree),
		t.region.put(packedUsed, 2, uint64(p.used.at)),
		t.region.put(packedOldUsed, 2, uint64(p.used.at)),
		t.region.put(packedWrap, 1, uint64(bit(p.used.wrap))),
		t.region.put(packedOldWrap, 1, uint64(bit(p.used.wrap))),
	)
}

// find collects the chains in flight. Entries in the list of free ones are not.
func (t *packedInflight) find(p *packed) (uint32, error) {
	free := make([]bool, t.size)
	for i := t.free; i < t.size && !free[i]; {
		free[i] = true
		if err := t.put(i, entryInflight, 1, 0); err != nil {
			return 0, err
		}
		next, err := t.get(i, packedNext, 2)
		if err != nil {
			return 0, err
		}
		i = uint16(next)
	}
	var found []pending
	var slots uint64
	for i := range t.size {
		v, err := t.get(i, entryInflight, 1)
		if err != nil {
			return 0, err
		}
		if v == 0 {
			continue
		}
		n, err := t.get(i, entryCounter, 8)
		if err != nil {
			return 0, err
		}
		num, err := t.get(i, packedNum, 2)
		if err != nil {
			return 0, err
		}
		if slots += num; num == 0 || slots > uint64(t.size) {
			return 0, fmt.Errorf("in-flight memory: a chain of %d descriptors", num)
		}
		t.counter = max(t.counter, n+1)
		found = append(found, pending{i, n})
	}
	inOrder(found)
	for _, f := range found {
		p.resubmit = append(p.resubmit, f.index)
	}
	return uint32(slots), nil
}

// replay builds a chain from the entries of one that was in flight.
func (t *packedInflight) replay(p *packed, c *Chain) error {
	num, err := t.get(c.entry, packedNum, 2)
	if err != nil {
		return err
	}
	if num == 0 || num > uint64(t.size) {
		return fmt.Errorf("in-flight memory: a chain of %d descriptors", num)
	}
	i := c.entry
	for n := range num {
		var d descriptor
		if err := t.descriptor(i, &d); err != nil {
			return err
		}
		if err := p.add(c, &d); err != nil {
			return err
		}
		c.slots++
		if c.id = d.last; n+1 < num {
			if i, err = t.index(i, packedNext); err != nil {
				return err
			}
		}
	}
	if uint32(c.id) >= p.Size {
		return broken("buffer ID is beyond the ring", uint64(c.id))
	}
	return nil
}

func (t *packedInflight) descriptor(i uint16, d *descriptor) error {
	var v [4]uint64
	for k, f := range [...]struct {
		off uint64
		n   int
	}{{packedAddr, 8}, {packedLen, 4}, {packedFlags, 2}, {packedID, 2}} {
		var err error
		if v[k], err = t.get(i, f.off, f.n); err != nil {
			return err
		}
	}
	*d = descriptor{addr: v[0], size: uint32(v[1]), flags: uint16(v[2]), last: uint16(v[3])}
	return nil
}
