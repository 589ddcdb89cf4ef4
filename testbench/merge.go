package testbench

import (
	"cmp"
	"slices"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/report"
)

// addEngine adds to the report what the engine of one model did. A run has
// several models when its suites have phases.
func (r *run) addEngine(m *Model) {
	r.report.Attestation = mergeRows(r.report.Attestation, m.Counter.Rows())
	r.report.Findings = mergeFindings(r.report.Findings, m.Findings.Findings())
	r.addOracle(m)
}

// addOracle adds what the oracle says.
func (r *run) addOracle(m *Model) {
	if m.Oracle == nil {
		return
	}
	n := m.Oracle.Counts()
	if r.report.Oracle == nil {
		r.report.Oracle = &report.Oracle{}
	}
	o := r.report.Oracle
	o.Checked += n.Checked
	o.NotJudged += n.NotJudged
	o.Wrong += n.Wrong
	if err := m.Doubt(); err != nil {
		r.report.Problems = append(r.report.Problems, err.Error())
	}
}

// mergeRows adds up rows of the same kind.
func mergeRows(rows, more []attest.Row) []attest.Row {
	for _, m := range more {
		i := slices.IndexFunc(rows, func(r attest.Row) bool {
			return r.Suite == m.Suite && r.EE == m.EE && r.Algorithm == m.Algorithm && r.Direction == m.Direction && r.KeyBits == m.KeyBits
		})
		if i < 0 {
			rows = append(rows, m)
			continue
		}
		r := &rows[i]
		r.Requests += m.Requests
		r.Bytes += m.Bytes
		r.ByCPU += m.ByCPU
		r.ByCommand += m.ByCommand
		r.ByBoth += m.ByBoth
		r.Locked += m.Locked
		r.Errors += m.Errors
	}
	return rows
}

// mergeFindings adds up findings of the same rule. The first one of them is
// told.
func mergeFindings(list, more []finding.Finding) []finding.Finding {
	for _, m := range more {
		i := slices.IndexFunc(list, func(f finding.Finding) bool { return f.ID == m.ID })
		if i < 0 {
			list = append(list, m)
			continue
		}
		f := &list[i]
		f.Count += m.Count
		f.By = slices.Clone(f.By)
		for _, a := range m.By {
			if j := slices.IndexFunc(f.By, func(b finding.Actor) bool { return b.EE == a.EE }); j >= 0 {
				f.By[j].Count += a.Count
			} else {
				f.By = append(f.By, a)
			}
		}
		for _, s := range m.Suites {
			if !slices.Contains(f.Suites, s) {
				f.Suites = append(slices.Clone(f.Suites), s)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b finding.Finding) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
