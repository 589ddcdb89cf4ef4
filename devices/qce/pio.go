package qce

import (
	"encoding/binary"
	"math/bits"

	"github.com/qcemu/qcemu/devices/trace"
)

// The register path: with CONFIG.HIGH_SPD_EN_N set, data goes word by word
// through DATA_IN and DATA_OUT (datasheet §13, §14). Each of the four registers
// of a port is the same FIFO. Results stay in AUTH_IV and CNTR_IV; there is no
// dump. The operation is done when the last input is transformed; output may
// still wait in its FIFO [I].

// pioWord turns a data word between the bus and the order of the bytes.
func (e *Engine) pioWord(v uint32) uint32 {
	if e.op.cfg.Config&littleEndian == 0 {
		return bits.ReverseBytes32(v)
	}
	return v
}

func (e *Engine) pioWrite(by trace.Master, off, val uint32) {
	o := &e.op
	free := e.dinFree()
	if o.phase != run || !o.pio || free == 0 {
		e.note(rulePIOOver, by, off, 0, 0)
		e.fail(DinErr)
		return
	}
	e.compact()
	n := min(4, int(o.seg-o.in), len(e.buf)-tailMax-e.fill)
	var w [4]byte
	binary.LittleEndian.PutUint32(w[:], e.pioWord(val))
	copy(e.buf[e.fill:e.fill+n], w[:])
	e.fill += n
	o.in += uint32(n)
}

func (e *Engine) pioRead(by trace.Master, off uint32) uint32 {
	o := &e.op
	if !o.pio || e.sent == e.done {
		e.note(rulePIOUnder, by, off, 0, 0)
		e.fail(DoutErr)
		return 0
	}
	// A word before the end waits until it is whole.
	n := e.done - e.sent
	if n < 4 && o.phase == run {
		e.note(rulePIOUnder, by, off, 0, 0)
		e.fail(DoutErr)
		return 0
	}
	var w [4]byte
	n = copy(w[:], e.buf[e.sent:e.done])
	e.sent += n
	return e.pioWord(binary.LittleEndian.Uint32(w[:]))
}

// dinFree is the number of words that the input FIFO has room for.
func (e *Engine) dinFree() int {
	o := &e.op
	if o.phase != run || o.in == o.seg {
		return 0
	}
	return max(e.cfg.fifoWords()-(e.fill-e.done+3)/4, 0)
}

// pioStatus is the part of STATUS that shows the two FIFOs.
func (e *Engine) pioStatus() uint32 {
	free := e.dinFree()
	waiting := (e.done - e.sent) / 4
	if e.op.phase == idle {
		waiting = (e.done - e.sent + 3) / 4
	}
	v := uint32(min(free, maxAvail))<<dinAvailShift | uint32(min(waiting, maxAvail))<<doutAvailShift
	if free > 0 {
		v |= DinRdy | DinIntr
	}
	if waiting > 0 {
		v |= DoutRdy | DoutIntr
	}
	return v
}
