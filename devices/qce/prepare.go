package qce

import (
	"crypto/cipher"
	"encoding/binary"
)

// prepare sets the ciphers and MACs of the operation up.
func (e *Engine) prepare() {
	o, c := &e.op, &e.op.cfg
	encrypt := c.EncrSegCfg&encrEncode != 0
	n := o.keyBytes()
	switch o.cipher {
	case aesECB:
		o.ecb = e.keys.get(famAES, c.Key[:n]).block
	case desECB:
		o.ecb = e.keys.get(famDES, c.Key[:n]).block
	case tdesECB:
		o.ecb = e.tdes(n).block
	case aesCBC:
		o.chain(e.keys.get(famAES, c.Key[:n]), encrypt, 16)
	case desCBC:
		o.chain(e.keys.get(famDES, c.Key[:n]), encrypt, 8)
	case tdesCBC:
		o.chain(e.tdes(n), encrypt, 8)
	case aesCTR, aesCCM:
		m := &c.CntrMask
		o.ctr.init(e.keys.get(famAES, c.Key[:n]).block, &c.IV, num128{uint64(m[0])<<32 | uint64(m[1]), uint64(m[2])<<32 | uint64(m[3])})
	case aesXTS:
		o.xts.block = e.keys.get(famAES, c.Key[:n]).block
		o.xts.tweak = e.keys.get(famAES, c.XTSKey[:n]).block
		o.xts.encrypt, o.xts.steal = encrypt, !c.XTSPass
		o.xts.init(c.IV[:])
		o.unitLeft = o.dataUnit(o.encStart)
	case aesGCM:
		e.prepareGCM(e.keys.get(famAES, c.Key[:n]).block)
	}
	e.prepareAuth()
}

func (o *operation) chain(s *schedule, encrypt bool, size int) {
	if encrypt {
		o.cbc = s.encrypter(o.iv[:size])
	} else {
		o.cbc = s.decrypter(o.iv[:size])
	}
}

// tdes is the schedule of a triple DES key of n bytes; of two keys the first
// is also the third.
func (e *Engine) tdes(n int) *schedule {
	var key [24]byte
	copy(key[:], e.op.cfg.Key[:n])
	if n == 16 {
		copy(key[16:], key[:8])
	}
	return e.keys.get(famTDES, key[:])
}

// dataUnit is the size of the XTS data unit that starts at pos. 0 in the
// register stands for the whole region [I].
func (o *operation) dataUnit(pos uint32) uint32 {
	left := o.encEnd - pos
	if du := o.cfg.XTSDUSize; du != 0 {
		return min(du, left)
	}
	return left
}

// prepareGCM makes the hash key and the first counter block. No public source
// tells how the engine takes a GCM IV: with GCM_IV_LENGTH the engine makes the
// first counter block from CNTR_IV itself, without it software gives both
// counter blocks as for CCM [I].
func (e *Engine) prepareGCM(b cipher.Block) {
	o, c := &e.op, &e.op.cfg
	clear(o.tag[:])
	b.Encrypt(o.tag[:], o.tag[:])
	o.gh.init(o.tag[:])
	value := c.IV
	if n := min(c.GCMIVLength, 16); n != 0 {
		j0 := &c.CCMInitCntr
		if n == 12 {
			copy(j0[:], c.IV[:12])
			binary.BigEndian.PutUint32(j0[12:], 1)
		} else {
			o.gh.update(c.IV[:n])
			o.gh.lengths(0, uint64(n))
			o.gh.sum(j0[:])
			o.gh.y = num128{}
		}
		value = *j0
		binary.BigEndian.PutUint32(value[12:], binary.BigEndian.Uint32(value[12:])+1)
	}
	o.ctr.init(b, &value, num128{0, 1<<32 - 1})
}

func (e *Engine) prepareAuth() {
	o, c := &e.op, &e.op.cfg
	switch {
	case o.auth.isSHA():
		s := &e.shas[o.auth.sha()]
		s.load(c.AuthIV[:])
		if o.auth.isHMAC() && c.AuthSegCfg&authFirst != 0 {
			s.xorKey(c.AuthKey[:], 0x36)
		}
	case o.auth == aesCMAC:
		clear(o.authIV[:16])
		o.mac.init(e.keys.get(famAES, c.AuthKey[:o.authKeyBytes()]).block, o.authIV[:16])
	case o.auth == ccmMAC:
		b := e.keys.get(famAES, c.AuthKey[:o.authKeyBytes()]).block
		if c.AuthSegCfg&authFirst != 0 {
			b.Encrypt(o.tag[:], c.Nonce[:])
			o.mac.init(b, o.tag[:])
		} else {
			o.mac.init(b, c.AuthIV[:16])
		}
	}
}
