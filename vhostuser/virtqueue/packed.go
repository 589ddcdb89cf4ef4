package virtqueue

// The event suppression structures (virtio §2.8.14).
const (
	eventSize    = 4
	eventFlags   = 2
	eventEnable  = 0
	eventDisable = 1
	eventDesc    = 2 // at a position; needs VIRTIO_F_EVENT_IDX
)

// position is a place in a packed ring, with the wrap counter.
type position struct {
	at   uint16
	wrap bool
}

// unpack reads a position as vhost-user messages and event structures have it.
func unpack(v uint16) position { return position{v & 0x7fff, v>>15 != 0} }

func (p position) pack() uint16 { return p.at | bit(p.wrap)<<15 }

func bit(b bool) uint16 {
	if b {
		return 1
	}
	return 0
}

// step moves the position by n descriptors, at most once around.
func (p position) step(n, size uint32) position {
	at := uint32(p.at) + n
	if at >= size {
		return position{uint16(at - size), !p.wrap}
	}
	return position{uint16(at), p.wrap}
}

// back is the opposite of step.
func (p position) back(n, size uint32) position {
	if n > uint32(p.at) {
		return position{uint16(uint32(p.at) + size - n), !p.wrap}
	}
	return position{p.at - uint16(n), p.wrap}
}

// available reports whether the flags of a descriptor there say that the driver
// has made it available.
func (p position) available(flags uint16) bool {
	return flags&flagAvail != 0 == p.wrap && flags&flagUsed != 0 != p.wrap
}

// packed is a packed virtqueue.
type packed struct {
	access
	Config
	avail, used, called position
	since               uint32 // descriptors used since Call was asked last
	quiet               bool
	track               *packedInflight
	resubmit            []uint16 // entries that were in flight before
}

// newPacked takes the position from Base. Its upper half, the next used
// descriptor, is the one that counts, as chains are used in order; an old
// front-end sends the lower half only.
func newPacked(mem Memory, c Config) (*packed, error) {
	p := &packed{access: access{mem: mem, log: c.Log}, Config: c}
	p.used = unpack(uint16(c.Base >> 16))
	if c.Base>>16 == 0 {
		p.used = unpack(uint16(c.Base))
	}
	if c.Inflight != nil {
		p.track = &packedInflight{size: uint16(c.Size)}
		taken, err := p.track.recover(p)
		if err != nil {
			return nil, err
		}
		p.avail = p.used.step(taken, c.Size)
	} else {
		p.avail = p.used
	}
	if uint32(p.used.at) >= c.Size {
		return nil, broken("ring begins at a descriptor that does not exist", uint64(p.used.at))
	}
	p.called = p.used
	return p, nil
}

func (p *packed) Base() uint32 { return uint32(p.used.pack())<<16 | uint32(p.avail.pack()) }
func (p *packed) Used() uint32 { return uint32(p.used.pack()) }

func (p *packed) place(at uint16) uint64 { return p.Desc + descSize*uint64(at) }

// flags reads the flags of the descriptor at a position.
func (p *packed) flags(at position) (uint16, error) { return p.read16(p.place(at.at) + 14) }

func (p *packed) Next(c *Chain) (bool, error) {
	c.reset()
	if len(p.resubmit) > 0 {
		c.entry, c.again = p.resubmit[0], true
		p.resubmit = p.resubmit[1:]
		return true, p.track.replay(p, c)
	}
	flags, err := p.flags(p.avail)
	if err != nil || !p.avail.available(flags) {
		return false, err
	}
	p.fence() // the rest of the chain is read after the flags of its head
	return true, p.walk(c)
}

// walk copies the descriptors of the chain at the position.
func (p *packed) walk(c *Chain) error {
	at := p.avail
	for {
		if uint32(c.slots) >= p.Size {
			return broken("chain is longer than the ring", uint64(at.at))
		}
		raw, err := p.read(p.place(at.at), descSize)
		if err != nil {
			return err
		}
		d := getPacked(raw)
		if c.slots == 0 && !at.available(d.flags) {
			return broken("descriptor changed while it was available", uint64(d.flags))
		}
		last := d.flags&flagNext == 0
		if p.track != nil {
			if err := p.track.take(&d, c, last); err != nil {
				return err
			}
		}
		c.slots++
		at = at.step(1, p.Size)
		if err := p.add(c, &d); err != nil {
			return err
		}
		if last {
			if c.id = d.last; uint32(c.id) >= p.Size {
				return broken("buffer ID is beyond the ring", uint64(c.id))
			}
			p.avail = at
			return nil
		}
	}
}

