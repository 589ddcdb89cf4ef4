package qcetest

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/qcemu/qcemu/devices/qce"
)

// Write is one register write.
type Write struct{ Off, Val uint32 }

// Request is what one of the driver's request types becomes on the hardware.
type Request interface {
	// Writes are the register writes for the pipe pair, GOPROC last.
	Writes(pair int) []Write
	// Input is the data for the consumer pipe.
	Input() []byte
}

// config is the driver's value of CONFIG.
func config(pair int, little bool) uint32 {
	v := uint32(0x000e000b) | uint32(pair)<<5
	if little {
		v |= 1 << 9
	}
	return v
}

// list collects writes, in the driver's order and with its detours: set up in
// big-endian words, switched to little-endian at the end, and CLR_CNTXT never
// set. Package bamclient programs the same engine by the datasheet alone, in
// command elements, little-endian throughout. The two have the registers in common,
// which are package qce's, and nothing else.
type list []Write

func (l *list) put(off, val uint32) { *l = append(*l, Write{off, val}) }

// words writes a byte string in the byte order of the set-up phase. Bytes that
// do not fill a word are dropped, as the driver does.
func (l *list) words(off uint32, p []byte) {
	for i := 0; i+4 <= len(p); i += 4 {
		l.put(off+uint32(i), binary.BigEndian.Uint32(p[i:]))
	}
}

func (l *list) zeros(off uint32, n int) {
	for i := range n {
		l.put(off+4*uint32(i), 0)
	}
}

func (l *list) begin(pair int) {
	l.put(qce.Status, 0)
	l.put(qce.ConfigReg, config(pair, false))
}

func (l *list) end(pair int, goproc uint32) []Write {
	l.put(qce.ConfigReg, config(pair, true))
	l.put(qce.GoProc, goproc)
	return *l
}

func (l *list) masks() {
	for _, off := range [...]uint32{qce.CntrMask, qce.CntrMask0, qce.CntrMask1, qce.CntrMask2} {
		l.put(off, ^uint32(0))
	}
}

// Mode is a cipher with its mode, as the bits of ENCR_SEG_CFG.
type Mode uint32

const (
	ECBAES  Mode = 2 | 0<<6
	CBCAES  Mode = 2 | 1<<6
	CTRAES  Mode = 2 | 2<<6
	XTSAES  Mode = 2 | 3<<6
	ECBDES  Mode = 1 | 0<<6
	CBCDES  Mode = 1 | 1<<6
	ECB3DES Mode = 1 | 1<<3 | 0<<6
	CBC3DES Mode = 1 | 1<<3 | 1<<6
)

const (
	encode  = 1 << 10
	ccmMode = 2 | 4<<6 | 1<<13
	gcmMode = 2 | 6<<6 | 1<<13
)

func (m Mode) aes() bool { return m&7 == 2 }

// keySize is the KEY_SZ field for a key of n bytes.
func (m Mode) keySize(n int) uint32 {
	switch {
	case m.aes() && n == 32:
		return 2 << 3
	case !m.aes() && n == 16:
		return 2<<3 ^ 1<<3 // two-key 3DES: 2 in the place of the mode's 1
	}
	return 0
}

// Cipher is a request of the driver's skcipher type. IVs are as the kernel has
// them: an XTS tweak is little-endian.
type Cipher struct {
	Mode    Mode
	Key     []byte // for XTS both halves
	IV      []byte
	Encrypt bool
	Data    []byte
	Len     int // bytes to cipher, when not all of Data
	Unit    int // XTS data unit, when not Len
}

func (c Cipher) Input() []byte { return c.Data }

func (c Cipher) Writes(pair int) []Write {
	var l list
	size := uint32(len(c.Data))
	if c.Len != 0 {
		size = uint32(c.Len)
	}
	key, iv := c.Key, c.IV
	cfg := uint32(c.Mode)
	l.begin(pair)
	l.put(qce.AuthSegCfg, 0)
	if c.Mode == XTSAES {
		key = c.Key[:len(c.Key)/2]
		l.words(qce.EncrXTSKey0, c.Key[len(key):])
		unit := size
		if c.Unit != 0 {
			unit = uint32(c.Unit)
		}
		l.put(qce.EncrXTSDUSize, unit)
		iv = slices.Clone(iv)
		slices.Reverse(iv)
	}
	cfg ^= c.Mode.keySize(len(key))
	l.words(qce.EncrKey0, key)
	l.words(qce.CntrIV0, iv)
	if c.Encrypt {
		cfg |= encode
	}
	l.put(qce.EncrSegCfg, cfg)
	l.put(qce.EncrSegSize, size)
	l.put(qce.EncrSegStart, 0)
	if c.Mode == CTRAES {
		l.masks()
	}
	l.put(qce.SegSize, size)
	return l.end(pair, qce.Go|qce.ResultsDump)
}

