package bam

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/reg"
)

// Section returns the register documentation of all layouts, to be written with
// reg.WriteMarkdown.
func Section() reg.Section {
	s := reg.Section{
		Title: "BAM",
		Intro: "Offsets are from the BAM's base; p is the pipe, e the execution environment (EE). " +
			"A BAM that another EE controls comes up with BAM_CTRL.EN = 1 and BAM_CNFG_BITS = 0xfffff004; " +
			"P_TRUST_REG and BAM_TRUST_REG come up as the SoC profile says. All other registers reset to 0. " +
			"Registers of another EE read as 0 and ignore writes.",
	}
	for l := range numLayouts {
		s.Columns = append(s.Columns, l.String())
	}
	for r := None + 1; r < numRegs; r++ {
		row := reg.Row{Register: r.Register()}
		for l := range numLayouts {
			row.Offsets = append(row.Offsets, l.place(r))
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// place renders where a register stands, "" where it does not exist.
func (l Layout) place(r Reg) string {
	base, ok := l.Offset(r, 0)
	if !ok {
		return ""
	}
	index := map[scope]string{perEE: "e", perPipe: "p"}[registers[r].scope]
	if index == "" {
		return fmt.Sprintf("%#x", base)
	}
	return fmt.Sprintf("%#x + %#x·%s", base, registers[r].at[l].stride, index)
}
