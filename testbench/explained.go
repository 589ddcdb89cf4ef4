package testbench

import (
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// explained are the findings that a driver with the lock leaves under attack, and
// why they stay. docs/contention.md tells more.
var explained = []struct {
	id     string
	beside []string // only while this happens; nil: always
	why    string
}{
	{"QCE-KEY-002", nil, "qce_crypto_go does not set CLR_CNTXT, in mainline neither"},
	{"QCE-REG-006", whileGone, "qce_crypto_probe reads VERSION by MMIO, which waits for no lock"},
	{"BAM-IRQ-002", whileGone, "the guest ends or reboots with an interrupt on its way"},
	{"BAM-LOCK-007", whileGone, "a reboot in mid-request: the driver resets a pipe that the guest before had locked"},
	{"BAM-LOCK-010", whileGone, "a reboot in mid-request: the driver resets the BAM"},
	{"BAM-CHAIN-002", whileGone, "a reboot in mid-request: descriptors are dropped"},
	{"BAM-CHAIN-003", whileGone, "the guest ends in mid-request"},
	{"QCE-DATA-005", whileGone, "a reboot in mid-request: a pipe is reset while an operation uses it"},
}

// whileGone is when the drivers are taken away or the guest reboots.
var whileGone = []string{job.BesideRebind, job.BesideReload, job.BesideReboot}

// judgeFindings is the case that nothing is found of Linux's that is not
// explained, be it harmless or not, or with errorsOnly nothing that may do harm.
func (p *phaseResult) judgeFindings(errorsOnly bool) report.Case {
	c := report.Case{Name: caseFindings, Status: report.Pass, Metrics: map[string]float64{}}
	var bad []string
	for _, f := range inOrder(p.found) {
		n := f.CountOf(p.ee)
		if n == 0 {
			continue
		}
		c.Metrics[f.ID] = float64(n)
		if harmless := errorsOnly && f.Severity != trace.Error.String(); !harmless && !isExplained(f.ID, p.plan.guest.Beside) {
			bad = append(bad, brokenRule(f, n))
		}
	}
	if len(bad) > 0 {
		c.Status, c.Detail = report.Fail, strings.Join(bad, "\n")
	}
	return c
}

func isExplained(id, beside string) bool {
	for _, e := range explained {
		if e.id == id && (e.beside == nil || slices.Contains(e.beside, beside)) {
			return true
		}
	}
	return false
}
