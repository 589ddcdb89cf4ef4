package qce

import "github.com/qcemu/qcemu/devices/trace"

// Secret reports whether the register at an offset holds key material.
func Secret(off uint32) bool {
	for i := range Registers {
		b := &Registers[i]
		if off >= b.Off && off < b.Off+4*uint32(b.Count) {
			return b.Secret
		}
	}
	return false
}

// OddAccess reports an access that was not one aligned word; it reads as 0 and
// writes nothing.
func (e *Engine) OddAccess(by trace.Master, off uint32) { e.note(ruleUnaligned, by, off, 0, 0) }
