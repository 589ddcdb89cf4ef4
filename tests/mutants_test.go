package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/qcemu/qcemu/guest/kernel/mutants"
	"github.com/qcemu/qcemu/report"
)

// envMutants is 1 to run all mutants of the series.
const envMutants = "QCEMU_MUTANTS"

// TestMutants puts one mistake at a time into the project's series and runs the test
// bench on the driver that comes of it, as its author would: the run has to fail and a
// finding has to name the rule. The quick ones are part of every test of the guest.
func TestMutants(t *testing.T) {
	all := os.Getenv(envMutants) == "1"
	if !all {
		needGuests(t)
	}
	list, err := mutants.All()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\texpected\tfound\tverdict\ttime")
	for _, m := range list {
		if !all && !m.Quick {
			continue
		}
		ok := t.Run(m.Name, func(t *testing.T) {
			start := time.Now()
			found, verdict := tryMutant(t, m)
			expected := strings.Join(m.Finds, " ")
			if m.Unseen != "" {
				expected = "(unseen)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f s\n", m.Name, expected, strings.Join(found, " "), verdict, time.Since(start).Seconds())
		})
		if !ok {
			t.Logf("%s (%s): see above", m.Name, m.What)
		}
	}
	w.Flush()
	t.Logf("rules that Linux broke, those of severity info left out:\n%s", table.String())
}

// tryMutant runs the test bench on a mutant. It returns the rules that Linux broke,
// and what that says.
func tryMutant(t *testing.T, m mutants.Mutant) (found []string, verdict string) {
	dir := filepath.Join(t.TempDir(), "series")
	copySeries(t, dir)
	write(t, filepath.Join(dir, "9999-"+m.Name+".patch"), m.Patch)

	b := startRun(t, append([]string{"--series", dir, "--suite", "probe,selftest"}, m.Run...)...)
	code := b.wait()
	want := 1
	if m.Passes {
		want = 0
	}
	if code > 1 {
		t.Errorf("exit code %d, want %d", code, want)
		return nil, "no result"
	}
	r := b.report()
	var ids []string
	for _, f := range r.Findings {
		if n := f.CountOf(r.EE); n > 0 {
			ids = append(ids, f.ID)
			if f.Severity != "info" || slices.Contains(m.Finds, f.ID) {
				found = append(found, f.ID)
			}
		}
	}
	verdict = "named"
	switch missing := slices.DeleteFunc(slices.Clone(m.Finds), func(id string) bool { return slices.Contains(ids, id) }); {
	case len(missing) > 0:
		t.Errorf("%v not found; found are %v", missing, ids)
		verdict = "MISSED"
	case m.Unseen != "":
		verdict = "results only"
		if m.Passes {
			verdict = "invisible"
		}
	}
	if code != want {
		t.Errorf("exit code %d, want %d", code, want)
		verdict += ", " + []string{"PASSED", "FAILED"}[code]
	}
	if r.Failed() == m.Passes {
		t.Errorf("%s disagrees with the exit code", report.JSONFile)
	}
	return found, verdict
}
