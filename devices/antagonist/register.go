package antagonist

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// register is what a script means by the name of a register. The zero value is
// any register.
type register struct {
	block trace.Block

	first, last uint32 // of the engine: offsets of the first and the last word

	bam   bam.Reg
	index int // of the pipe or EE; -1: any
}

// parseRegister finds a register by its name: one of the engine, a bank of it
// or a word of a bank (ENCR_KEY, ENCR_KEY3), or one of the BAM, of any pipe or EE
// or of a certain one (P_EVNT_REG, P_EVNT_REG[4]).
func parseRegister(name string) (register, error) {
	for i := range qce.Registers {
		b := &qce.Registers[i]
		r := register{block: trace.QCE, first: b.Off, last: b.Off + 4*uint32(b.Count-1)}
		if b.Register.Name == name {
			return r, nil
		}
		if digits, ok := strings.CutPrefix(name, b.Register.Name); ok && b.Count > 1 {
			if n, err := strconv.ParseUint(digits, 10, 8); err == nil && n < uint64(b.Count) && digits == strconv.FormatUint(n, 10) {
				r.first += 4 * uint32(n)
				r.last = r.first
				return r, nil
			}
		}
	}
	base, index, indexed := strings.Cut(name, "[")
	if r, ok := bam.RegByName(base); ok {
		if !indexed {
			return register{block: trace.BAM, bam: r, index: -1}, nil
		}
		digits, closed := strings.CutSuffix(index, "]")
		if n, err := strconv.ParseUint(digits, 10, 8); err == nil && closed {
			return register{block: trace.BAM, bam: r, index: int(n)}, nil
		}
	}
	return register{}, fmt.Errorf("no register %q: docs/registers.md has the names", name)
}

// is reports whether an access is one to the register.
func (r *register) is(e *trace.Event, layout bam.Layout) bool {
	switch {
	case r.block == 0:
		return true
	case r.block != e.Block:
		return false
	case r.block == trace.QCE:
		return r.first <= e.Off && e.Off <= r.last
	}
	reg, pipe, ee := layout.Decode(e.Off)
	return reg == r.bam && (r.index < 0 || r.index == max(pipe, ee))
}
