package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
)

// decoder takes the records of a chunk apart. Nothing of what it reads is
// trusted.
type decoder struct {
	ee   uint8 // Linux's
	ees  uint8 // how many there are
	buf  []byte
	next predictor
}

func (d *decoder) begin(raw []byte) {
	d.buf = raw
	d.next = predictor{}
}

var errShort = errors.New("a record is cut off")

// read decodes the next record; the chunk must have one.
func (d *decoder) read(r *rec) (err error) {
	first := d.buf[0]
	d.buf = d.buf[1:]
	k := kind(first & 0xf)
	*r = rec{kind: k}
	switch k {
	case readRec, writeRec, resetRec, idleRec:
		return d.entry(r, first)
	case leaveRec:
		return d.leave(r, first)
	case fetchRec:
		if err := d.access(r); err != nil {
			return err
		}
		r.data, err = d.bytes(r.size)
		return err
	case faultRec:
		return d.fault(r, first)
	case suiteRec:
		n, err := d.uint()
		if err != nil || n > maxSuite {
			return errors.Join(err, errors.New("a suite's name is too long"))
		}
		name, err := d.bytes(int(n))
		r.suite = string(name)
		return err
	case timeRec:
		r.value, err = d.uint()
		return err
	case endRec:
		return nil
	}
	return fmt.Errorf("there is no record of kind %d", k)
}

func (d *decoder) uint() (uint64, error) {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		return 0, errShort
	}
	d.buf = d.buf[n:]
	return v, nil
}

func (d *decoder) int() (int64, error) {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		return 0, errShort
	}
	d.buf = d.buf[n:]
	return v, nil
}

func (d *decoder) bytes(n int) ([]byte, error) {
	if n > len(d.buf) {
		return nil, errShort
	}
	p := d.buf[:n]
	d.buf = d.buf[n:]
	return p, nil
}

func (d *decoder) byte() (byte, error) {
	p, err := d.bytes(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

func (d *decoder) entry(r *rec, first byte) (err error) {
	e := &r.entry
	*e = cryptoblock.Entry{Kind: entryKinds[r.kind], EE: d.ee}
	if first&otherEE != 0 {
		if e.EE, err = d.byte(); err != nil {
			return err
		}
		if e.EE >= d.ees {
			return fmt.Errorf("there is no execution environment %d", e.EE)
		}
	}
	if r.kind != readRec && r.kind != writeRec {
		return nil
	}
	e.Size = 4
	if first&otherSize != 0 {
		if e.Size, err = d.byte(); err != nil {
			return err
		}
	}
	if e.Off, err = d.uint(); err != nil {
		return err
	}
	if e.Size == 0 || e.Size > 8 || e.Off > cryptoblock.WindowSize-uint64(e.Size) {
		return fmt.Errorf("an access of %d bytes at %#x is outside the block's window", e.Size, e.Off)
	}
	if r.kind == writeRec {
		e.Value, err = d.uint()
	}
	return err
}

func (d *decoder) leave(r *rec, first byte) (err error) {
	if first&hasValue != 0 {
		if r.value, err = d.uint(); err != nil {
			return err
		}
	}
	if first&hasWrites != 0 {
		if r.writes, err = d.uint(); err != nil {
			return err
		}
		sum, err := d.bytes(4)
		if err != nil {
			return err
		}
		r.sum = binary.LittleEndian.Uint32(sum)
	}
	return nil
}

func (d *decoder) access(r *rec) error {
	pipe, err := d.byte()
	if err != nil {
		return err
	}
	size, err := d.uint()
	if err != nil {
		return err
	}
	if size > maxAccess {
		return fmt.Errorf("a memory access of %d bytes is longer than any", size)
	}
	delta, err := d.int()
	if err != nil {
		return err
	}
	r.pipe, r.size = int(pipe&31), int(size)
	next := d.next.next(r.pipe, r.size)
	r.addr = *next + uint64(delta)
	*next = r.addr + size
	return nil
}

func (d *decoder) fault(r *rec, first byte) error {
	if err := d.access(r); err != nil {
		return err
	}
	reason, err := d.byte()
	if err != nil {
		return err
	}
	r.reason = bus.Reason(reason)
	r.write = first&onWrite != 0
	if r.write {
		r.writes, err = d.uint()
	}
	return err
}
