package qcetest

import (
	"encoding/binary"
	"slices"

	"github.com/qcemu/qcemu/devices/qce"
)

// Authenc is a request for authenc(hmac(hash), cbc(cipher)): Data is the
// associated data and the text, for decryption the tag may follow.
type Authenc struct {
	Hash    Hash
	Mode    Mode
	Key, IV []byte
	AuthKey []byte
	Encrypt bool
	AAD     int // bytes of associated data at the start of Data
	Len     int // bytes of text behind them
	Data    []byte
}

func (a Authenc) Input() []byte { return a.Data }

func (a Authenc) Writes(pair int) []Write {
	var l list
	l.begin(pair)
	l.words(qce.EncrKey0, a.Key)
	l.words(qce.CntrIV0, a.IV)
	l.zeros(qce.AuthIV0, 16)
	l.zeros(qce.AuthKey0, 16)
	l.zeros(qce.AuthByteCnt0, 4)
	l.words(qce.AuthKey0, padded(a.AuthKey, (len(a.AuthKey)+3)/4*4))
	l.words(qce.AuthIV0, std[a.Hash])
	encr := uint32(a.Mode) ^ a.Mode.keySize(len(a.Key))
	auth := 1 | 1<<6 | uint32(a.Hash)<<9 | 1<<16 | 1<<17
	if a.Encrypt {
		encr |= encode
		auth |= 1 << 14
	}
	total := uint32(a.AAD + a.Len)
	l.put(qce.EncrSegCfg, encr)
	l.put(qce.AuthSegCfg, auth)
	l.put(qce.EncrSegSize, uint32(a.Len))
	l.put(qce.EncrSegStart, uint32(a.AAD))
	l.put(qce.AuthSegSize, total)
	l.put(qce.AuthSegStart, 0)
	l.put(qce.SegSize, total)
	return l.end(pair, qce.Go|qce.ResultsDump)
}

// CCM is a request for ccm(aes). Text is, for decryption, ciphertext and tag.
type CCM struct {
	Key, Nonce []byte
	AAD, Text  []byte
	TagLen     int
	Encrypt    bool
	Dump       bool // ask for the result dump too, as the downstream driver does
}

// size is the length of the plaintext.
func (c CCM) size() int {
	if c.Encrypt {
		return len(c.Text)
	}
	return len(c.Text) - c.TagLen
}

// Header is the associated data as software lays it out in the stream: length,
// data, padding (SP 800-38C A.2.2).
func (c CCM) Header() []byte {
	n := len(c.AAD)
	var h []byte
	switch {
	case n == 0:
		return nil
	case n < 0xff00:
		h = binary.BigEndian.AppendUint16(nil, uint16(n))
	default:
		h = binary.BigEndian.AppendUint32([]byte{0xff, 0xfe}, uint32(n))
	}
	h = append(h, c.AAD...)
	return append(h, make([]byte, -len(h)&15)...)
}

func (c CCM) Input() []byte { return append(c.Header(), c.Text...) }

// b0 is the first block of the authentication (SP 800-38C A.2.1).
func (c CCM) b0() []byte {
	l := 15 - len(c.Nonce)
	flags := byte((c.TagLen-2)/2<<3 | (l - 1))
	if len(c.AAD) > 0 {
		flags |= 1 << 6
	}
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(c.size()))
	b := append([]byte{flags}, c.Nonce...)
	if l > 8 {
		b = append(b, make([]byte, l-8)...)
		l = 8
	}
	return append(b, size[8-l:]...)
}

// a0 is the counter block of the tag (SP 800-38C A.3).
func (c CCM) a0() []byte {
	return padded(append([]byte{byte(14 - len(c.Nonce))}, c.Nonce...), 16)
}

func (c CCM) Writes(pair int) []Write {
	var l list
	a0 := c.a0()
	l.begin(pair)
	l.words(qce.EncrKey0, c.Key)
	l.words(qce.CntrIV0, a0)
	l.put(qce.CntrIV0+12, binary.BigEndian.Uint32(a0[12:])+1)
	l.words(qce.EncrCCMInitCnt0, a0)
	l.masks()
	l.zeros(qce.AuthIV0, 16)
	l.zeros(qce.AuthKey0, 16)
	l.zeros(qce.AuthByteCnt0, 4)
	l.words(qce.AuthKey0, c.Key)
	l.words(qce.AuthInfoNonce0, c.b0())
	size := CBCAES.keySize(len(c.Key))
	encr := ccmMode | size
	auth := 2 | size | uint32(c.TagLen-1)<<9 | 1<<16 | 1<<17 | 4<<20
	header := uint32(len(c.Header()))
	text := uint32(len(c.Text))
	if c.Encrypt {
		encr |= encode
	} else {
		auth |= 1 << 14
	}
	l.put(qce.EncrSegCfg, encr)
	l.put(qce.AuthSegCfg, auth)
	l.put(qce.EncrSegSize, text)
	l.put(qce.EncrSegStart, header)
	l.put(qce.AuthSegSize, header+uint32(c.size()))
	l.put(qce.AuthSegStart, 0)
	l.put(qce.SegSize, header+text)
	goproc := uint32(qce.Go)
	if c.Dump {
		goproc |= qce.ResultsDump
	}
	return l.end(pair, goproc)
}

// GCM is a request for gcm(aes), which no Linux driver makes; its shape is that
// of CCM with the words of the vendor's examples (datasheet §14).
type GCM struct {
	Key, IV   []byte // IV of up to 16 bytes
	AAD, Text []byte // Text is, for decryption, ciphertext and tag
	TagLen    int
	Encrypt   bool
}

func (g GCM) Input() []byte { return append(slices.Clone(g.AAD), g.Text...) }

func (g GCM) Writes(pair int) []Write {
	var l list
	l.begin(pair)
	l.words(qce.EncrKey0, g.Key)
	l.words(qce.AuthKey0, padded(g.Key, 64))
	l.words(qce.CntrIV0, padded(g.IV, 16))
	l.put(qce.GCMIVLength, uint32(len(g.IV)))
	size := CBCAES.keySize(len(g.Key))
	encr := gcmMode | size
	auth := 2 | size | 2<<6 | uint32(g.TagLen-1)<<9 | 1<<16 | 1<<17
	aad, text := uint32(len(g.AAD)), uint32(len(g.Text))
	plain := text
	if g.Encrypt {
		encr |= encode
		auth |= 1 << 14
	} else {
		plain -= uint32(g.TagLen)
	}
	l.put(qce.EncrSegCfg, encr)
	l.put(qce.AuthSegCfg, auth)
	l.put(qce.EncrSegSize, text)
	l.put(qce.EncrSegStart, aad)
	l.put(qce.AuthSegSize, aad+plain)
	l.put(qce.AuthSegStart, 0)
	l.put(qce.SegSize, aad+text)
	return l.end(pair, qce.Go)
}
