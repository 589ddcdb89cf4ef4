package qce

import (
	"crypto/cipher"
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/trace"
)

type phase uint8

const (
	idle phase = iota
	run        // takes input
	tail       // everything is transformed, output waits
)

// operation is what runs since GO. Regions are in bytes from the start of the
// segment, ends are exclusive and clipped to it.
type operation struct {
	phase  phase
	pio    bool // data by registers
	by     trace.Master
	set    uint8 // pipe set
	cfg    Latched
	cipher cipherKind
	auth   authKind

	seg                uint32
	encStart, encEnd   uint32 // ciphered region
	textEnd            uint32 // of it, where the tag of an AEAD decryption begins
	authStart, authEnd uint32
	after              bool // authenticate what leaves the cipher
	in                 uint32
	pos                uint32 // bytes transformed
	last               bool   // the last byte fed ended a descriptor
	eot                bool   // and a transfer

	ecb      cipher.Block
	cbc      cipher.BlockMode
	ctr      counter
	xts      xts
	unitLeft uint32 // bytes left in the XTS data unit
	mac      cbcMAC
	gh       ghash
	tag      [16]byte // received
	tagLen   uint32
	iv       [16]byte // to continue with
	authIV   [64]byte // result
	byteCnt  [4]uint32

	report trace.Op
}

// start is GO.
func (e *Engine) start(by trace.Master, off, val uint32) {
	if e.op.phase != idle {
		e.configChanged(ruleBusyGo, by, off, uint64(val))
		return
	}
	if val&Go == 0 {
		if val&ClrCntxt != 0 {
			e.clearContext()
		}
		return
	}
	if e.rd[rdGoClears] == goKeepsStatus {
		e.status &^= OperationDone | OpDoneIntr
	} else {
		e.status, e.status2 = 0, 0
	}
	o := &e.op
	o.phase, o.by, o.cipher, o.auth = idle, by, noCipher, noAuth
	o.in, o.pos, o.last, o.eot = 0, 0, false, false
	e.sent, e.done, e.fill = 0, 0, 0
	e.latch(off, val)
	c := &o.cfg
	o.set = uint8(c.Config >> pipeSetShift & pipeSetMask)
	o.pio = c.Config&highSpdEnN != 0
	o.seg = c.SegSize
	ok := e.checkPipes() && e.chooseKeys() && e.decode()
	o.report = trace.Op{
		Alg:       opNames[o.cipher][o.auth],
		Encrypt:   c.EncrSegCfg&encrEncode != 0,
		KeyBits:   e.keyBits(),
		Bytes:     c.SegSize,
		EE:        by.EE,
		PipeSet:   o.set,
		ByCPU:     e.since.ee[by.EE&7].cpu,
		ByCommand: e.since.ee[by.EE&7].command,
		Locked:    e.lock.held && e.lock.owner.EE == by.EE,
		Foreign:   e.since.foreign(by.EE),
	}
	if !ok {
		e.since.restart(by.EE)
		e.since.keyWords = 0
		return
	}
	e.regions()
	if e.sink != nil {
		e.lint()
	}
	e.since.restart(by.EE)
	e.since.keyWords = 0
	o.phase = run
	e.prepare()
	e.openPort()
	if e.obs != nil {
		e.obs.Start(&o.report, c)
	}
	e.emitOp(trace.OpStart)
}

// latch copies what the operation depends on out of the register file.
func (e *Engine) latch(off, val uint32) {
	c := &e.op.cfg
	c.Version, c.GCM, c.GoReg, c.Go = e.cfg.Version, e.cfg.GCM, off, val
	c.Config, c.SegSize = e.r[ConfigReg/4], e.r[SegSize/4]
	c.EncrSegCfg, c.EncrSegSize, c.EncrSegStart = e.r[EncrSegCfg/4], e.r[EncrSegSize/4], e.r[EncrSegStart/4]
	c.AuthSegCfg, c.AuthSegSize, c.AuthSegStart = e.r[AuthSegCfg/4], e.r[AuthSegSize/4], e.r[AuthSegStart/4]
	c.XTSDUSize, c.GCMIVLength = e.r[EncrXTSDUSize/4], e.r[GCMIVLength/4]
	c.CntrMask = [4]uint32{e.r[CntrMask0/4], e.r[CntrMask1/4], e.r[CntrMask2/4], e.r[CntrMask/4]}
	e.bytes(c.Key[:], EncrKey0)
	e.bytes(c.XTSKey[:], EncrXTSKey0)
	e.bytes(c.AuthKey[:], AuthKey0)
	e.bytes(c.IV[:], CntrIV0)
	e.bytes(c.CCMInitCntr[:], EncrCCMInitCnt0)
	e.bytes(c.Nonce[:], AuthInfoNonce0)
	e.bytes(c.AuthIV[:], AuthIV0)
	e.bytes(c.ExpMAC[:], AuthExpMAC0)
	for i := range c.ByteCnt {
		c.ByteCnt[i] = e.r[AuthByteCnt0/4+i]
	}
	c.MACArea64 = e.rd[rdMACArea] != macAreaTag
	c.Dump128 = e.rd[rdDumpSize] == dumpSize128
	c.HMACData = e.rd[rdHMACCount] == hmacCountData
	c.XTSStep = e.rd[rdXTSIV] == xtsIVStepped
	c.XTSPass = e.rd[rdXTSTail] == xtsTailPass
	c.FinalStatus = e.rd[rdDumpStatus] == dumpStatusFinal
	e.op.iv, e.op.authIV, e.op.byteCnt = c.IV, c.AuthIV, c.ByteCnt
}

