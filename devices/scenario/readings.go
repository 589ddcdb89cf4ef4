package scenario

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
)

// Survey says what the open questions about the hardware matter for.
type Survey struct {
	Scenarios int
	Choices   int // combinations of answers that were tried on each
	Changes   []Change
}

// Change is a scenario that comes out differently with other answers.
type Change struct {
	Scenario string
	Answers  []string // NAME=VALUE: one, or two that differ from the default together
	Gone     []string // lines of the outcome that are no longer there
	New      []string // lines that are there instead
}

// Readings plays scenarios under every other answer to each open question, and
// under every pair of other answers to two of them, and says which answers
// change an outcome. All combinations of all answers would be some 10^11 runs for each
// scenario; no behaviour of the model depends on more than two of them. Of the
// pairs those are reported whose outcome is neither that of one of the two
// alone nor the default's. progress may be nil.
func Readings(list []*Scenario, progress func(done, total int)) (*Survey, error) {
	var table reading.Table
	table = append(append(table, bam.ReadingTable()...), qce.Readings...)
	choices := combinations(table)
	s := &Survey{Scenarios: len(list), Choices: len(choices)}
	for i, sc := range list {
		changes, err := sc.vary(choices)
		if err != nil {
			return nil, err
		}
		s.Changes = append(s.Changes, changes...)
		if progress != nil {
			progress(i+1, len(list))
		}
	}
	return s, nil
}

// combinations are the choices that differ from the default in one or two
// answers, the single ones first.
func combinations(table reading.Table) [][]string {
	var single [][]string
	var of []int // the question of each
	for i, r := range table {
		for _, v := range r.Values[1:] {
			single = append(single, []string{r.Name + "=" + v.Name})
			of = append(of, i)
		}
	}
	all := slices.Clone(single)
	for i := range single {
		for j := i + 1; j < len(single); j++ {
			if of[i] != of[j] {
				all = append(all, []string{single[i][0], single[j][0]})
			}
		}
	}
	return all
}

// vary plays one scenario under all choices.
func (s *Scenario) vary(choices [][]string) ([]Change, error) {
	play := func(answers []string) ([]string, error) {
		c := reading.Choice{}
		for _, a := range answers {
			if err := c.Parse(a); err != nil {
				return nil, err
			}
		}
		r, err := s.Run(c)
		if err != nil {
			return nil, err
		}
		return r.Outcome, nil
	}
	usual, err := play(nil)
	if err != nil {
		return nil, err
	}
	alone := map[string][]string{} // outcomes that differ
	var changes []Change
	for _, answers := range choices {
		out, err := play(answers)
		if err != nil {
			return nil, err
		}
		if slices.Equal(out, usual) {
			continue
		}
		if len(answers) == 1 {
			alone[answers[0]] = out
		} else if slices.ContainsFunc(answers, func(a string) bool { return slices.Equal(out, alone[a]) }) {
			continue
		}
		changes = append(changes, Change{Scenario: s.Name, Answers: answers, Gone: without(usual, out), New: without(out, usual)})
	}
	return changes, nil
}

// without returns the lines of a that b does not have.
func without(a, b []string) []string {
	var rest []string
	for _, line := range a {
		if !slices.Contains(b, line) {
			rest = append(rest, line)
		}
	}
	return rest
}

// Effects lists the answers that change an outcome, with the scenarios that
// they change, alone or, marked by a "+", only together with another one.
func (s *Survey) Effects() map[string][]string {
	effects := map[string][]string{}
	add := func(answer, scenario string) {
		if !slices.Contains(effects[answer], scenario) {
			effects[answer] = append(effects[answer], scenario)
		}
	}
	for _, c := range s.Changes {
		if len(c.Answers) == 1 {
			add(c.Answers[0], c.Scenario)
		}
	}
	for _, c := range s.Changes {
		if len(c.Answers) == 1 {
			continue
		}
		for _, a := range c.Answers {
			if !slices.Contains(effects[a], c.Scenario) {
				add(a, c.Scenario+"+")
			}
		}
	}
	return effects
}

// WriteText writes the survey for people: which answers matter, and what they
// change.
func (s *Survey) WriteText(w io.Writer) error {
	effects := s.Effects()
	if _, err := fmt.Fprintf(w, "%d scenarios, each under %d combinations of answers to open questions: every answer other than the default, and every pair of them.\n\n", s.Scenarios, s.Choices); err != nil {
		return err
	}
	for _, answer := range sorted(effects) {
		if _, err := fmt.Fprintf(w, "%s changes %s\n", answer, strings.Join(effects[answer], ", ")); err != nil {
			return err
		}
		for _, c := range s.Changes {
			if len(c.Answers) != 1 || c.Answers[0] != answer {
				continue
			}
			fmt.Fprintf(w, "    %s:\n", c.Scenario)
			for _, line := range c.Gone {
				fmt.Fprintf(w, "      - %s\n", line)
			}
			for _, line := range c.New {
				fmt.Fprintf(w, "      + %s\n", line)
			}
		}
	}
	for _, c := range s.Changes {
		if len(c.Answers) > 1 {
			fmt.Fprintf(w, "%s together change %s\n", strings.Join(c.Answers, " and "), c.Scenario)
			for _, line := range c.Gone {
				fmt.Fprintf(w, "      - %s\n", line)
			}
			for _, line := range c.New {
				fmt.Fprintf(w, "      + %s\n", line)
			}
		}
	}
	return nil
}
