package qce

import (
	"crypto/subtle"
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/trace"
)

const (
	dumpSize    = 104 // result dump (datasheet §17)
	dumpPadded  = 128
	macAreaSize = 64
	tailMax     = macAreaSize + dumpPadded
)

// finish makes the results when all input is transformed, and lines up what
// follows the payload.
func (e *Engine) finish() {
	o, c := &e.op, &e.op.cfg
	failed := e.finishAuth()
	e.finishIV()
	if failed {
		e.status |= MACFailed
	}
	o.phase = tail
	if !o.eot && o.seg > 0 && !o.pio {
		e.openEnd()
	}
	first := e.done
	if o.tagLen > 0 && c.EncrSegCfg&encrEncode != 0 {
		e.appendMAC()
	}
	if c.Go&ResultsDump != 0 && !o.pio {
		e.appendDump()
	}
	e.done = e.fill
	if e.obs != nil && e.done > first {
		e.obs.Output(e.buf[first:e.done])
	}
	e.setBytes(AuthIV0, o.authIV[:])
	e.setBytes(CntrIV0, o.iv[:])
	for i, n := range o.byteCnt {
		e.r[AuthByteCnt0/4+i] = n
	}
	if e.sent == e.done || o.pio {
		e.complete()
	}
}

// openEnd handles an operation whose input did not end with EOT. If its last
// descriptor is used up, SEG_SIZE alone says where the input ends (datasheet
// §16.1); else it goes on after that.
func (e *Engine) openEnd() {
	o := &e.op
	drain := e.rd[rdSurplus] == surplusDrained
	if !o.last {
		e.noteOp(ruleSurplus, SegSize, o.seg, 0)
	} else {
		e.noteOp(ruleNoEOT, SegSize, o.seg, 0)
		if !drain { // which goes by EOT and nothing else
			return
		}
	}
	e.ports[o.set] = port{open: true, drain: drain}
	if e.rd[rdAxiExtra] != axiExtraNever {
		e.status2 |= AxiExtra
	}
}

// finishAuth leaves the hash or MAC in authIV and the new byte count in
// byteCnt. It reports whether a comparison failed.
func (e *Engine) finishAuth() (failed bool) {
	o, c := &e.op, &e.op.cfg
	n := uint64(o.authEnd - o.authStart)
	switch {
	case o.auth == noAuth:
		return false
	case o.auth.isSHA():
		e.finishSHA(n)
		if c.AuthSegCfg&authLast == 0 {
			return false
		}
		if c.AuthSegCfg&authCompExpMAC != 0 {
			d := e.shas[o.auth.sha()].digest
			failed = subtle.ConstantTimeCompare(o.authIV[:d], c.ExpMAC[:d]) == 0
		}
		return failed
	case o.auth == aesCMAC:
		o.mac.finishCMAC()
		copy(o.authIV[:], o.mac.x[:])
	case o.auth == ccmMAC:
		o.mac.flush()
		copy(o.authIV[:], o.mac.x[:])
	case o.auth == gcmMAC:
		aad := max(min(o.encStart, o.authEnd), o.authStart) - o.authStart
		o.gh.lengths(uint64(aad), n-uint64(aad))
		o.gh.sum(o.authIV[:16])
	}
	o.addByteCnt(n)
	if o.auth != aesCMAC {
		if c.AuthSegCfg&authLast == 0 {
			return false
		}
		mask := o.ctr.stream[:16] // the block that hides the tag
		o.ctr.block.Encrypt(mask, c.CCMInitCntr[:])
		subtle.XORBytes(o.authIV[:16], o.authIV[:16], mask)
		if c.EncrSegCfg&encrEncode == 0 {
			failed = subtle.ConstantTimeCompare(o.authIV[:o.tagLen], o.tag[:o.tagLen]) == 0
		}
	}
	if c.AuthSegCfg&authCompExpMAC != 0 {
		d := authSize.Get(c.AuthSegCfg) + 1
		failed = failed || subtle.ConstantTimeCompare(o.authIV[:d], c.ExpMAC[:d]) == 0
	}
	return failed
}

