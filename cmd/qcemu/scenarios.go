package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/scenario"
	"github.com/qcemu/qcemu/progress"
)

// allReadings is the value of --reading that stands for every answer to every
// open question.
const allReadings = "all"

func newScenarios() *cobra.Command {
	var (
		readings []string
		files    []string
		list     bool
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "scenarios [NAME...]",
		Short: "Play scripts of descriptors and register accesses against the model",
		Long: `Play scenarios: short scripts of what a driver does with registers and
descriptors, without a driver, and without a guest. Those that come with qcemu
show the mistakes that its rules find, each beside the same thing done right
(docs/locking.md); the names pick some of them. Needs nothing but this program.

  qcemu scenarios                              all of them, and what each one breaks
  qcemu scenarios unlock-while-busy            one, with its findings in full
  qcemu scenarios --file mine.txt              those of a file ('go doc
                                               ./devices/scenario' has the format)
  qcemu scenarios --reading NAME=VALUE         on hardware that is otherwise where its
                                               guide is silent (docs/registers.md)
  qcemu scenarios --reading all                under every combination of answers to
                                               the open questions: which of them change
                                               an outcome, and how

Exit codes: 0 each scenario came out as its script says (with --reading, whatever
came out), 1 one did not, 2 usage.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := pickScenarios(files, args)
			switch {
			case err != nil:
				return err
			case list:
				return listScenarios(os.Stdout, chosen)
			case slices.Contains(readings, allReadings):
				if len(readings) > 1 {
					return usagef("--reading all: no other answer goes with it")
				}
				return survey(cmd.Context(), os.Stdout, chosen, asJSON)
			}
			return playScenarios(os.Stdout, chosen, readings, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&readings, "reading", nil, "answer an open question about the hardware: `NAME=VALUE` (may be repeated), or all: try them all")
	fl.StringArrayVar(&files, "file", nil, "play the scenarios of this `file` instead (may be repeated)")
	fl.BoolVar(&list, "list", false, "list the scenarios and do not play them")
	fl.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// pickScenarios returns the scenarios of some files, or those that come with the
// program, by name if names are given.
func pickScenarios(files, names []string) ([]*scenario.Scenario, error) {
	var list []*scenario.Scenario
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, usagef("--file: %w", err)
		}
		more, err := scenario.Parse(name, string(text))
		if err != nil {
			return nil, usagef("--file: %w", err)
		}
		list = append(list, more...)
	}
	if len(files) == 0 {
		var err error
		if list, err = scenario.All(); err != nil {
			return nil, err
		}
	}
	if len(names) == 0 {
		return list, nil
	}
	var chosen []*scenario.Scenario
	for _, name := range names {
		i := slices.IndexFunc(list, func(s *scenario.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, usagef("no scenario %q (see 'qcemu scenarios --list')", name)
		}
		chosen = append(chosen, list[i])
	}
	return chosen, nil
}

func listScenarios(w io.Writer, list []*scenario.Scenario) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\n", s.Name, s.Text)
	}
	return t.Flush()
}

// survey plays scenarios under every combination of answers to open questions.
func survey(ctx context.Context, w io.Writer, list []*scenario.Scenario, asJSON bool) error {
	step := progress.New(os.Stderr).Begin("playing %d scenarios under all readings", len(list))
	s, err := scenario.Readings(ctx, list, func(done, total int) { step.Update(int64(done), int64(total), "scenarios") })
	step.End(err)
	switch {
	case err != nil:
		return err
	case asJSON:
		return writeJSON(w, s)
	}
	return s.WriteText(w)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// played is what came of a scenario.
type played struct {
	Scenario string            `json:"scenario"`
	Text     string            `json:"text"`
	Findings []finding.Finding `json:"findings"`
	Failures []string          `json:"failures"` // what is not as the script says
	Outcome  []string          `json:"outcome"`
}

// playScenarios plays each once. A script says what the default answers lead to:
// with others, what comes out is no failure.
func playScenarios(w io.Writer, list []*scenario.Scenario, readings []string, asJSON bool) error {
	choice, err := parseReadings(readings)
	if err != nil {
		return err
	}
	if err := reading.Check(choice, bam.ReadingTable(), qce.Readings); err != nil {
		return usagef("--reading: %w", err)
	}
	var all []played
	failed := false
	for _, s := range list {
		r, err := s.Run(choice)
		if err != nil {
			return usagef("%w", err)
		}
		failed = failed || len(r.Failures) > 0
		all = append(all, played{s.Name, s.Text, r.Findings, r.Failures, r.Outcome})
	}
	switch {
	case asJSON:
		err = writeJSON(w, all)
	case len(all) == 1:
		all[0].write(w)
	default:
		err = writePlayed(w, all)
	}
	if err != nil {
		return err
	}
	if failed && len(choice) == 0 {
		return errFailed
	}
	return nil
}

// writePlayed writes a line for each scenario.
func writePlayed(w io.Writer, all []played) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "scenario\tfinds\t")
	for _, p := range all {
		ids := []string{"-"}
		if len(p.Findings) > 0 {
			ids = nil
		}
		for _, f := range p.Findings {
			ids = append(ids, f.ID)
		}
		fmt.Fprintf(t, "%s\t%s\t\n", p.Scenario, strings.Join(ids, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range all {
		for _, f := range p.Failures {
			fmt.Fprintf(w, "not as the script says: %s\n", f)
		}
	}
	return nil
}

// shownBefore is how many events before a finding are shown.
const shownBefore = 8

// write writes all there is to know of one scenario.
func (p *played) write(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", p.Scenario, p.Text)
	for _, f := range p.Findings {
		fmt.Fprintf(w, "\n%s  %s  %s\n", f.ID, f.Severity, f.Title)
		if f.Driver != "" {
			fmt.Fprintf(w, "  most likely: %s (%s)\n", f.Driver, f.Source)
		}
		fmt.Fprintf(w, "  %s\n", f.First)
		if n := len(f.History); n > 0 {
			fmt.Fprintln(w, "  before it:")
			for _, line := range f.History[max(0, n-shownBefore):] {
				fmt.Fprintf(w, "    %s\n", line)
			}
		}
	}
	fmt.Fprintln(w, "\nIn the end:")
	for _, line := range p.Outcome {
		fmt.Fprintf(w, "  %s\n", line)
	}
	for _, f := range p.Failures {
		fmt.Fprintf(w, "not as the script says: %s\n", f)
	}
}
