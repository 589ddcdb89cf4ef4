package mutants

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/rulebook"
	"github.com/qcemu/qcemu/devices/trace"
)

// TestAll: each mutant says what it is and names rules that exist; a run passes only
// if none of them is an error; and few are in the way of every other test.
func TestAll(t *testing.T) {
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 30 {
		t.Errorf("%d mutants: files are missing", len(list))
	}
	rules := map[string]*trace.Rule{}
	for _, r := range rulebook.Rules() {
		rules[r.ID] = r
	}
	doc, err := os.ReadFile("../../../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	quick := 0
	for _, m := range list {
		if m.What == "" || strings.HasPrefix(m.What, "[") {
			t.Errorf("%s: no subject", m.Name)
		}
		if !strings.Contains(string(m.Patch), "\n+++ b/drivers/") {
			t.Errorf("%s: it changes no driver", m.Name)
		}
		if !regexp.MustCompile(`[|,] ` + regexp.QuoteMeta(m.Name) + `[, ]`).Match(doc) {
			t.Errorf("%s: docs/findings.md does not say what it looks like (devices/rulebook/mistakes.md)", m.Name)
		}
		broken := false
		for _, id := range m.Finds {
			r, ok := rules[id]
			if !ok {
				t.Errorf("%s: there is no rule %s", m.Name, id)
				continue
			}
			broken = broken || r.Severity == trace.Error
		}
		if broken && m.Passes {
			t.Errorf("%s: a run that breaks one of %v cannot pass", m.Name, m.Finds)
		}
		if m.Quick {
			quick++
		}
	}
	if quick == 0 || quick > 3 {
		t.Errorf("%d mutants are quick ones, want 1 to 3", quick)
	}
}
