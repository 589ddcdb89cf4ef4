package oracle

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"encoding/binary"
	"math/big"

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
	in := make([]byte, n)
	for ; len(p) >= n; p = p[n:] {
		q := p[:n]
		copy(in, q)
		if encrypt {
			subtle.XORBytes(q, in, iv)
			b.Encrypt(q, q)
			copy(iv, q)
		} else {
			b.Decrypt(q, in)
			subtle.XORBytes(q, q, iv)
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
