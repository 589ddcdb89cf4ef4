package bamclient

import (
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
)

// Bits of the engine's configuration (datasheet §14).
const (
	configLE = 0x000e020f // little-endian, 64-byte bursts, all interrupts masked

	encrLast    = 1 << 13
	encrEncode  = 1 << 10
	key256      = 2 << 3
	authSHA     = 1
	authAES     = 2
	authHMAC    = 1 << 6
	authCMAC    = 1 << 6 // with authAES
	authGCM     = 2 << 6
	authSize    = 9 // shift
	authAfter   = 1 << 14
	authLast    = 1 << 16
	authFirst   = 1 << 17
	nonceWords4 = 4 << 20

	start = qce.Go | qce.ClrCntxt | qce.ResultsDump
)

// encrCfg is ENCR_SEG_CFG's algorithm and mode of each cipher.
var encrCfg = [...]uint32{
	NoCipher: 0,
	AESECB:   2, AESCBC: 2 | 1<<6, AESCTR: 2 | 2<<6, AESXTS: 2 | 3<<6,
	DESECB: 1, DESCBC: 1 | 1<<6, TDESECB: 1 | 1<<3, TDESCBC: 1 | 1<<3 | 1<<6,
	AESCCM: 2 | 4<<6 | encrLast, AESGCM: 2 | 6<<6 | encrLast,
}

// program writes an operation's command list and descriptors, as the datasheet says
// and not as Linux's driver does: the driver's own programs, with their detours, are
// in package qcetest.
type program struct {
	m    *memory
	base uint32 // of the engine in the window
	at   uint32 // of the next element
}

func (p *program) put(reg, val uint32) {
	p.m.element(p.at, p.base+reg, val)
	p.at += bam.ElementSize
}

// bytes writes a byte string to registers, in the byte order of CONFIG's
// little-endian mode (datasheet §15). What does not fill a word is filled up
// with zeros.
func (p *program) bytes(reg uint32, b []byte) {
	for len(b) > 0 {
		var w [4]byte
		b = b[copy(w[:], b):]
		p.put(reg, binary.LittleEndian.Uint32(w[:]))
		reg += 4
	}
}

func (p *program) zeros(reg uint32, words int) {
	for i := range words {
		p.put(reg+4*uint32(i), 0)
	}
}

// write puts the set-up of the engine into the command list. The text begins
// at offset skip of the segment, and total bytes make the segment.
func (p *program) write(op *Operation, pair int, skip, total uint32) {
	p.at = list
	p.put(qce.Status, 0)
	p.put(qce.ConfigReg, configLE|uint32(pair)<<5)
	encr := encrCfg[op.Cipher]
	auth := p.auth(op)
	if op.Cipher != NoCipher {
		encr |= p.cipher(op)
	}
	size, start0 := op.CipherLen, op.CipherStart
	authSize, authStart := op.AuthLen, op.AuthStart
	if op.Cipher.AEAD() {
		auth = p.aead(op)
		size, start0 = op.Len, skip
		authSize, authStart = skip+op.Len, 0
		if !op.Encrypt {
			size += uint32(op.TagLen)
		}
	}
	p.put(qce.EncrSegCfg, encr)
	p.put(qce.EncrSegSize, size)
	p.put(qce.EncrSegStart, start0)
	p.put(qce.AuthSegCfg, auth)
	p.put(qce.AuthSegSize, authSize)
	p.put(qce.AuthSegStart, authStart)
	p.put(qce.SegSize, total)
	p.put(qce.GoProc, start)
}

// cipher writes key and IV and returns the bits for ENCR_SEG_CFG.
func (p *program) cipher(op *Operation) (cfg uint32) {
	key := op.Key
	if op.Cipher == AESXTS {
		half := len(key) / 2
		p.bytes(qce.EncrXTSKey0, key[half:])
		p.put(qce.EncrXTSDUSize, op.CipherLen)
		key = key[:half]
	}
	p.bytes(qce.EncrKey0, key)
	if len(key) == 32 {
		cfg |= key256
	}
	if op.Encrypt {
		cfg |= encrEncode
	}
	switch op.Cipher {
	case AESXTS: // the engine takes the sector number big-endian (datasheet §15)
		var iv [16]byte
		for i, b := range op.IV {
			iv[15-i] = b
		}
		p.bytes(qce.CntrIV0, iv[:])
	case AESCCM, AESGCM:
	case AESCTR:
		p.bytes(qce.CntrIV0, op.IV)
		p.masks()
	default:
		p.bytes(qce.CntrIV0, op.IV)
	}
	return cfg
}

