package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/reading"
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
	s, err := Readings(t.Context(), named(t, "request", "reset-under-lock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Varied{
		{Scenario: "request", Questions: []string{}, Tried: 1, Outcomes: 1, Closed: true},
		{Scenario: "reset-under-lock", Questions: []string{"bam-lock-on-pipe-reset"}, Tried: 2, Outcomes: 2, Closed: true},
	}
	if diff := cmp.Diff(want, s.Scenarios); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.Runs < 1500 || s.Combinations < 1e11 {
		t.Errorf("%d runs, %d combinations: the survey looks at too little", s.Runs, s.Combinations)
	}
	if len(s.Changes) != 1 || s.Changes[0].Scenario != "reset-under-lock" || !slices.Equal(s.Changes[0].Answers, []string{"bam-lock-on-pipe-reset=keep"}) {
		t.Errorf("%+v", s.Changes)
	}
	var text strings.Builder
	if err := s.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"bam-lock-on-pipe-reset=keep changes reset-under-lock", "- secure: output right", "+ secure: output wrong",
		"1 other scenarios have one outcome", "No answer to a question that is not named"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("not in the text: %q\n%s", part, text.String())
		}
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

// Answers that matter only together are reported as such: three of them, whose
// combinations are all played.
func TestReadingsTogether(t *testing.T) {
	s, err := Readings(t.Context(), named(t, "lock-lost-by-terminate"), nil)
	if err != nil {
		t.Fatal(err)
	}
	v := s.Scenarios[0]
	if len(v.Questions) != 3 || v.Tried != 12 || !v.Closed {
		t.Errorf("%+v", v)
	}
	for n := 1; n <= 3; n++ {
		if !slices.ContainsFunc(s.Changes, func(c Change) bool { return len(c.Answers) == n }) {
			t.Errorf("no change by %d answers: %v", n, s.Effects())
		}
	}
	// cfg-change alone changes nothing here, so it is marked.
	if got := s.Effects()["qce-cfg-change=abort"]; !slices.Equal(got, []string{"lock-lost-by-terminate+"}) {
		t.Errorf("qce-cfg-change=abort: %v", got)
	}
}

func TestReadingsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Readings(ctx, named(t, "request"), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCombinations(t *testing.T) {
	table := reading.Table{{Values: make([]reading.Value, 2)}, {Values: make([]reading.Value, 2)}, {Values: make([]reading.Value, 3)}}
	got := combinations(table, []int{2, 0})
	want := [][]answer{nil, {{0, 1}}, {{2, 1}}, {{2, 2}}, {{0, 1}, {2, 1}}, {{0, 1}, {2, 2}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
		t.Error(diff)
	}
}
