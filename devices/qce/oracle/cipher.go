package oracle

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/binary"
	"math/big"

	"golang.org/x/crypto/xts"

	"github.com/qcemu/qcemu/devices/qce"
)

// cipher transforms text in place and leaves the IV to continue with.
func (r *Result) cipher(c *qce.Latched, w words, text []byte) error {
	b, err := block(c, w)
	if err != nil {
		return err
	}
	switch {
	case w.mode == 0:
		ecb(b, text, w.encrypt)
	case w.mode == 1:
		cbc(b, text, r.IV[:b.BlockSize()], w.encrypt)
	case w.cipher != 2:
		return ErrNotJudged
	case w.mode == 2 || w.mode == 4:
		r.IV = ctr(b, text, c.IV, maskOf(c))
	case w.mode == 3:
		return r.xts(c, text, w.encrypt, 16+8*int(w.keySize))
	case w.mode == 6:
		j0, err := firstCounter(c, b)
		if err != nil {
			return err
		}
		value := c.IV
		if c.GCMIVLength != 0 {
			value = plus(j0, 1, 4)
		}
		var mask [16]byte
		copy(mask[12:], []byte{0xff, 0xff, 0xff, 0xff})
		r.IV = ctr(b, text, value, mask)
	default:
		return ErrNotJudged
	}
	return nil
}

func block(c *qce.Latched, w words) (cipher.Block, error) {
	switch {
	case w.cipher == 2 && (w.keySize == 0 || w.keySize == 2):
		return aes.NewCipher(c.Key[:16+8*w.keySize])
	case w.cipher == 1 && w.keySize == 0:
		return des.NewCipher(c.Key[:8])
	case w.cipher == 1 && w.keySize == 1:
		return des.NewTripleDESCipher(c.Key[:24])
	case w.cipher == 1 && w.keySize == 2:
		return des.NewTripleDESCipher(append(bytes.Clone(c.Key[:16]), c.Key[:8]...))
	}
	return nil, ErrNotJudged
}

func ecb(b cipher.Block, p []byte, encrypt bool) {
	n := b.BlockSize()
	for i := 0; i+n <= len(p); i += n {
		if encrypt {
			b.Encrypt(p[i:i+n], p[i:i+n])
		} else {
			b.Decrypt(p[i:i+n], p[i:i+n])
		}
	}
}

// cbc leaves the last ciphertext block in iv (SP 800-38A §6.2).
func cbc(b cipher.Block, p, iv []byte, encrypt bool) {
	n := b.BlockSize()
	for i := 0; i+n <= len(p); i += n {
		in := bytes.Clone(p[i : i+n])
		if encrypt {
			b.Encrypt(p[i:i+n], xor(in, iv))
			copy(iv, p[i:i+n])
		} else {
			out := make([]byte, n)
			b.Decrypt(out, in)
			copy(p[i:], xor(out, iv))
			copy(iv, in)
		}
	}
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// maskOf puts the four counter masks in the order of the counter.
func maskOf(c *qce.Latched) (m [16]byte) {
	for i, w := range c.CntrMask {
		binary.BigEndian.PutUint32(m[4*i:], w)
	}
	return m
}

// ctr returns the counter to continue with.
func ctr(b cipher.Block, p []byte, value, mask [16]byte) [16]byte {
	all := [16]byte(bytes.Repeat([]byte{0xff}, 16))
	if mask == all {
		cipher.NewCTR(b, value[:]).XORKeyStream(p, p)
		return plus(value, (len(p)+15)/16, 16)
	}
	for len(p) > 0 {
		stream := make([]byte, 16)
		b.Encrypt(stream, value[:])
		n := min(len(p), 16)
		copy(p, xor(p[:n], stream))
		p = p[n:]
		next := plus(value, 1, 16)
		for i := range value {
			value[i] = value[i]&^mask[i] | next[i]&mask[i]
		}
	}
	return value
}

// plus adds n to the last bytes bytes of a counter block.
func plus(v [16]byte, n, bytes int) [16]byte {
	x := new(big.Int).SetBytes(v[16-bytes:])
	x.Add(x, big.NewInt(int64(n)))
	x.And(x, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*bytes)), big.NewInt(1)))
	x.FillBytes(v[16-bytes:])
	return v
}

// xts does the data units one after the other; their numbers count up from the
// IV, a big-endian number.
func (r *Result) xts(c *qce.Latched, text []byte, encrypt bool, keyLen int) error {
	unit := len(text)
	if c.XTSDUSize != 0 {
		unit = int(c.XTSDUSize)
	}
	number := c.IV
	for len(text) > 0 {
		n := min(unit, len(text))
		if err := xtsUnit(c.Key[:keyLen], c.XTSKey[:keyLen], text[:n], number, encrypt, c.XTSPass); err != nil {
			return err
		}
		text = text[n:]
		number = plus(number, 1, 16)
	}
	if c.XTSStep {
		r.IV = number
	}
	return nil
}

func xtsUnit(key, tweakKey, p []byte, number [16]byte, encrypt, pass bool) error {
	if tail := len(p) % 16; tail != 0 && (pass || len(p) < 16) {
		p = p[:len(p)-tail]
	}
	if len(p) == 0 {
		return nil
	}
	if len(p)%16 == 0 && [8]byte(number[:8]) == [8]byte{} {
		x, err := xts.NewCipher(aes.NewCipher, append(bytes.Clone(key), tweakKey...))
		if err != nil {
			return err
		}
		sector := binary.BigEndian.Uint64(number[8:])
		if encrypt {
			x.Encrypt(p, p, sector)
		} else {
			x.Decrypt(p, p, sector)
		}
		return nil
	}
	return xtsPlain(key, tweakKey, p, number, encrypt)
}

// xtsPlain is XTS by its definition (IEEE 1619 §5.3, §5.4), stealing included.
func xtsPlain(key, tweakKey, p []byte, number [16]byte, encrypt bool) error {
	k1, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	k2, err := aes.NewCipher(tweakKey)
	if err != nil {
		return err
	}
	t := make([]byte, 16)
	for i := range t {
		t[i] = number[15-i]
	}
	k2.Encrypt(t, t)
	one := func(q, t []byte) {
		in := xor(q, t)
		if encrypt {
			k1.Encrypt(in, in)
		} else {
			k1.Decrypt(in, in)
		}
		copy(q, xor(in, t))
	}
	tail := len(p) % 16
	whole := len(p) / 16
	if tail != 0 {
		whole--
	}
	for i := range whole {
		one(p[16*i:16*i+16], t)
		t = timesAlpha(t)
	}
	if tail == 0 {
		return nil
	}
	p = p[16*whole:]
	first, second := t, timesAlpha(t)
	if !encrypt {
		first, second = second, first
	}
	one(p[:16], first)
	for i := range tail {
		p[i], p[16+i] = p[16+i], p[i]
	}
	one(p[:16], second)
	return nil
}

func timesAlpha(t []byte) []byte {
	out := make([]byte, 16)
	carry := byte(0)
	for i, b := range t {
		out[i] = b<<1 | carry
		carry = b >> 7
	}
	if carry == 1 {
		out[0] ^= 0x87
	}
	return out
}
