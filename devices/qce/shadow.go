package qce

import "github.com/qcemu/qcemu/devices/trace"

// Shadow is a register file without an engine: what the engine's would hold if
// only one master used it. It holds keys.
type Shadow struct{ e *Engine }

// NewShadow returns the register file of such an engine after reset.
func NewShadow(cfg Config) *Shadow {
	cfg.Observer, cfg.BufferSize = nil, minBuffer
	return &Shadow{New(cfg, nil)}
}

// Write writes a register; bits that mask does not have keep their value.
// Writes to registers that start an operation, and to those that the engine
// itself sets, are left out.
func (s *Shadow) Write(off, val, mask uint32) {
	if IsGo(off) || off == Status || off == Status2 || off >= DataIn0 && off < DataIn0+16 {
		return
	}
	s.e.write(trace.CPUOf(0), off, val, mask)
}

// IsGo reports whether a write to a register starts an operation.
func IsGo(off uint32) bool { return off == GoProc || off == GoProcQCKey || off == GoProcOEMKey }

// Latch is GO: the configuration that the operation would have. It returns
// false when the engine would refuse it.
func (s *Shadow) Latch(off, val uint32) (c Latched, ok bool) {
	e := s.e
	e.latch(off, val)
	e.op.cipher, e.op.auth = noCipher, noAuth
	ok = e.chooseKeys() && e.decode()
	return e.op.cfg, ok
}

// Algorithm names the operation that Latch found last, as trace.Op.Alg does.
func (s *Shadow) Algorithm() string { return opNames[s.e.op.cipher][s.e.op.auth] }

// Finish puts the results of an operation in, as its end does.
func (s *Shadow) Finish(authIV *[64]byte, iv *[16]byte, byteCnt *[4]uint32) {
	e := s.e
	e.setBytes(AuthIV0, authIV[:])
	e.setBytes(CntrIV0, iv[:])
	copy(e.r[AuthByteCnt0/4:], byteCnt[:])
	if e.op.cfg.Go&ClrCntxt != 0 {
		e.clearContext()
	}
}

// Reset is the power-on reset.
func (s *Shadow) Reset() { s.e.Reset() }

// Operation returns who started the running operation.
func (e *Engine) Operation() (by trace.Master, running bool) { return e.op.by, e.op.phase != idle }

// Results returns what an operation has left in the registers.
func (e *Engine) Results() (authIV [64]byte, iv [16]byte, byteCnt [4]uint32) {
	e.bytes(authIV[:], AuthIV0)
	e.bytes(iv[:], CntrIV0)
	copy(byteCnt[:], e.r[AuthByteCnt0/4:])
	return authIV, iv, byteCnt
}
