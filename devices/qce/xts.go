package qce

import (
	"crypto/cipher"
	"encoding/binary"
)

// xts is AES-XTS over a run of data units (IEEE 1619). The tweak is kept as a
// 128-bit little-endian number in two words.
type xts struct {
	block, tweak cipher.Block
	encrypt      bool
	steal        bool   // ciphertext stealing; else an odd tail passes unchanged
	num          num128 // of the current data unit
	t            num128 // tweak of the next block
	tmp, tmp2    [16]byte
}

// num128 is a 128-bit number.
type num128 struct{ hi, lo uint64 }

func (n *num128) inc() {
	n.lo++
	if n.lo == 0 {
		n.hi++
	}
}

// double multiplies by x in the field of the tweaks.
func (n *num128) double() {
	carry := uint64(int64(n.hi) >> 63)
	n.hi = n.hi<<1 | n.lo>>63
	n.lo = n.lo<<1 ^ carry&0x87
}

// init sets the number of the first data unit from the engine's IV string,
// which is big-endian (datasheet §15).
func (x *xts) init(iv []byte) {
	x.num = num128{binary.BigEndian.Uint64(iv), binary.BigEndian.Uint64(iv[8:])}
	x.unit()
}

// unit starts the data unit x.num.
func (x *xts) unit() {
	binary.LittleEndian.PutUint64(x.tmp[:], x.num.lo)
	binary.LittleEndian.PutUint64(x.tmp[8:], x.num.hi)
	x.tweak.Encrypt(x.tmp[:], x.tmp[:])
	x.t = num128{binary.LittleEndian.Uint64(x.tmp[8:]), binary.LittleEndian.Uint64(x.tmp[:])}
}

// take returns how many of avail bytes can be done now, when left bytes of the
// data unit remain.
func (x *xts) take(avail, left int) int {
	tail := left % 16
	if tail == 0 {
		return min(avail, left) &^ 15
	}
	whole := left - tail // blocks that stand on their own
	if x.steal {
		whole -= 16
	}
	switch {
	case whole > 0:
		return min(avail, whole) &^ 15
	case avail < left:
		return 0
	}
	return left
}

// crypt does whole blocks, or the end of a data unit that take returned.
func (x *xts) crypt(p []byte) {
	tail := len(p) % 16
	if tail == 0 {
		x.blocks(p)
		return
	}
	if !x.steal || len(p) < 16 {
		return
	}
	x.stealTail(p, tail)
}

func (x *xts) blocks(p []byte) {
	t, b, encrypt := x.t, x.block, x.encrypt
	for len(p) >= 16 {
		q := p[:16:16]
		binary.LittleEndian.PutUint64(q, binary.LittleEndian.Uint64(q)^t.lo)
		binary.LittleEndian.PutUint64(q[8:], binary.LittleEndian.Uint64(q[8:])^t.hi)
		if encrypt {
			b.Encrypt(q, q)
		} else {
			b.Decrypt(q, q)
		}
		binary.LittleEndian.PutUint64(q, binary.LittleEndian.Uint64(q)^t.lo)
		binary.LittleEndian.PutUint64(q[8:], binary.LittleEndian.Uint64(q[8:])^t.hi)
		t.double()
		p = p[16:]
	}
	x.t = t
}

// stealTail does the last whole block and the tail behind it.
func (x *xts) stealTail(p []byte, tail int) {
	last, next := x.t, x.t
	next.double()
	first, second := last, next // tweaks in the order of use
	if !x.encrypt {
		first, second = next, last
	}
	x.t = first
	x.blocks(p[:16])
	// The tail takes the head of that block, and gives way to its end.
	copy(x.tmp2[:], p[16:])
	copy(p[16:], p[:tail])
	copy(p[:tail], x.tmp2[:tail])
	x.t = second
	x.blocks(p[:16])
	x.t = next
}
