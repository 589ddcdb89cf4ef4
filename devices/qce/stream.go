package qce

import "github.com/qcemu/qcemu/devices/trace"

// Runnable reports whether Step has something to do.
func (e *Engine) Runnable() bool {
	o := &e.op
	if o.phase != run {
		return false
	}
	return o.pos == o.seg || e.next() > 0
}

// Step transforms all input that is there, and ends the operation when that was
// the last. It returns how many steps of a BAM take as long, so that a caller can
// bound what it does at a time.
func (e *Engine) Step() (work int) {
	o := &e.op
	if o.phase != run {
		return 0
	}
	from := o.pos
	for {
		n := e.next()
		if n == 0 {
			break
		}
		e.piece(n)
	}
	if o.cipher == noCipher {
		e.sent = e.done // nobody wants it
	}
	e.compact()
	work = 1 + int(o.pos-from)>>6*(cipherWork[o.cipher]+authWork[o.auth])
	if o.pos == o.seg {
		e.finish()
	}
	return work
}

// cipherWork and authWork are what 64 bytes of an algorithm take, in the time of a
// descriptor that does nothing (about 100 ns): rough figures, measured on a
// processor with instructions for AES.
var (
	cipherWork = [numCiphers]int{
		aesECB: 1, aesCBC: 2, aesCTR: 1, aesXTS: 1, aesCCM: 1, aesGCM: 1,
		desECB: 10, desCBC: 10, tdesECB: 28, tdesCBC: 28,
	}
	authWork = [numAuths]int{
		sha1Hash: 2, sha256Hash: 3, sha384Hash: 2, sha512Hash: 2,
		sha1HMAC: 2, sha256HMAC: 3, sha384HMAC: 2, sha512HMAC: 2,
		aesCMAC: 3, ccmMAC: 3, gcmMAC: 4,
	}
)

// next returns how many bytes, from pos on, can be transformed alike now.
func (e *Engine) next() int {
	o := &e.op
	avail := e.fill - e.done
	if o.pio && o.cipher != noCipher {
		avail = min(avail, e.cfg.fifoWords()*4-(e.done-e.sent))
	}
	if avail <= 0 {
		return 0
	}
	switch {
	case o.pos < o.encStart:
		return min(avail, int(o.encStart-o.pos))
	case o.pos < o.textEnd:
		return o.ready(avail, int(o.textEnd-o.pos))
	case o.pos < o.encEnd:
		return min(avail, int(o.encEnd-o.pos))
	}
	return avail
}

// ready is how many of avail bytes the cipher takes, when left bytes of its
// region remain. A rest that is no block is taken whole.
func (o *operation) ready(avail, left int) int {
	if o.cipher == aesXTS {
		return o.xts.take(avail, int(o.unitLeft))
	}
	block := int(o.cipher.block())
	if left < block {
		if avail < left {
			return 0
		}
		return left
	}
	return min(avail, left) / block * block
}

// piece transforms n bytes, which lie in one region of the cipher's.
func (e *Engine) piece(n int) {
	o := &e.op
	p := e.buf[e.done : e.done+n]
	if e.obs != nil {
		e.obs.Input(p)
	}
	if o.auth != noAuth && !o.after {
		e.authenticate(p)
	}
	switch {
	case o.pos < o.encStart || o.pos >= o.encEnd:
	case o.pos >= o.textEnd:
		copy(o.tag[o.pos-o.textEnd:o.tagLen], p)
		clear(p)
	default:
		o.crypt(p)
	}
	if o.auth != noAuth && o.after {
		e.authenticate(p)
	}
	if e.obs != nil && o.cipher != noCipher {
		e.obs.Output(p)
	}
	e.done += n
	o.pos += uint32(n)
}

// crypt transforms bytes of the cipher's region.
func (o *operation) crypt(p []byte) {
	encrypt := o.cfg.EncrSegCfg&encrEncode != 0
	block := int(o.cipher.block())
	switch o.cipher {
	case aesCTR, aesCCM, aesGCM:
		o.ctr.crypt(p)
	case aesXTS:
		o.xts.crypt(p)
		o.unitLeft -= uint32(len(p))
		if o.unitLeft == 0 {
			o.xts.num.inc()
			o.unitLeft = o.dataUnit(o.pos + uint32(len(p)))
			if o.unitLeft != 0 {
				o.xts.unit()
			}
		}
	case aesECB, desECB, tdesECB:
		ecb(o.ecb, p, encrypt)
	default:
		if len(p) < block {
			return
		}
		if !encrypt {
			copy(o.iv[:block], p[len(p)-block:])
		}
		o.cbc.CryptBlocks(p, p)
		if encrypt {
			copy(o.iv[:block], p[len(p)-block:])
		}
	}
}

// authenticate takes the part of p, which starts at pos, that lies in the
// authenticated region.
func (e *Engine) authenticate(p []byte) {
	o := &e.op
	lo, hi := max(o.pos, o.authStart), min(o.pos+uint32(len(p)), o.authEnd)
	if lo >= hi {
		return
	}
	p = p[lo-o.pos : hi-o.pos]
	switch {
	case o.auth.isSHA():
		e.shas[o.auth.sha()].update(p)
	case o.auth == gcmMAC:
		if lo == o.encStart {
			o.gh.align() // additional data ends here
		}
		o.gh.update(p)
	default:
		o.mac.update(p)
	}
}

// compact moves input that is not transformed yet to the start of the buffer,
// once everything before it is delivered.
func (e *Engine) compact() {
	if e.sent == e.done && e.done > 0 {
		e.fill = copy(e.buf, e.buf[e.done:e.fill])
		e.done, e.sent = 0, 0
	}
}

// abort drops the running operation: no result, no end of transfer. bit is set
// in STATUS.
func (e *Engine) abort(bit uint32) {
	o := &e.op
	if bit != 0 {
		e.fail(bit)
	}
	o.phase = idle
	o.forget()
	e.sent, e.done, e.fill = 0, 0, 0
	o.report.Status, o.report.Status2 = e.status, e.liveStatus2()
	o.report.LockHeld = false
	if e.obs != nil {
		e.obs.Abort(&o.report)
	}
	e.emitOp(trace.OpAbort)
}