// bytes reads a bank of string registers: an even number of words.
func (e *Engine) bytes(p []byte, off uint32) {
	w := e.r[off/4:][:len(p)/4]
	for i := range len(p) / 8 {
		binary.BigEndian.PutUint64(p[8*i:], uint64(w[2*i])<<32|uint64(w[2*i+1]))
	}
}

// setBytes writes such a bank.
func (e *Engine) setBytes(off uint32, p []byte) {
	for w := e.r[off/4:]; len(p) >= 8; p, w = p[8:], w[2:] {
		v := binary.BigEndian.Uint64(p)
		w[0], w[1] = uint32(v>>32), uint32(v)
	}
}

// checkPipes refuses a pipe set that is not there, or not the caller's.
func (e *Engine) checkPipes() bool {
	o := &e.op
	if o.pio {
		return true
	}
	if n := e.cfg.pipeSets(); int(o.set) >= n {
		e.noteOp(ruleNoPipeSet, ConfigReg, 0, uint64(o.set))
		e.fail(PipeActiveErr)
		return false
	}
	if o.by.Via == trace.Command && int(o.by.Pipe)/2 != int(o.set) {
		e.noteOp(ruleOtherPipeSet, ConfigReg, 0, uint64(o.set))
	}
	if int(o.set) < len(e.cfg.PipeSetEE) && e.cfg.PipeSetEE[o.set] != o.by.EE {
		e.noteOp(ruleForeignPipeSet, ConfigReg, 0, uint64(o.set))
		if e.rd[rdForeignSet] == foreignSetRefused {
			e.fail(PipeActiveErr)
			return false
		}
	}
	return true
}

// chooseKeys puts a hardware key in the place of the software's, or refuses a
// key that is not there.
func (e *Engine) chooseKeys() bool {
	c := &e.op.cfg
	if c.EncrSegCfg&(encrUsePipeKey|encrCommonKey) != 0 {
		return e.noKey(EncrSegCfg, c.EncrSegCfg, PipeKeyUsageErr)
	}
	if c.AuthSegCfg&(authUsePipeKey|authCommonKey) != 0 {
		return e.noKey(AuthSegCfg, c.AuthSegCfg, PipeKeyUsageErr)
	}
	var hw *[32]byte
	switch c.GoReg {
	case GoProcQCKey:
		hw = e.cfg.QCKey
	case GoProcOEMKey:
		hw = e.cfg.OEMKey
	}
	if c.EncrSegCfg&encrUseHWKey != 0 {
		if hw == nil {
			return e.noKey(EncrSegCfg, c.EncrSegCfg, HWKeyUsageErr)
		}
		c.Key = *hw
	}
	if c.AuthSegCfg&authUseHWKey != 0 {
		if hw == nil {
			return e.noKey(AuthSegCfg, c.AuthSegCfg, HWKeyUsageErr)
		}
		clear(c.AuthKey[:])
		copy(c.AuthKey[:], hw[:])
	}
	return true
}

func (e *Engine) noKey(off, val, bit uint32) bool {
	e.noteOp(ruleHWKey, off, 0, uint64(val))
	e.status2 |= bit | KeyErr
	e.fail(0)
	return false
}

// regions places the two regions in the segment.
func (e *Engine) regions() {
	o, c := &e.op, &e.op.cfg
	clip := func(start, size uint32, r *trace.Rule, off uint32) (uint32, uint32) {
		end := uint64(start) + uint64(size)
		if end > uint64(o.seg) {
			e.noteOp(r, off, uint32(min(end, 1<<32-1)), 0)
		}
		lo := min(start, o.seg)
		return lo, uint32(max(min(end, uint64(o.seg)), uint64(lo)))
	}
	o.encStart, o.encEnd, o.textEnd = 0, 0, 0
	o.authStart, o.authEnd, o.after = 0, 0, false
	o.tagLen = 0
	if o.cipher != noCipher {
		o.encStart, o.encEnd = clip(c.EncrSegStart, c.EncrSegSize, ruleEncrRegion, EncrSegSize)
		o.textEnd = o.encEnd
	}
	if o.auth != noAuth {
		o.authStart, o.authEnd = clip(c.AuthSegStart, c.AuthSegSize, ruleAuthRegion, AuthSegSize)
		o.after = authPos.Get(c.AuthSegCfg) == authPosAfter
	}
	if !o.cipher.isAEAD() || c.AuthSegCfg&authLast == 0 {
		return
	}
	o.tagLen = min(authSize.Get(c.AuthSegCfg)+1, 16)
	if c.EncrSegCfg&encrEncode != 0 {
		return
	}
	if have := o.encEnd - o.encStart; have < o.tagLen {
		e.noteOp(ruleTagRegion, EncrSegSize, have, 0)
		o.textEnd = o.encStart
		return
	}
	o.textEnd = o.encEnd - o.tagLen
}
