package antagonist

import (
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// A register is the one that the script names, and no other whose name begins
// alike.
func TestRegister(t *testing.T) {
	layout := bam.V17
	offset := func(r bam.Reg, index int) uint32 {
		off, ok := layout.Offset(r, index)
		if !ok {
			t.Fatalf("no %v", r)
		}
		return off
	}
	for _, c := range []struct {
		name  string
		block trace.Block
		off   uint32
		want  bool
	}{
		{"STATUS", trace.QCE, qce.Status, true},
		{"STATUS", trace.QCE, qce.Status2, false},
		{"STATUS2", trace.QCE, qce.Status2, true},
		{"STATUS", trace.BAM, qce.Status, false},
		{"ENCR_KEY", trace.QCE, qce.EncrKey0 + 28, true},
		{"ENCR_KEY", trace.QCE, qce.EncrKey0 + 32, false},
		{"ENCR_KEY3", trace.QCE, qce.EncrKey0 + 12, true},
		{"ENCR_KEY3", trace.QCE, qce.EncrKey0, false},
		{"P_CTRL", trace.BAM, offset(bam.PCtrl, 5), true},
		{"P_CTRL[4]", trace.BAM, offset(bam.PCtrl, 4), true},
		{"P_CTRL[4]", trace.BAM, offset(bam.PCtrl, 5), false},
		{"P_CTRL", trace.BAM, offset(bam.PRst, 5), false},
	} {
		r, err := parseRegister(c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := r.is(&trace.Event{Block: c.block, Off: c.off}, layout); got != c.want {
			t.Errorf("%s, block %v, offset %#x: %v", c.name, c.block, c.off, got)
		}
	}
}