func (e *Engine) finishSHA(n uint64) {
	o, c := &e.op, &e.op.cfg
	s := &e.shas[o.auth.sha()]
	before := uint64(o.byteCnt[1])<<32 | uint64(o.byteCnt[0])
	keyBlock := uint64(0) // what the padding has to count besides
	if o.auth.isHMAC() && (c.HMACData || c.AuthSegCfg&authFirst != 0) {
		keyBlock = uint64(s.block)
	}
	if c.AuthSegCfg&authLast != 0 {
		s.pad(before + keyBlock + n)
		s.store(o.authIV[:])
		if o.auth.isHMAC() {
			s.load(s.std)
			s.xorKey(c.AuthKey[:], 0x5c)
			s.update(o.authIV[:s.digest])
			s.pad(uint64(s.block + s.digest))
			s.store(o.authIV[:])
		}
	} else {
		s.store(o.authIV[:])
	}
	o.addByteCnt(n)
	if !c.HMACData {
		o.addByteCnt(keyBlock)
	}
}

func (o *operation) addByteCnt(n uint64) {
	sum := uint64(o.byteCnt[1])<<32 | uint64(o.byteCnt[0]) + n
	o.byteCnt[0], o.byteCnt[1] = uint32(sum), uint32(sum>>32)
}

// finishIV leaves the IV to continue with in iv (datasheet §17). CBC has kept
// it on the way.
func (e *Engine) finishIV() {
	o := &e.op
	switch o.cipher {
	case aesCTR, aesCCM, aesGCM:
		o.ctr.value.putBE(o.iv[:])
	case aesXTS:
		if o.cfg.XTSStep {
			o.xts.num.putBE(o.iv[:])
		}
	}
}

func (e *Engine) appendMAC() {
	o := &e.op
	size := int(o.tagLen)
	if o.cfg.MACArea64 {
		size = macAreaSize
	}
	p := e.buf[e.fill : e.fill+size]
	clear(p)
	copy(p, o.authIV[:o.tagLen])
	e.fill += size
}

func (e *Engine) appendDump() {
	o := &e.op
	size := dumpSize
	if o.cfg.Dump128 {
		size = dumpPadded
	}
	p := e.buf[e.fill : e.fill+size]
	clear(p[dumpSize:])
	copy(p, o.authIV[:])
	for i, n := range o.byteCnt {
		binary.BigEndian.PutUint32(p[0x40+4*i:], n)
	}
	copy(p[0x50:], o.iv[:])
	status := e.liveStatus()
	if o.cfg.FinalStatus {
		status = e.status | OperationDone | OpDoneIntr
	}
	binary.BigEndian.PutUint32(p[0x60:], status)
	binary.BigEndian.PutUint32(p[0x64:], e.liveStatus2())
	e.fill += size
}

// complete is the end: all output has been taken.
func (e *Engine) complete() {
	o := &e.op
	o.phase = idle
	e.status |= OperationDone | OpDoneIntr
	if o.cfg.Go&ClrCntxt != 0 {
		e.clearContext()
	}
	o.forget()
	o.report.Status, o.report.Status2 = e.liveStatus(), e.liveStatus2()
	o.report.LockHeld = e.lock.held && e.lock.owner.EE == o.by.EE
	if e.obs != nil {
		e.obs.Done(&o.report)
	}
	e.emitOp(trace.OpDone)
}

// clearContext forgets keys and IVs (GOPROC.CLR_CNTXT).
func (e *Engine) clearContext() {
	clear(e.r[CntrIV0/4 : CntrIV0/4+4])
	clear(e.r[EncrCCMInitCnt0/4 : EncrCCMInitCnt0/4+4])
	clear(e.r[AuthIV0/4 : AuthIV0/4+16])
	clear(e.r[AuthInfoNonce0/4 : AuthInfoNonce0/4+4])
	clear(e.r[AuthByteCnt0/4 : AuthByteCnt0/4+4])
	clear(e.r[EncrKey0/4 : EncrKey0/4+8])
	clear(e.r[EncrXTSKey0/4 : EncrXTSKey0/4+8])
	clear(e.r[AuthKey0/4 : AuthKey0/4+16])
}

// forget drops the keys of an operation that is over.
func (o *operation) forget() {
	clear(o.cfg.Key[:])
	clear(o.cfg.XTSKey[:])
	clear(o.cfg.AuthKey[:])
}