// Hash numbers the hash functions as AUTH_SEG_CFG.SIZE does.
type Hash uint32

const (
	SHA1 Hash = iota
	SHA256
	SHA384
	SHA512
)

// std are the initial states that software writes (FIPS 180-4 §5.3), as Go's
// library has them. That another program of the engine, package bamclient's, has
// them in a table of its own is on purpose: each shows the other's mistakes.
var std = [...][]byte{SHA1: initial(sha1.New(), 20), SHA256: initial(sha256.New(), 32), SHA384: initial(sha512.New384(), 64), SHA512: initial(sha512.New(), 64)}

// initial returns the first n bytes of a hash's state, which stand behind four
// that name its kind.
func initial(h hash.Hash, n int) []byte {
	b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b[4:][:n]
}

// Digest is a request of the driver's ahash type: a whole message, or a part of
// one that continues from State and Count.
type Digest struct {
	Hash  Hash
	Key   []byte // HMAC; at most 64 bytes
	HMAC  bool
	Data  []byte
	Len   int  // bytes to hash, when not all of Data
	Part  bool // not a whole message: First and Last say which
	First bool
	Last  bool
	State []byte    // of an earlier part: AUTH_IV of its dump
	Count [2]uint32 // and its AUTH_BYTECNT
}

func (d Digest) Input() []byte { return d.Data }

func (d Digest) Writes(pair int) []Write {
	var l list
	size := uint32(len(d.Data))
	if d.Len != 0 {
		size = uint32(d.Len)
	}
	first, last := !d.Part || d.First, !d.Part || d.Last
	cfg := uint32(1) | uint32(d.Hash)<<9
	l.begin(pair)
	if d.HMAC {
		cfg |= 1 << 6
		l.words(qce.AuthKey0, append(slices.Clone(d.Key), make([]byte, 64-len(d.Key))...))
	}
	if first {
		cfg |= 1 << 17
		l.words(qce.AuthIV0, padded(std[d.Hash], 32))
		l.zeros(qce.AuthByteCnt0, 4)
	} else {
		l.words(qce.AuthIV0, padded(d.State, 32))
		l.put(qce.AuthByteCnt0, d.Count[0])
		l.put(qce.AuthByteCnt0+4, d.Count[1])
	}
	if last {
		cfg |= 1 << 16
	}
	l.put(qce.AuthSegCfg, cfg)
	l.put(qce.AuthSegSize, size)
	l.put(qce.AuthSegStart, 0)
	l.put(qce.EncrSegCfg, 0)
	l.put(qce.SegSize, size)
	return l.end(pair, qce.Go|qce.ResultsDump)
}

// padded extends p with zeros to n bytes.
func padded(p []byte, n int) []byte {
	if len(p) >= n {
		return p
	}
	return append(slices.Clone(p), make([]byte, n-len(p))...)
}

// CMAC is the request that the driver has code for but does not register.
type CMAC struct {
	Key  []byte
	Data []byte
}

func (c CMAC) Input() []byte { return c.Data }

func (c CMAC) Writes(pair int) []Write {
	var l list
	l.begin(pair)
	l.put(qce.AuthSegCfg, 0)
	l.put(qce.EncrSegCfg, 0)
	l.put(qce.EncrSegSize, 0)
	l.zeros(qce.AuthIV0, 16)
	l.zeros(qce.AuthKey0, 16)
	l.zeros(qce.AuthByteCnt0, 4)
	l.words(qce.AuthKey0, c.Key)
	l.put(qce.AuthSegCfg, 2|CBCAES.keySize(len(c.Key))|1<<6|15<<9)
	l.put(qce.AuthSegSize, uint32(len(c.Data)))
	l.put(qce.AuthSegStart, 0)
	l.put(qce.EncrSegCfg, 0)
	l.put(qce.SegSize, uint32(len(c.Data)))
	return l.end(pair, qce.Go|qce.ResultsDump)
}
