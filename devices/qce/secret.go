package qce

import "github.com/qcemu/qcemu/devices/trace"

// Secret reports whether values at an offset may not be shown: those of key
// registers, also where one is missed by a little, and of the data ports.
func Secret(off uint32) bool {
	return off >= EncrKey0 || off&^0xf == DataIn0 || off&^0xf == DataOut0
}

// OddAccess reports an access that was not one aligned word; it reads as 0 and
// writes nothing.
func (e *Engine) OddAccess(by trace.Master, off uint32) { e.note(ruleUnaligned, by, off, 0, 0) }