// masks makes all bits of a counter count.
func (p *program) masks() {
	for _, reg := range [...]uint32{qce.CntrMask, qce.CntrMask2, qce.CntrMask1, qce.CntrMask0} {
		p.put(reg, ^uint32(0))
	}
}

// auth writes the set-up of a hash or MAC and returns AUTH_SEG_CFG.
func (p *program) auth(op *Operation) (cfg uint32) {
	if op.Auth == NoAuth {
		return 0
	}
	p.zeros(qce.AuthByteCnt0, 4)
	if op.Auth == CMACAES {
		p.zeros(qce.AuthIV0, 16)
		p.bytes(qce.AuthKey0, op.AuthKey)
		cfg = authAES | authCMAC | 15<<authSize
		if len(op.AuthKey) == 32 {
			cfg |= key256
		}
		return cfg | authFirst | authLast
	}
	h := op.Auth.hash()
	p.bytes(qce.AuthIV0, initial[h])
	cfg = authSHA | uint32(h-SHA1)<<authSize | authFirst | authLast
	if op.Auth.Keyed() {
		cfg |= authHMAC
		var key [maxAuthKey]byte
		copy(key[:], op.AuthKey)
		p.bytes(qce.AuthKey0, key[:])
	}
	if op.AuthAfter {
		cfg |= authAfter
	}
	return cfg
}

// maxAuthKey is the room for a MAC's key in the engine.
const maxAuthKey = 64

// aead writes what CCM and GCM need beside the cipher (datasheet §18.5) and
// returns AUTH_SEG_CFG.
func (p *program) aead(op *Operation) (cfg uint32) {
	p.zeros(qce.AuthIV0, 16)
	p.zeros(qce.AuthByteCnt0, 4)
	var key [maxAuthKey]byte
	copy(key[:], op.Key)
	p.bytes(qce.AuthKey0, key[:])
	cfg = authAES | uint32(op.TagLen-1)<<authSize | authFirst | authLast
	if len(op.Key) == 32 {
		cfg |= key256
	}
	if op.Cipher == AESGCM {
		var iv [16]byte
		copy(iv[:], op.IV)
		p.bytes(qce.CntrIV0, iv[:])
		p.put(qce.GCMIVLength, uint32(len(op.IV)))
		if op.Encrypt {
			cfg |= authAfter
		}
		return cfg | authGCM
	}
	var a [16]byte // counter block of the tag (SP 800-38C A.3)
	a[0] = byte(14 - len(op.IV))
	copy(a[1:], op.IV)
	p.bytes(qce.EncrCCMInitCnt0, a[:])
	a[15]++
	p.bytes(qce.CntrIV0, a[:])
	p.masks()
	p.bytes(qce.AuthInfoNonce0, ccmFirst(op))
	if !op.Encrypt {
		cfg |= authAfter
	}
	return cfg | nonceWords4
}

// ccmFirst is the first block of CCM's authentication (SP 800-38C A.2.1).
func ccmFirst(op *Operation) []byte {
	var b [16]byte
	l := 15 - len(op.IV)
	b[0] = byte((op.TagLen-2)/2<<3 | (l - 1))
	if op.AADLen > 0 {
		b[0] |= 1 << 6
	}
	copy(b[1:], op.IV)
	for i, n := 15, op.Len; n > 0; i, n = i-1, n>>8 {
		b[i] = byte(n)
	}
	return b[:]
}

// initial are the initial states of the hash functions (FIPS 180-4 §5.3), which
// software writes.
var initial = [...][]byte{
	SHA1:   state32(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0),
	SHA256: state32(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19),
	SHA384: state64(0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939, 0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4),
	SHA512: state64(0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179),
}

func state32(words ...uint32) (b []byte) {
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

func state64(words ...uint64) (b []byte) {
	for _, w := range words {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return b
}
