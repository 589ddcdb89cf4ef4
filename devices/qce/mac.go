package qce

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// cbcMAC is the chain that CMAC and CCM share: it holds back the last block, so
// that the end can be treated as the mode wants.
type cbcMAC struct {
	block cipher.Block
	x     [16]byte
	part  [16]byte
	n     int
	sub   [16]byte // CMAC subkey
}

func (m *cbcMAC) init(b cipher.Block, x []byte) {
	m.block, m.n = b, 0
	copy(m.x[:], x)
}

func (m *cbcMAC) update(p []byte) {
	for len(p) > 0 {
		if m.n == 16 {
			m.chain()
		}
		for m.n == 0 && len(p) > 16 {
			subtle.XORBytes(m.x[:], m.x[:], p[:16])
			m.block.Encrypt(m.x[:], m.x[:])
			p = p[16:]
		}
		k := copy(m.part[m.n:], p)
		m.n += k
		p = p[k:]
	}
}

func (m *cbcMAC) chain() {
	subtle.XORBytes(m.x[:], m.x[:], m.part[:])
	m.block.Encrypt(m.x[:], m.x[:])
	m.n = 0
}

// flush ends a CCM authentication: a partial block is padded with zeros.
func (m *cbcMAC) flush() {
	if m.n > 0 {
		clear(m.part[m.n:])
		m.chain()
	}
}

// finishCMAC ends a CMAC (SP 800-38B §6.2).
func (m *cbcMAC) finishCMAC() {
	clear(m.sub[:])
	m.block.Encrypt(m.sub[:], m.sub[:])
	doubleBE(&m.sub)
	if m.n < 16 {
		doubleBE(&m.sub)
		m.part[m.n] = 0x80
		clear(m.part[m.n+1:])
	}
	subtle.XORBytes(m.part[:], m.part[:], m.sub[:])
	m.chain()
}

// doubleBE multiplies by x in CMAC's field, where a block is a big-endian
// number.
func doubleBE(b *[16]byte) {
	n := loadBE(b[:])
	n.double()
	n.putBE(b[:])
}

// ghash is GCM's authentication (SP 800-38D §6.4): a table of the sixteen
// multiples of the hash key, four bits at a time.
type ghash struct {
	table [16]num128 // table[i]: key times the polynomial with the bits of i, most significant first
	y     num128
	part  [16]byte
	n     int
}

func (g *ghash) init(h []byte) {
	*g = ghash{}
	v := loadBE(h)
	for i := 8; i > 0; i >>= 1 {
		g.table[i] = v
		v = v.halve()
	}
	for i := 2; i < 16; i <<= 1 {
		for j := 1; j < i; j++ {
			g.table[i+j] = num128{g.table[i].hi ^ g.table[j].hi, g.table[i].lo ^ g.table[j].lo}
		}
	}
}

// halve multiplies by x in GCM's field, whose bits run the other way.
func (n num128) halve() num128 {
	carry := -(n.lo & 1)
	return num128{n.hi>>1 ^ carry&(0xe1<<56), n.lo>>1 | n.hi<<63}
}

// reduction4[i] is what the four bits i, shifted out at the end, come back as.
var reduction4 = func() (t [16]uint64) {
	for i := range t {
		n := num128{0, uint64(i)}
		for range 4 {
			n = n.halve()
		}
		t[i] = n.hi
	}
	return t
}()

func (g *ghash) mul() {
	var z num128
	for _, w := range [2]uint64{g.y.lo, g.y.hi} {
		for range 16 {
			r := reduction4[z.lo&15]
			z = num128{z.hi>>4 ^ r, z.lo>>4 | z.hi<<60}
			t := &g.table[w&15]
			z.hi ^= t.hi
			z.lo ^= t.lo
			w >>= 4
		}
	}
	g.y = z
}

func (g *ghash) chain(p []byte) {
	g.y.hi ^= binary.BigEndian.Uint64(p)
	g.y.lo ^= binary.BigEndian.Uint64(p[8:])
	g.mul()
}

func (g *ghash) update(p []byte) {
	if g.n > 0 {
		k := copy(g.part[g.n:], p)
		g.n += k
		p = p[k:]
		if g.n < 16 {
			return
		}
		g.chain(g.part[:])
		g.n = 0
	}
	for len(p) >= 16 {
		g.chain(p)
		p = p[16:]
	}
	g.n = copy(g.part[:], p)
}

// align pads with zeros to a whole block.
func (g *ghash) align() {
	if g.n > 0 {
		clear(g.part[g.n:])
		g.chain(g.part[:])
		g.n = 0
	}
}

// lengths adds the closing block: the bits of additional data and of text.
func (g *ghash) lengths(aad, text uint64) {
	g.align()
	g.y.hi ^= aad * 8
	g.y.lo ^= text * 8
	g.mul()
}

func (g *ghash) sum(p []byte) { g.y.putBE(p) }
