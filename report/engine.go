package report

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/finding"
)

// WriteEngineTable writes for a person what WriteEngine writes for tools.
func WriteEngineTable(w io.Writer, rows []attest.Row, findings []finding.Finding) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "suite\tEE\talgorithm\tdirection\tkey\trequests\tbytes\tby commands\tlocked\terrors")
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", cmp.Or(r.Suite, "-"), r.EE, cmp.Or(r.Algorithm, "(unknown)"),
			r.Direction, r.KeyBits, r.Requests, r.Bytes, r.ByCommand, r.Locked, r.Errors)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(findings) == 0 {
		_, err := fmt.Fprintln(w, "\nFindings: none")
		return err
	}
	fmt.Fprintln(w, "\nFindings:")
	for i := range findings {
		f := &findings[i]
		fmt.Fprintf(t, "  %s\t%s\t%d times\t%s\n", f.ID, f.Severity, f.Count, f.Title)
	}
	return t.Flush()
}
