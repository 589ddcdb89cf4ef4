package rulebook

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the document")

const document = "../../docs/findings.md"

func TestDocument(t *testing.T) {
	var b bytes.Buffer
	if err := WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("../../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(document, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), b.String()); diff != "" {
		t.Errorf("docs/findings.md is not up to date; run \"go generate ./devices/rulebook\" (-have +want):\n%s", diff)
	}
}

// Rules stand in reports and bug mails by their IDs.
func TestRules(t *testing.T) {
	id := regexp.MustCompile(`^[A-Z]+-[A-Z]+-[0-9]{3}$`)
	evidence := regexp.MustCompile(`§|Part|\[`)
	seen := map[string]bool{}
	for _, r := range Rules() {
		if !id.MatchString(r.ID) {
			t.Errorf("%q is no ID", r.ID)
		}
		if seen[r.ID] {
			t.Errorf("%s: there are two of it", r.ID)
		}
		seen[r.ID] = true
		if r.Title == "" || !evidence.MatchString(r.Source) {
			t.Errorf("%s: no title, or no source: %q", r.ID, r.Source)
		}
		if _, text := Family(r.ID); text == "" {
			t.Errorf("%s: a family without a heading", r.ID)
		}
	}
}
