package qce

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/qcemu/qcemu/devices/trace"
)

// lint looks at the configuration of an operation that starts. It is called
// only when somebody listens.
func (e *Engine) lint() {
	o, c := &e.op, &e.op.cfg
	if c.Config&littleEndian == 0 {
		e.noteOp(ruleBigEndian, ConfigReg, 0, uint64(c.Config))
	}
	if o.seg == 0 {
		e.noteOp(ruleZeroSize, SegSize, 0, 0)
	}
	if o.report.Foreign > 0 {
		e.noteOp(ruleForeign, 0, 0, uint64(o.report.Foreign))
	}
	e.lintCipher()
	e.lintAuth()
	e.lintWriters()
}

func (e *Engine) lintCipher() {
	o, c := &e.op, &e.op.cfg
	if o.cipher == noCipher {
		return
	}
	if text := o.textEnd - o.encStart; o.cipher != aesXTS && text%o.cipher.block() != 0 {
		e.noteOp(ruleEncrBlock, EncrSegSize, text, 0)
	}
	if bits.OnesCount8(e.since.keyWords) > 0 && bits.Len8(e.since.keyWords)*4 > o.keyBytes() {
		e.noteOp(ruleKeyWords, EncrSegCfg, uint32(bits.Len8(e.since.keyWords)), uint64(c.EncrSegCfg))
	}
	key := c.Key[:o.keyBytes()]
	switch o.cipher {
	case aesCTR, aesCCM:
		for i, off := range [4]uint32{CntrMask0, CntrMask1, CntrMask2, CntrMask} {
			if c.CntrMask[i] != ^uint32(0) {
				e.noteOp(ruleCntrMask, off, 0, uint64(c.CntrMask[i]))
			}
		}
	case aesXTS:
		if c.XTSDUSize%16 != 0 || c.XTSDUSize == 0 || (o.encEnd-o.encStart)%16 != 0 {
			e.noteOp(ruleDataUnit, EncrXTSDUSize, o.encEnd-o.encStart, uint64(c.XTSDUSize))
		}
		if bytes.Equal(key, c.XTSKey[:len(key)]) {
			e.noteOp(ruleXTSKeys, EncrXTSKey0, 0, 0)
		}
	case desECB, desCBC:
		if weakDES(key) {
			e.noteOp(ruleWeakDES, EncrKey0, 0, 0)
		}
	case tdesECB, tdesCBC:
		if bytes.Equal(key[:8], key[8:16]) || len(key) == 24 && bytes.Equal(key[8:16], key[16:]) {
			e.noteOp(ruleEqual3D, EncrKey0, 0, 0)
		}
	}
}

func (e *Engine) lintAuth() {
	o, c := &e.op, &e.op.cfg
	switch {
	case o.auth == ccmMAC:
		if n := nonceWords.Get(c.AuthSegCfg); n != 4 {
			e.noteOp(ruleNonceWords, AuthSegCfg, 0, uint64(n))
		}
	case o.auth.isSHA():
		s := &e.shas[o.auth.sha()]
		if size := o.authEnd - o.authStart; c.AuthSegCfg&authLast == 0 && size%uint32(s.block) != 0 {
			e.noteOp(ruleAuthBlock, AuthSegSize, size, 0)
		}
		if c.AuthSegCfg&authFirst != 0 && c.ByteCnt[0]|c.ByteCnt[1] == 0 && !bytes.Equal(c.AuthIV[:s.state], s.std) {
			e.noteOp(ruleFirstIV, AuthIV0, 0, 0)
		}
	}
}

// span is a run of registers that an operation depends on.
type span struct {
	off   uint32
	words int
}

// lintWriters looks for a register that the operation depends on and that
// another EE wrote last.
func (e *Engine) lintWriters() {
	o := &e.op
	if e.writers&^(1<<(o.by.EE&7)) == 0 {
		return // nobody else has ever written
	}
	spans := [...]span{
		{ConfigReg, 1}, {SegSize, 1}, {EncrSegCfg, 1}, {AuthSegCfg, 1},
		{off: EncrSegSize}, {off: EncrKey0}, {off: CntrIV0}, {off: EncrXTSKey0}, {off: CntrMask}, {off: CntrMask2}, {off: EncrCCMInitCnt0},
		{off: AuthSegSize}, {off: AuthIV0}, {off: AuthKey0}, {off: AuthByteCnt0}, {off: AuthInfoNonce0},
	}
	if o.cipher != noCipher {
		spans[4].words, spans[5].words = 2, o.keyBytes()/4
		switch o.cipher {
		case aesXTS:
			spans[6].words, spans[7].words = 4, o.keyBytes()/4
		case aesCTR, aesCCM:
			spans[6].words, spans[8].words, spans[9].words = 4, 1, 3
		case aesCBC, aesGCM:
			spans[6].words = 4
		case desCBC, tdesCBC:
			spans[6].words = 2
		}
		if o.cipher == aesCCM || o.cipher == aesGCM && o.cfg.GCMIVLength == 0 {
			spans[10].words = 4
		}
	}
	if o.auth != noAuth {
		spans[11].words = 2
		switch {
		case o.auth.isSHA():
			spans[12].words, spans[14].words = e.shas[o.auth.sha()].state/4, 2
			if o.auth.isHMAC() {
				spans[13].words = 16
			}
		default:
			spans[13].words = o.authKeyBytes() / 4
		}
		if o.auth == ccmMAC {
			spans[15].words = 4
		}
	}
	own := o.by.EE + 1
	for _, s := range spans {
		for i := range uint32(s.words) {
			if w := e.writer[s.off/4+i]; w != 0 && w != own {
				e.noteOp(ruleStaleCfg, s.off+4*i, 0, uint64(w-1))
				return
			}
		}
	}
}

// keysLeft looks for keys when a lock is released.
func (e *Engine) keysLeft(owner trace.Master) {
	n := uint32(0)
	for _, s := range [...]span{{EncrKey0, 8}, {EncrXTSKey0, 8}, {AuthKey0, 16}} {
		for i := range uint32(s.words) {
			if e.r[s.off/4+i] != 0 {
				n++
			}
		}
	}
	if n > 0 {
		e.note(ruleKeysLeft, owner, EncrKey0, n, 0)
	}
}

// weakKeys are the weak and semi-weak keys of DES, without parity bits.
var weakKeys = [...]uint64{
	0x0000000000000000, 0xfefefefefefefefe, 0x1e1e1e1e0e0e0e0e, 0xe0e0e0e0f0f0f0f0,
	0x00fe00fe00fe00fe, 0xfe00fe00fe00fe00, 0x1ee01ee00ef00ef0, 0xe01ee01ef00ef00e,
	0x00e000e000f000f0, 0xe000e000f000f000, 0x1efe1efe0efe0efe, 0xfe1efe1efe0efe0e,
	0x001e001e000e000e, 0x1e001e000e000e00, 0xe0fee0fef0fef0fe, 0xfee0fee0fef0fef0,
}

func weakDES(key []byte) bool {
	k := binary.BigEndian.Uint64(key) & 0xfefefefefefefefe
	for _, w := range weakKeys {
		if k == w {
			return true
		}
	}
	return false
}
