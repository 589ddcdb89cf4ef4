package report

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteEngineTable writes for a person what is known of the engine alone: what
// it did for whom, the rules that were broken, and what its other users saw.
func (r *Run) WriteEngineTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "suite\tEE\talgorithm\tdirection\tkey\trequests\tbytes\tby commands\tlocked\terrors")
	for i := range r.Attestation {
		a := &r.Attestation[i]
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", cmp.Or(a.Suite, "-"), a.EE, cmp.Or(a.Algorithm, "(unknown)"),
			a.Direction, a.KeyBits, a.Requests, a.Bytes, a.ByCommand, a.Locked, a.Errors)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.writeFindings(w)
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "\nFindings: none")
	}
	r.writeAntagonists(w)
	r.writeIntegrity(w)
	r.writeOracle(w)
	return nil
}
