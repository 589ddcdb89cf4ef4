package suites

import (
	"fmt"
	"strings"

	"github.com/qcemu/qcemu/report"
)

// tally collects what one case found: how much it tried, and the first things
// that went wrong.
type tally struct {
	requests, bytes int
	wrong           []string
	more            int // wrong ones not listed
}

// maxWrong is how many mismatches a case spells out.
const maxWrong = 4

func (t *tally) failf(format string, args ...any) {
	if len(t.wrong) == maxWrong {
		t.more++
		return
	}
	t.wrong = append(t.wrong, fmt.Sprintf(format, args...))
}

// same checks the result of a request for what it should be.
func (t *tally) same(what string, got []byte, err error, want []byte) {
	t.requests++
	t.bytes += len(want)
	if err != nil {
		t.failf("%s: %v", what, err)
		return
	}
	if d := difference(got, want); d != "" {
		t.failf("%s: %s", what, d)
	}
}

// difference says how two results differ, without showing more than one byte of
// them.
func difference(got, want []byte) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d bytes instead of %d", len(got), len(want))
	}
	first, count := 0, 0
	for i := range got {
		if got[i] != want[i] {
			if count == 0 {
				first = i
			}
			count++
		}
	}
	if count == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d bytes differ, the first at %d: %#02x instead of %#02x", count, len(want), first, got[first], want[first])
}

// report fills in the outcome.
func (t *tally) report(c *report.Case) {
	c.Metrics = map[string]float64{"requests": float64(t.requests), "bytes": float64(t.bytes)}
	if len(t.wrong) == 0 {
		if t.requests == 0 {
			failf(c, "the case did not try anything")
		}
		return
	}
	detail := strings.Join(t.wrong, "\n")
	if t.more > 0 {
		detail += fmt.Sprintf("\nand %d more", t.more)
	}
	failf(c, "%s", detail)
}
