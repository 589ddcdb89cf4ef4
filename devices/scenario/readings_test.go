package scenario

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func named(t *testing.T, names ...string) []*Scenario {
	t.Helper()
	list := slices.DeleteFunc(all(t), func(s *Scenario) bool { return !slices.Contains(names, s.Name) })
	if len(list) != len(names) {
		t.Fatalf("%d scenarios, want %v", len(list), names)
	}
	return list
}

// A request in its right order gives the same whatever the answers are; after a
// reset under the lock one answer decides.
func TestReadings(t *testing.T) {
	s, err := Readings(named(t, "request", "reset-under-lock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Scenarios != 2 || s.Choices < 500 {
		t.Errorf("%d scenarios, %d choices: the survey looks at too little", s.Scenarios, s.Choices)
	}
	want := []string{"bam-lock-on-pipe-reset=keep"}
	var single []string
	for _, c := range s.Changes {
		if len(c.Answers) == 1 {
			single = append(single, c.Answers[0])
			if c.Scenario != "reset-under-lock" {
				t.Errorf("%s changes a request in its right order: -%v +%v", c.Answers[0], c.Gone, c.New)
			}
		}
	}
	if diff := cmp.Diff(want, single); diff != "" {
		t.Errorf("answers that matter (-want +got):\n%s", diff)
	}
	var text strings.Builder
	if err := s.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"bam-lock-on-pipe-reset=keep changes reset-under-lock", "- secure: output right", "+ secure: output wrong"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("not in the text: %q", part)
		}
	}
}

// Two answers that matter only together are reported as such.
func TestReadingsTogether(t *testing.T) {
	s, err := Readings(named(t, "unlock-while-busy"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(s.Changes, func(c Change) bool { return len(c.Answers) == 2 }) {
		t.Errorf("no pair of answers: %v", s.Effects())
	}
}
