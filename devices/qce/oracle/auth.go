package oracle

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/qce"
)

// authenticate leaves the digest, state or MAC of seen in AuthIV. tag is the
// received tag of an AEAD.
func (r *Result) authenticate(c *qce.Latched, w words, seen, tag []byte) error {
	switch {
	case w.auth == 1 && w.authMode <= 1 && w.size <= 3:
		return r.sha(c, w, seen)
	case w.auth != 2 || w.authKey != 0 && w.authKey != 2 || w.size > 15:
		return ErrNotJudged
	}
	b, err := aes.NewCipher(c.AuthKey[:16+8*w.authKey])
	if err != nil {
		return err
	}
	r.count(uint64(len(seen)))
	switch {
	case w.authMode == 1:
		copy(r.AuthIV[:], cmac(b, seen))
	case w.authMode == 0 && w.ccm():
		x := c.AuthIV[:16]
		if w.first {
			x = make([]byte, 16)
			b.Encrypt(x, c.Nonce[:])
		}
		copy(r.AuthIV[:], cbcMAC(b, x, zeroPad(seen)))
		if !w.last {
			return nil
		}
		mask := make([]byte, 16)
		key, err := block(c, w)
		if err != nil {
			return err
		}
		key.Encrypt(mask, c.CCMInitCntr[:])
		copy(r.AuthIV[:], xor(r.AuthIV[:16], mask))
	case w.authMode == 2 && w.gcm():
		if err := r.gcmTag(c, w, seen); err != nil {
			return err
		}
		if !w.last {
			return nil
		}
	default:
		return ErrNotJudged
	}
	if tag != nil {
		r.MACFailed = !bytes.Equal(tag, r.AuthIV[:len(tag)])
	}
	if w.compare {
		n := int(w.size) + 1
		r.MACFailed = r.MACFailed || !bytes.Equal(r.AuthIV[:n], c.ExpMAC[:n])
	}
	return nil
}

func (r *Result) count(n uint64) {
	n += uint64(r.ByteCnt[0]) | uint64(r.ByteCnt[1])<<32
	r.ByteCnt[0], r.ByteCnt[1] = uint32(n), uint32(n>>32)
}

func (r *Result) sha(c *qce.Latched, w words, seen []byte) error {
	h := hashes[w.size]
	hmac := w.authMode == 1
	total := uint64(c.ByteCnt[0]) | uint64(c.ByteCnt[1])<<32
	data := seen
	key := append(bytes.Clone(c.AuthKey[:]), make([]byte, h.block-min(h.block, 64))...)[:h.block]
	if hmac && w.first {
		data = append(pad(key, 0x36), seen...)
	}
	// What the length in the padding counts beyond the data.
	extra := uint64(0)
	if hmac && (w.first || c.HMACData) {
		extra = uint64(h.block)
	}
	r.count(uint64(len(seen)))
	if !c.HMACData {
		r.count(extra)
	}
	if !w.last {
		copy(r.AuthIV[:], h.run(c.AuthIV[:h.state], data[:len(data)/h.block*h.block]))
		return nil
	}
	state := h.run(c.AuthIV[:h.state], append(bytes.Clone(data), h.padding(len(data), total+extra+uint64(len(seen)))...))
	if hmac {
		outer := append(pad(key, 0x5c), state[:h.digest]...)
		state = h.run(h.initial, append(outer, h.padding(len(outer), uint64(len(outer)))...))
	}
	copy(r.AuthIV[:], state)
	if w.compare {
		r.MACFailed = !bytes.Equal(r.AuthIV[:h.digest], c.ExpMAC[:h.digest])
	}
	return nil
}

func pad(key []byte, b byte) []byte { return xor(key, bytes.Repeat([]byte{b}, len(key))) }

func zeroPad(p []byte) []byte { return append(bytes.Clone(p), make([]byte, -len(p)&15)...) }

