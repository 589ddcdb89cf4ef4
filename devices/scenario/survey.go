package scenario

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Effects lists the answers that change an outcome, with the scenarios that
// they change, alone or, marked by a "+", only together with others.
func (s *Survey) Effects() map[string][]string {
	effects := map[string][]string{}
	for _, alone := range []bool{true, false} {
		for _, c := range s.Changes {
			if (len(c.Answers) == 1) != alone {
				continue
			}
			name := c.Scenario
			if !alone {
				name += "+"
			}
			for _, a := range c.Answers {
				if !slices.Contains(effects[a], c.Scenario) && !slices.Contains(effects[a], name) {
					effects[a] = append(effects[a], name)
				}
			}
		}
	}
	return effects
}

// Idle lists the questions whose answer changes no scenario.
func (s *Survey) Idle() []string {
	var names []string
	for _, r := range openQuestions() {
		if !slices.ContainsFunc(s.Scenarios, func(v Varied) bool { return slices.Contains(v.Questions, r.Name) }) {
			names = append(names, r.Name)
		}
	}
	return names
}

// WriteText writes the survey for people: what was tried, which scenarios depend
// on an answer, and how.
func (s *Survey) WriteText(out io.Writer) error {
	w := bufio.NewWriter(out)
	s.writeTried(w)
	s.writeTable(w)
	s.writeChanges(w)
	return w.Flush()
}

func (s *Survey) writeTried(w io.Writer) {
	most, open := 0, []string{}
	for _, v := range s.Scenarios {
		most = max(most, v.Tried)
		if !v.Closed {
			open = append(open, v.Scenario)
		}
	}
	fmt.Fprintf(w, `%d scenarios, %d open questions: %d combinations of answers for each.
Played: each scenario under every answer and every pair of answers; under all combinations of answers
to the questions that make a difference to it, at most %d; and under each of these with each answer to
every other question. %d runs in all.
`, len(s.Scenarios), s.Questions, s.Combinations, most, s.Runs)
	switch len(open) {
	case 0:
		fmt.Fprintln(w, "No answer to a question that is not named beside a scenario makes a difference to it.")
	default:
		fmt.Fprintf(w, "Too many combinations to look at the other questions under each of them: %s.\n", strings.Join(open, ", "))
	}
	if idle := s.Idle(); len(idle) > 0 {
		fmt.Fprintf(w, "These questions make no difference to any of them: %s.\n", strings.Join(idle, ", "))
	}
}

// writeTable names the scenarios that depend on an answer.
func (s *Survey) writeTable(w io.Writer) {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "scenario\tcombinations\toutcomes\tquestions that make a difference\t")
	same := 0
	for _, v := range s.Scenarios {
		if len(v.Questions) == 0 {
			same++
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t\n", v.Scenario, v.Tried, v.Outcomes, strings.Join(v.Questions, ", "))
	}
	t.Flush()
	fmt.Fprintf(w, "%d other scenarios have one outcome, whatever the answers are.\n", same)
}

// writeChanges says what comes otherwise: by answer, then for answers that have
// an effect of their own together.
func (s *Survey) writeChanges(w io.Writer) {
	effects := s.Effects()
	for _, answer := range slices.Sorted(maps.Keys(effects)) {
		if !slices.ContainsFunc(effects[answer], func(name string) bool { return !strings.HasSuffix(name, "+") }) {
			continue // they stand below
		}
		fmt.Fprintf(w, "\n%s changes %s\n", answer, strings.Join(effects[answer], ", "))
		for _, c := range s.Changes {
			if len(c.Answers) == 1 && c.Answers[0] == answer {
				fmt.Fprintf(w, "    %s:\n", c.Scenario)
				c.writeLines(w)
			}
		}
	}
	for _, c := range s.Changes {
		if len(c.Answers) > 1 {
			fmt.Fprintf(w, "\n%s together change %s\n", strings.Join(c.Answers, " and "), c.Scenario)
			c.writeLines(w)
		}
	}
}

func (c *Change) writeLines(w io.Writer) {
	for _, line := range c.Gone {
		fmt.Fprintf(w, "      - %s\n", line)
	}
	for _, line := range c.New {
		fmt.Fprintf(w, "      + %s\n", line)
	}
}
