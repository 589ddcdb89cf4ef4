package virtqueue

// Offsets in the available and used rings (virtio §2.7.6, §2.7.8). The flags
// word is followed by the index, then by the elements.
const (
	ringIdx      = 2
	ringElements = 4

	noNotify    = 1 // used ring: the driver need not kick
	noInterrupt = 1 // available ring: the device need not call
)

// split is a split virtqueue.
type split struct {
	access
	Config
	mask uint16

	avail    uint16 // next entry of the available ring to be taken
	shadow   uint16 // its index as it was read last
	used     uint16 // index of the used ring
	called   uint16 // used, when Call was asked last
	quiet    bool   // the driver knows that kicks are not needed
	track    *splitInflight
	resubmit []uint16 // heads that were in flight before
}

// newSplit begins where the used ring ends: chains are used in order. Base says
// the same, or is what the front-end made up while there was no back-end.
func newSplit(mem Memory, c Config) (*split, error) {
	s := &split{access: access{mem: mem, log: c.Log}, Config: c, mask: uint16(c.Size - 1)}
	used, err := s.read16(c.Device + ringIdx)
	if err != nil {
		return nil, err
	}
	flags, err := s.read16(c.Device)
	if err != nil {
		return nil, err
	}
	s.quiet = flags != 0 // a device before this one has left it so
	s.used, s.called = used, used
	s.avail = used
	if c.Inflight != nil {
		s.track = &splitInflight{mem: c.Inflight, size: uint16(c.Size)}
		if s.resubmit, err = s.track.recover(used); err != nil {
			return nil, err
		}
		s.avail += uint16(len(s.resubmit))
	}
	s.shadow = s.avail
	return s, nil
}

func (s *split) Base() uint32 { return uint32(s.avail) }
func (s *split) Used() uint32 { return uint32(s.used) }

func (s *split) Next(c *Chain) (bool, error) {
	c.reset()
	if len(s.resubmit) > 0 {
		c.id, c.again = s.resubmit[0], true
		s.resubmit = s.resubmit[1:]
		return true, s.walk(c)
	}
	more, err := s.More()
	if !more {
		return false, err
	}
	head, err := s.read16(s.Driver + ringElements + 2*uint64(s.avail&s.mask))
	if err != nil {
		return false, err
	}
	if uint32(head) >= s.Size {
		return false, broken("available ring names a descriptor that does not exist", uint64(head))
	}
	c.id = head
	s.avail++
	if s.track != nil {
		if err := s.track.take(head); err != nil {
			return false, err
		}
	}
	return true, s.walk(c)
}

func (s *split) More() (bool, error) {
	if s.avail != s.shadow {
		return true, nil
	}
	idx, err := s.read16(s.Driver + ringIdx)
	if err != nil {
		return false, err
	}
	if uint32(idx-s.avail) > s.Size {
		return false, broken("available index is further ahead than the ring is long", uint64(idx))
	}
	s.shadow = idx
	s.fence() // what the index covers is read after the index
	return idx != s.avail, nil
}

// walk follows the descriptors of a chain.
func (s *split) walk(c *Chain) error {
	table, size := s.Desc, s.Size
	indirect := false
	for i, n := uint32(c.id), uint32(0); ; n++ {
		if n >= size {
			return broken("chain has a loop", uint64(c.id))
		}
		p, err := s.read(table+descSize*uint64(i), descSize)
		if err != nil {
			return err
		}
		d := getDescriptor(p)
		if d.flags&flagIndirect != 0 {
			if indirect {
				return broken("indirect descriptor in an indirect table", uint64(i))
			}
			if size, err = d.table(s.mem, s.Indirect); err != nil {
				return err
			}
			table, indirect = d.addr, true
			i, n = 0, ^uint32(0)
			continue
		}
		if err := c.add(s.mem, &d, s.Size); err != nil {
			return err
		}
		if d.flags&flagNext == 0 {
			return nil
		}
		if i = uint32(d.last); i >= size {
			return broken("next descriptor does not exist", uint64(i))
		}
	}
}

func (s *split) Return(c *Chain) error {
	if c.again {
		s.resubmit = append([]uint16{c.id}, s.resubmit...)
		return nil
	}
	s.avail--
	if s.track != nil {
		return s.track.drop(c.id)
	}
	return nil
}

func (s *split) Use(c *Chain, written uint32) error {
	if s.track != nil {
		if err := s.track.finish(c.id); err != nil {
			return err
		}
	}
	off := ringElements + 8*uint64(s.used&s.mask)
	order.PutUint32(s.buf[:], uint32(c.id))
	order.PutUint32(s.buf[4:], written)
	if err := s.write(s.Device+off, 8); err != nil {
		return err
	}
	s.fence() // the element is there before the index says so
	if err := s.write16(s.Device+ringIdx, s.used+1); err != nil {
		return err
	}
	s.used++
	if s.track != nil {
		return s.track.done(c.id, s.used)
	}
	return nil
}

func (s *split) Call() (bool, error) {
	old := s.called
	s.called = s.used
	if old == s.used {
		return false, nil
	}
	s.fence() // the index is visible before the driver's wish is read
	if s.EventIdx {
		event, err := s.read16(s.Driver + ringElements + 2*uint64(s.Size))
		return err == nil && passed(event, s.used, old), err
	}
	flags, err := s.read16(s.Driver)
	return err == nil && flags&noInterrupt == 0, err
}

// Idle publishes the event index also when VIRTIO_F_EVENT_IDX may have been
// negotiated: the place for it is always there.
func (s *split) Idle() (bool, error) {
	if len(s.resubmit) > 0 {
		return true, nil
	}
	if s.EventIdx || s.Unsaid {
		if err := s.write16(s.Device+ringElements+8*uint64(s.Size), s.avail); err != nil {
			return false, err
		}
	}
	if s.quiet {
		s.quiet = false
		if err := s.write16(s.Device, 0); err != nil {
			return false, err
		}
	}
	s.fence() // the wish is visible before the index is looked at again
	return s.More()
}

// Busy sets a flag. With the event index it must stay zero (virtio §2.7.10); the
// index of the last Idle lies behind then, which does the same.
func (s *split) Busy() error {
	if s.quiet || s.EventIdx || s.Unsaid {
		return nil
	}
	s.quiet = true
	return s.write16(s.Device, noNotify)
}
