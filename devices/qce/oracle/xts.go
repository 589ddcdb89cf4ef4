package oracle

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"slices"

	"github.com/qcemu/qcemu/devices/qce"
)

// xts is AES-XTS (IEEE 1619 §5.3, §5.4). It does the data units one after the
// other; their numbers count up from the IV, a big-endian number.
func (r *Result) xts(c *qce.Latched, text []byte, encrypt bool, keyLen int) error {
	k, err := newXTSKeys(c.Key[:keyLen], c.XTSKey[:keyLen], encrypt)
	if err != nil {
		return err
	}
	k.space = r.space
	unit := len(text)
	if c.XTSDUSize != 0 {
		unit = int(c.XTSDUSize)
	}
	number := c.IV
	for len(text) > 0 {
		n := min(unit, len(text))
		k.unit(text[:n], number, c.XTSPass)
		text = text[n:]
		number = plus(number, 1, 16)
	}
	if c.XTSStep {
		r.IV = number
	}
	return nil
}

// xtsKeys are the two keys, and which way text goes.
type xtsKeys struct {
	tweak cipher.Block
	text  func(dst, src []byte)
	back  bool // it is decrypted
	space *space
}

func newXTSKeys(text, tweak []byte, encrypt bool) (k xtsKeys, err error) {
	b, err := aes.NewCipher(text)
	if err != nil {
		return k, err
	}
	if k.tweak, err = aes.NewCipher(tweak); err != nil {
		return k, err
	}
	k.text, k.space = b.Encrypt, &space{}
	if !encrypt {
		k.text, k.back = b.Decrypt, true
	}
	return k, nil
}

// unit does a data unit. What is no whole block at its end is left alone with
// pass, or where there is no block before it to steal from.
func (k *xtsKeys) unit(p []byte, number [16]byte, pass bool) {
	tail := len(p) % 16
	if tail != 0 && (pass || len(p) < 16) {
		p, tail = p[:len(p)-tail], 0
	}
	t := k.tweaks((len(p)+15)/16, number)
	if tail == 0 {
		k.masked(p, t)
		return
	}
	// The last whole block and the tail (§5.3.2): the tail takes the first bytes of the block
	// and gives it its own. When text is decrypted the two tweaks change places.
	whole := len(p) - tail - 16
	k.masked(p[:whole], t[:whole])
	first, second := t[whole:whole+16], t[whole+16:whole+32]
	if k.back {
		first, second = second, first
	}
	end := p[whole:]
	k.masked(end[:16], first)
	for i := range tail {
		end[i], end[16+i] = end[16+i], end[i]
	}
	k.masked(end[:16], second)
}

// tweaks are those of the first blocks of a data unit, in a row.
func (k *xtsKeys) tweaks(blocks int, number [16]byte) []byte {
	size := max(blocks, 1) * 16
	k.space.tweaks = slices.Grow(k.space.tweaks[:0], size)
	t := k.space.tweaks[:size]
	for i, b := range number {
		t[15-i] = b
	}
	k.tweak.Encrypt(t[:16], t[:16])
	for i := 16; i < len(t); i += 16 {
		timesAlpha(t[i:i+16], t[i-16:i])
	}
	return t
}

// masked does whole blocks, whose tweaks are before and behind the cipher.
func (k *xtsKeys) masked(p, tweaks []byte) {
	subtle.XORBytes(p, p, tweaks)
	for i := 0; i < len(p); i += 16 {
		k.text(p[i:i+16], p[i:i+16])
	}
	subtle.XORBytes(p, p, tweaks)
}

// timesAlpha multiplies by the primitive element, least significant byte first
// (§5.2).
func timesAlpha(out, t []byte) {
	low, high := binary.LittleEndian.Uint64(t), binary.LittleEndian.Uint64(t[8:])
	carry := high >> 63
	high = high<<1 + low>>63
	low <<= 1
	if carry == 1 {
		low ^= 0x87
	}
	binary.LittleEndian.PutUint64(out, low)
	binary.LittleEndian.PutUint64(out[8:], high)
}
