package testbench

import (
	"strings"
	"testing"
	"time"
)

// TestStandstill: something is to be done, and nobody does anything.
func TestStandstill(t *testing.T) {
	const work = "descriptors are not done"
	for _, test := range []struct {
		name    string
		what    func(second int) string
		mark    func(second int) uint64
		heard   func(second int) int // second of the last event
		blocked bool
		gap     int    // seconds that the host stands still, in second 30
		want    string // in the verdict of the last second, "" for none
	}{
		{name: "stands", what: always(work), want: work},
		{name: "nothing to do", what: always("")},
		{name: "the processor does something", what: always(work), mark: func(s int) uint64 { return uint64(s / 30) }},
		{name: "the guest tells of its work", what: always(work), heard: func(s int) int { return s - s%30 }},
		{name: "something else each time", what: func(s int) string { return work + strings.Repeat("!", s/30) }},
		{name: "only for a while", what: func(s int) string { return []string{work, ""}[s/40%2] }},
		{name: "the host stands still", what: func(s int) string { return []string{work, ""}[s/50%2] }, gap: 100},
		{name: "a blocked task", what: always(""), blocked: true, want: "a task is blocked"},
		{name: "a blocked task, and an engine at work", what: always(""), blocked: true, mark: func(s int) uint64 { return uint64(s / 30) }},
	} {
		second := 0
		s := standstill{blocked: func() bool { return test.blocked }, look: func() (string, uint64) {
			if test.mark == nil {
				return test.what(second), 7
			}
			return test.what(second), test.mark(second)
		}}
		start := time.Now()
		verdict := ""
		for ; second < 100 && verdict == ""; second++ {
			heard := 0
			if test.heard != nil {
				heard = test.heard(second)
			}
			now := second
			if second >= 30 {
				now += test.gap
			}
			verdict = s.check(start.Add(time.Duration(now)*time.Second), start.Add(time.Duration(heard)*time.Second))
		}
		if (verdict != "") != (test.want != "") || !strings.Contains(verdict, test.want) {
			t.Errorf("%s: %q after %d s, want %q", test.name, verdict, second, test.want)
		}
		if verdict != "" && second < int(stillLimit.Seconds()) {
			t.Errorf("%s: after %d s", test.name, second)
		}
	}
}

func always(what string) func(int) string { return func(int) string { return what } }
