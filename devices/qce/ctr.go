package qce

import (
	"crypto/cipher"
	"crypto/subtle"
)

// counter is CTR mode with a counter of which only the masked bits count.
type counter struct {
	block  cipher.Block
	value  num128 // of the next block
	mask   num128
	whole  bool // all 128 bits count
	stream [32 * 16]byte
	used   int // of stream[:end], what is used up
	end    int
}

func (c *counter) init(b cipher.Block, value *[16]byte, mask num128) {
	c.block, c.value, c.mask, c.used, c.end = b, loadBE(value[:]), mask, 0, 0
	c.whole = mask == num128{^uint64(0), ^uint64(0)}
}

func (c *counter) step() {
	next := c.value
	next.inc()
	if !c.whole {
		next = num128{c.value.hi&^c.mask.hi | next.hi&c.mask.hi, c.value.lo&^c.mask.lo | next.lo&c.mask.lo}
	}
	c.value = next
}

func (c *counter) crypt(p []byte) {
	for len(p) > 0 {
		if c.used == c.end {
			c.fill(len(p))
		}
		n := subtle.XORBytes(p, p, c.stream[c.used:c.end])
		c.used += n
		p = p[n:]
	}
}

// fill makes key stream for n bytes, and no more: value is the counter to
// continue with.
func (c *counter) fill(n int) {
	c.used, c.end = 0, min((n+15)&^15, len(c.stream))
	for q := c.stream[:c.end]; len(q) > 0; q = q[16:] {
		c.value.putBE(q)
		c.step()
	}
	ecb(c.block, c.stream[:c.end], true)
}