// cbcMAC chains whole blocks.
func cbcMAC(b cipher.Block, x, p []byte) []byte {
	x = bytes.Clone(x)
	for ; len(p) > 0; p = p[16:] {
		x = xor(x, p[:16])
		b.Encrypt(x, x)
	}
	return x
}

// cmac is AES-CMAC as RFC 4493 §2.4 has it.
func cmac(b cipher.Block, p []byte) []byte {
	l := make([]byte, 16)
	b.Encrypt(l, l)
	k1 := shift(l)
	k2 := shift(k1)
	last := (max(len(p), 1) - 1) / 16 * 16
	var end []byte
	if n := len(p) - last; n == 16 {
		end = xor(p[last:], k1)
	} else {
		end = xor(zeroPad(append(bytes.Clone(p[last:]), 0x80)), k2)
	}
	return cbcMAC(b, make([]byte, 16), append(bytes.Clone(p[:last]), end...))
}

// shift multiplies by x, most significant bit first.
func shift(p []byte) []byte {
	out := make([]byte, 16)
	for i := range out {
		out[i] = p[i] << 1
		if i < 15 {
			out[i] |= p[i+1] >> 7
		}
	}
	if p[0]>>7 == 1 {
		out[15] ^= 0x87
	}
	return out
}

// gcmTag is the tag of SP 800-38D, by the definition of GHASH.
func (r *Result) gcmTag(c *qce.Latched, w words, seen []byte) error {
	b, err := block(c, w)
	if err != nil {
		return err
	}
	// The additional data is what the region has before the text.
	aad := 0
	if c.EncrSegStart > c.AuthSegStart {
		aad = min(int(c.EncrSegStart-c.AuthSegStart), len(seen))
	}
	r.AuthIV = gcmTagOf(b, seen[:aad], seen[aad:], r.AuthIV)
	if !w.last {
		return nil
	}
	j0, err := firstCounter(c, b)
	if err != nil {
		return err
	}
	mask := make([]byte, 16)
	b.Encrypt(mask, j0[:])
	copy(r.AuthIV[:], xor(r.AuthIV[:16], mask))
	return nil
}

func gcmTagOf(b cipher.Block, aad, text []byte, iv [64]byte) [64]byte {
	h := make([]byte, 16)
	b.Encrypt(h, h)
	data := append(zeroPad(aad), zeroPad(text)...)
	data = binary.BigEndian.AppendUint64(data, uint64(len(aad))*8)
	data = binary.BigEndian.AppendUint64(data, uint64(len(text))*8)
	copy(iv[:], ghash(h, data))
	return iv
}

// firstCounter is J0.
func firstCounter(c *qce.Latched, b cipher.Block) (j0 [16]byte, err error) {
	n := int(c.GCMIVLength)
	switch {
	case n == 0:
		return c.CCMInitCntr, nil
	case n > 16:
		return j0, ErrNotJudged
	case n == 12:
		copy(j0[:], c.IV[:12])
		j0[15] = 1
		return j0, nil
	}
	h := make([]byte, 16)
	b.Encrypt(h, h)
	data := binary.BigEndian.AppendUint64(append(zeroPad(c.IV[:n]), make([]byte, 8)...), uint64(n)*8)
	return [16]byte(ghash(h, data)), nil
}

// ghash is GHASH, one bit at a time (SP 800-38D §6.3, §6.4).
func ghash(h, p []byte) []byte {
	y := make([]byte, 16)
	for ; len(p) > 0; p = p[16:] {
		x := xor(y, p[:16])
		z, v := make([]byte, 16), bytes.Clone(h)
		for i := range 128 {
			if x[i/8]>>(7-i%8)&1 == 1 {
				z = xor(z, v)
			}
			odd := v[15]&1 == 1
			for j := 15; j > 0; j-- {
				v[j] = v[j]>>1 | v[j-1]<<7
			}
			v[0] >>= 1
			if odd {
				v[0] ^= 0xe1
			}
		}
		y = z
	}
	return y
}
