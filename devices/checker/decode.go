package checker

import (
	"sync"

	"github.com/qcemu/qcemu/devices/bam"
)

// action is what the checker does about a BAM register.
type action struct {
	reg   regKind
	index uint8 // pipe or execution environment
}

// regKind is a register that the checker looks at.
type regKind uint8

const (
	other regKind = iota
	pipeCtrl
	pipeEvnt
	fifoSizes
	irqClr
	irqEn
	irqSources
	irqMask
)

var watched = map[bam.Reg]regKind{
	bam.PCtrl: pipeCtrl, bam.PEvntReg: pipeEvnt, bam.PFIFOSizes: fifoSizes, bam.PIRQClr: irqClr, bam.PIRQEn: irqEn,
	bam.IRQSrcsEE: irqSources, bam.IRQSrcsMskEE: irqMask,
}

// tables are the decode tables of the register layouts, made when first used.
var tables [bam.V20 + 1]struct {
	once  sync.Once
	table []action
}

// actions is the decode table of a register layout.
func actions(l bam.Layout) []action {
	t := &tables[l]
	t.once.Do(func() {
		t.table = make([]action, l.Window(bam.MaxPipes)/4)
		for i := range t.table {
			reg, pipe, ee := l.Decode(uint32(i) * 4)
			t.table[i] = action{watched[reg], uint8(max(pipe, ee, 0))}
		}
	})
	return t.table
}

// at is the action for an offset.
func (c *Checker) at(off uint32) action {
	if i := off / 4; i < uint32(len(c.regs)) {
		return c.regs[i]
	}
	return action{}
}
