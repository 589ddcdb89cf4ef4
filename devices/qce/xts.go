package qce

import (
	"crypto/cipher"
	"crypto/subtle"
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
	tweaks       [32 * 16]byte
}

// num128 is a 128-bit number.
type num128 struct{ hi, lo uint64 }

// loadBE reads a block as a big-endian number.
func loadBE(p []byte) num128 {
	return num128{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])}
}

func (n num128) putBE(p []byte) {
	binary.BigEndian.PutUint64(p, n.hi)
	binary.BigEndian.PutUint64(p[8:], n.lo)
}

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
	x.num = loadBE(iv)
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

// blocks goes over a run of blocks once for each part of the mode: in a loop
// that does all parts block by block, every part waits for the one before.
func (x *xts) blocks(p []byte) {
	for len(p) >= 16 {
		run := p[:min(len(p)&^15, len(x.tweaks))]
		tweaks := x.tweaks[:len(run)]
		t := x.t
		for q := tweaks; len(q) >= 16; q = q[16:] {
			binary.LittleEndian.PutUint64(q, t.lo)
			binary.LittleEndian.PutUint64(q[8:], t.hi)
			t.double()
		}
		x.t = t
		subtle.XORBytes(run, run, tweaks)
		ecb(x.block, run, x.encrypt)
		subtle.XORBytes(run, run, tweaks)
		p = p[len(run):]
	}
}

// ecb does whole blocks, each on its own.
func ecb(b cipher.Block, p []byte, encrypt bool) {
	size := b.BlockSize()
	if encrypt {
		for ; len(p) >= size; p = p[size:] {
			b.Encrypt(p[:size], p[:size])
		}
		return
	}
	for ; len(p) >= size; p = p[size:] {
		b.Decrypt(p[:size], p[:size])
	}
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
