package qce

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// counter is CTR mode with a counter of which only the masked bits count.
type counter struct {
	block  cipher.Block
	value  [16]byte // of the next block
	mask   num128
	whole  bool // all 128 bits count
	stream [16]byte
	used   int // bytes of stream that are used up; 16: none left
}

func (c *counter) init(b cipher.Block, value *[16]byte, mask num128) {
	c.block, c.value, c.mask, c.used = b, *value, mask, 16
	c.whole = mask == num128{^uint64(0), ^uint64(0)}
}

func (c *counter) step() {
	v := num128{binary.BigEndian.Uint64(c.value[:]), binary.BigEndian.Uint64(c.value[8:])}
	next := v
	next.inc()
	if !c.whole {
		next = num128{v.hi&^c.mask.hi | next.hi&c.mask.hi, v.lo&^c.mask.lo | next.lo&c.mask.lo}
	}
	binary.BigEndian.PutUint64(c.value[:], next.hi)
	binary.BigEndian.PutUint64(c.value[8:], next.lo)
}

func (c *counter) crypt(p []byte) {
	for len(p) > 0 {
		if c.used == 16 {
			c.block.Encrypt(c.stream[:], c.value[:])
			c.step()
			c.used = 0
		}
		if c.used == 0 && len(p) >= 16 {
			q := p[:16:16]
			binary.LittleEndian.PutUint64(q, binary.LittleEndian.Uint64(q)^binary.LittleEndian.Uint64(c.stream[:]))
			binary.LittleEndian.PutUint64(q[8:], binary.LittleEndian.Uint64(q[8:])^binary.LittleEndian.Uint64(c.stream[8:]))
			c.used = 16
			p = p[16:]
			continue
		}
		n := subtle.XORBytes(p, p, c.stream[c.used:])
		c.used += n
		p = p[n:]
	}
}
