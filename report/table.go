package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/qcemu/qcemu/devices/attest"
)

// line is one row of the table: the cases of a suite for one algorithm, and
// what the engine did for it meanwhile.
type line struct {
	suite, algorithm string
	count            Count
	engine           attest.Total
	hasCases         bool
}

// lines joins cases and engine counts. engineName maps a kernel driver name to
// the engine's name of the algorithm ("xts-aes-qce" to "xts-aes"), "" if it has
// none.
func (r *Run) lines(engineName func(driver string) string) []line {
	var out []line
	for i := range r.Suites {
		s := &r.Suites[i]
		byAlg := map[string]*line{}
		at := func(alg string) *line {
			l := byAlg[alg]
			if l == nil {
				l = &line{suite: s.Name, algorithm: alg}
				byAlg[alg] = l
			}
			return l
		}
		cases := map[string][]Case{}
		for _, c := range s.Cases {
			name := cmp.Or(engineName(c.Algorithm), c.Algorithm)
			cases[name] = append(cases[name], c)
		}
		for name, cs := range cases {
			l := at(name)
			l.count, l.hasCases = Tally(cs), true
		}
		for _, row := range r.Attestation {
			if row.Suite != s.Name || row.EE != r.EE {
				continue
			}
			l := at(cmp.Or(row.Algorithm, "(unknown)"))
			l.engine.Requests += row.Requests
			l.engine.Bytes += row.Bytes
			l.engine.ByCommand += row.ByCommand
			l.engine.Locked += row.Locked
		}
		if len(byAlg) == 0 {
			at("")
		}
		first := len(out)
		for _, l := range byAlg {
			out = append(out, *l)
		}
		slices.SortFunc(out[first:], func(a, b line) int { return cmp.Compare(a.algorithm, b.algorithm) })
	}
	return out
}

// WriteTable writes the result for a person.
func (r *Run) WriteTable(w io.Writer, engineName func(driver string) string) error {
	fmt.Fprintf(w, "driver %s, SoC %s, kernel %s, QEMU %s, seed %d, %.0f s\n\n", r.Driver, r.SoC, r.Kernel, r.QEMU, r.Seed, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "suite\talgorithm\tpassed\tfailed\texpected\tskipped\trequests\tbytes\tby commands\tlocked\t")
	prev := ""
	for _, l := range r.lines(engineName) {
		suite := l.suite
		if suite == prev {
			suite = ""
		}
		prev = l.suite
		cases := "\t\t\t"
		if l.hasCases {
			cases = fmt.Sprintf("%d\t%d\t%d\t%d", l.count.Pass, l.count.Fail, l.count.XFail, l.count.Skip)
		}
		engine := "0\t0\t0\t0"
		if l.engine.Requests > 0 {
			engine = fmt.Sprintf("%d\t%d\t%d\t%d", l.engine.Requests, l.engine.Bytes, l.engine.ByCommand, l.engine.Locked)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", suite, cmp.Or(l.algorithm, "-"), cases, engine)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.writeReasons(w, "Failed", func(c Case) bool { return c.Status.Bad() }, func(c Case) string { return cmp.Or(c.Detail, c.Reason) })
	r.writeReasons(w, "Expected failures", func(c Case) bool { return c.Status == XFail }, func(c Case) string { return c.Reason })
	r.writeReasons(w, "Skipped", func(c Case) bool { return c.Status == Skip }, func(c Case) string { return c.Reason })
	r.writeFindings(w)
	r.writeAntagonists(w)
	r.writeIntegrity(w)
	r.writePhases(w)
	r.writeOracle(w)
	WriteWays(w, r.Ways)
	for i := range r.Suites {
		if s := &r.Suites[i]; s.Error != "" {
			fmt.Fprintf(w, "\nSuite %s: %s\n", s.Name, s.Error)
		}
	}
	if len(r.Problems) > 0 {
		fmt.Fprintln(w, "\nProblems:")
		for _, p := range r.Problems {
			fmt.Fprintf(w, "  %s\n", oneLine(p))
		}
	}
	return nil
}

// writeReasons lists cases, those with equal words together.
func (r *Run) writeReasons(w io.Writer, title string, keep func(Case) bool, why func(Case) string) {
	type group struct {
		text  string
		names []string
	}
	var groups []*group
	for i := range r.Suites {
		for _, c := range r.Suites[i].Cases {
			if !keep(c) {
				continue
			}
			text := brief(why(c))
			g := slices.IndexFunc(groups, func(g *group) bool { return g.text == text })
			if g < 0 {
				groups = append(groups, &group{text: text})
				g = len(groups) - 1
			}
			groups[g].names = append(groups[g].names, r.Suites[i].Name+" "+c.Name)
		}
	}
	if len(groups) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, g := range groups {
		names := g.names
		more := ""
		if len(names) > 4 {
			more = fmt.Sprintf(" and %d more", len(names)-4)
			names = names[:4]
		}
		fmt.Fprintf(w, "  %s%s: %s\n", strings.Join(names, ", "), more, g.text)
	}
}

// mostLines is how many lines of a case's words the table shows: report.json has
// them all.
const mostLines = 3

// brief is a text in one line, its first lines if it has many.
func brief(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) <= mostLines {
		return oneLine(s)
	}
	return oneLine(strings.Join(lines[:mostLines], " ")) + fmt.Sprintf(" … (%d lines more in %s)", len(lines)-mostLines, JSONFile)
}

func (r *Run) writeFindings(w io.Writer) {
	if len(r.Findings) == 0 {
		return
	}
	fmt.Fprintln(w, "\nFindings:")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range r.Findings {
		fmt.Fprintf(t, "  %s\t%s\t%d times\t%s\n", f.ID, f.Severity, f.Count, f.Title)
	}
	t.Flush()
}

// writeAntagonists tells what the other users of the engine saw.
func (r *Run) writeAntagonists(w io.Writer) {
	if len(r.Antagonists) == 0 {
		return
	}
	fmt.Fprintln(w, "\nOther users of the engine:")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  who\tpolicy\trequests\tcorrupted\thung\t")
	for _, c := range r.Antagonists {
		blocked := ""
		if c.Blocked {
			blocked = "waits for a lock that is never released"
		}
		fmt.Fprintf(t, "  %s (EE%d)\t%s\t%d\t%d\t%d\t%s\n", c.Name, c.EE, c.Policy, c.Requests, c.Corrupted, c.Hung, blocked)
	}
	t.Flush()
}

// writeIntegrity tells which requests did not give what was asked for.
func (r *Run) writeIntegrity(w io.Writer) {
	if len(r.Integrity) == 0 {
		return
	}
	fmt.Fprintln(w, "\nResults against what was asked for:")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  EE\talgorithm\trequests\tcorrupted\tlost\t")
	for _, b := range r.Integrity {
		who := fmt.Sprintf("EE%d", b.EE)
		if b.EE == r.EE {
			who += " (Linux)"
		}
		fmt.Fprintf(t, "  %s\tall\t%d\t%d\t%d\t\n", who, b.Requests, b.Corrupted, b.Lost)
		for _, a := range b.Algs {
			if a.Corrupted+a.Lost > 0 {
				fmt.Fprintf(t, "  \t%s\t%d\t%d\t%d\t\n", a.Alg, a.Requests, a.Corrupted, a.Lost)
			}
		}
	}
	t.Flush()
}
