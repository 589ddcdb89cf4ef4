package scenario

import (
	"slices"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/checker"
)

func all(t *testing.T) []*Scenario {
	t.Helper()
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestScenarios(t *testing.T) {
	for _, s := range all(t) {
		t.Run(strings.TrimSuffix(s.File, ".txt")+"/"+s.Name, func(t *testing.T) {
			r, err := s.Run(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Failures {
				t.Error(f)
			}
			if t.Failed() {
				for _, line := range r.Outcome {
					t.Log(line)
				}
			}
		})
	}
}

// Each rule of the checker has a scenario that breaks it and one that comes
// close and does not.
func TestEveryRule(t *testing.T) {
	var finds, near []string
	for _, s := range all(t) {
		finds = append(finds, s.Finds()...)
		near = append(near, s.Near()...)
	}
	for _, r := range checker.Rules() {
		if !slices.Contains(finds, r.ID) {
			t.Errorf("%s: no scenario breaks it", r.ID)
		}
		if !slices.Contains(near, r.ID) {
			t.Errorf("%s: no scenario comes close", r.ID)
		}
	}
}

func BenchmarkScenario(b *testing.B) {
	list, err := All()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, s := range list {
			if _, err := s.Run(nil); err != nil {
				b.Fatal(err)
			}
		}
	}
}