// add adds the buffer of a descriptor, or the buffers of its table. In a table
// only the write flag counts, and the descriptors follow each other (virtio
// §2.8.7).
func (p *packed) add(c *Chain, d *descriptor) error {
	if d.flags&flagIndirect == 0 {
		return c.add(p.mem, d, p.Size)
	}
	n, err := d.table(p.mem, p.Indirect)
	if err != nil {
		return err
	}
	for i := range uint64(n) {
		raw, err := p.read(d.addr+descSize*i, descSize)
		if err != nil {
			return err
		}
		e := getPacked(raw)
		if e.flags&flagIndirect != 0 {
			return broken("indirect descriptor in an indirect table", i)
		}
		if err := c.add(p.mem, &e, p.Size); err != nil {
			return err
		}
	}
	return nil
}

func (p *packed) Return(c *Chain) error {
	if c.again {
		p.resubmit = append([]uint16{c.entry}, p.resubmit...)
		return nil
	}
	p.avail = p.avail.back(uint32(c.slots), p.Size)
	if p.track != nil {
		return p.track.drop(c)
	}
	return nil
}

func (p *packed) Use(c *Chain, written uint32) error {
	at := p.used
	next := at.step(uint32(c.slots), p.Size)
	if p.track != nil {
		if err := p.track.finish(c, next); err != nil {
			return err
		}
	}
	order.PutUint32(p.buf[:], written)
	order.PutUint16(p.buf[4:], c.id)
	if err := p.write(p.place(at.at)+8, 6); err != nil {
		return err
	}
	p.fence() // length and ID are there before the flags say so
	flags := bit(at.wrap)<<7 | bit(at.wrap)<<15
	if written > 0 || c.InLen > 0 { // written may be less than what was
		flags |= flagWrite
	}
	if err := p.write16(p.place(at.at)+14, flags); err != nil {
		return err
	}
	p.used = next
	p.since += uint32(c.slots)
	if p.track != nil {
		return p.track.done(c, next)
	}
	return nil
}

func (p *packed) Call() (bool, error) {
	if p.since == 0 {
		return false, nil
	}
	old, since := p.called, p.since
	p.called, p.since = p.used, 0
	p.fence() // the flags are visible before the driver's wish is read
	raw, err := p.read(p.Driver, eventSize)
	if err != nil {
		return false, err
	}
	at, flags := unpack(order.Uint16(raw)), order.Uint16(raw[eventFlags:])&3
	switch {
	case flags == eventDisable:
		return false, nil
	case flags == eventDesc && p.EventIdx:
		return since >= p.Size || p.crossed(at, old, since), nil
	}
	return true, nil
}

// crossed reports whether the position at is one of the n before the used
// position that begin with old.
func (p *packed) crossed(at, old position, n uint32) bool {
	d := int(at.at) - int(old.at)
	if at.wrap != old.wrap {
		d += int(p.Size)
	}
	return d >= 0 && d < int(n)
}

func (p *packed) Idle() (bool, error) {
	if len(p.resubmit) > 0 {
		return true, nil
	}
	flags := uint16(eventEnable)
	if p.EventIdx {
		flags = eventDesc
	}
	order.PutUint16(p.buf[:], p.avail.pack())
	order.PutUint16(p.buf[eventFlags:], flags)
	if err := p.write(p.Device, eventSize); err != nil {
		return false, err
	}
	p.quiet = false
	p.fence() // the wish is visible before the ring is looked at again
	return p.More()
}

func (p *packed) More() (bool, error) {
	head, err := p.flags(p.avail)
	return err == nil && p.avail.available(head), err
}

func (p *packed) Busy() error {
	if p.quiet {
		return nil
	}
	p.quiet = true
	return p.write16(p.Device+eventFlags, eventDisable)
}
