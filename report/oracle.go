package report

import (
	"fmt"
	"io"
)

// Oracle says how many of the engine's operations, of whatever side, were
// computed a second time by an implementation that has nothing to do with the
// model's.
type Oracle struct {
	Checked   uint64 `json:"checked"`
	Wrong     uint64 `json:"wrong"`      // of these: errors of the model
	NotJudged uint64 `json:"not_judged"` // too long, or of a kind that it does not know
}

func (r *Run) writeOracle(w io.Writer) {
	if o := r.Oracle; o != nil {
		fmt.Fprintf(w, "\nOracle: %d operations of the engine computed again, %d of them wrong; %d not judged\n", o.Checked, o.Wrong, o.NotJudged)
	}
}
