package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/record"
	"github.com/qcemu/qcemu/devices/scenario"
	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/testbench"
)

// registerRecord adds the flag of the commands that can record.
func registerRecord(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "record", "", "keep everything that comes into the model in this `file`, for 'qcemu replay'. "+
		"Suites of several phases add a file for each, with their names before its ending. A recording has what was read from the guest's memory "+
		"and written to registers, keys and data included; only you may read it")
}

// replayFlags are the flags of qcemu replay.
type replayFlags struct {
	out      string
	readings []string
	shrink   bool
	finding  string
	output   string
	print    bool
	span     record.Span
	checker  bool
	oracle   bool
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run a recording again, without QEMU and guest",
		Long: `Run a recording of 'qcemu run --record' or 'qcemu serve --record' again, without
QEMU and guest, and print what it shows: attestation and findings are those of
the recorded run, byte for byte.

  qcemu replay FILE                         what the run showed
  qcemu replay FILE --reading NAME=VALUE    what it would show if the hardware
                                            were otherwise where its guide is silent
  qcemu replay FILE --reading all           the same for each other answer to each
                                            open question, one line for each
  qcemu replay FILE --print                 the register accesses, with names
  qcemu replay FILE --shrink --finding ID -o OUT
                                            the shortest recording that still shows
                                            a finding
  qcemu replay FILE --to N -o OUT           a recording of the first N entries, or
                                            of what today's model makes of all

A recording has what the guest's memory held where the engine read it: keys and
data of the tests, or of whoever used the engine. Think before you pass one on.
--print shows none of it. docs/replay.md has the details.

Exit codes: 0 the replay gave what was recorded, 1 it gave something else, 2 the
file is no recording, or damaged, 3 something broke.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one recording (see 'qcemu replay --help')")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			switch ctx, path := cmd.Context(), args[0]; {
			case f.shrink:
				return f.shrinkTo(ctx, path)
			case f.output != "":
				return f.copy(ctx, path)
			case f.print:
				return readRecording(path, func(r *record.Reader) error { return record.Print(ctx, os.Stdout, r, f.span) })
			case len(f.readings) > 0:
				return f.vary(ctx, path)
			default:
				return f.replay(ctx, path)
			}
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.checker, "checker", true, "look for broken rules as the recorded run did. --checker=false leaves out those that show only over several events")
	fl.BoolVar(&f.oracle, "oracle", true, "compute each operation of the engine again as the recorded run did. --oracle=false saves that")
	fl.StringVar(&f.out, "out", "", "write attestation.json and findings.json into this `folder`, the same as the recorded run has")
	fl.StringArrayVar(&f.readings, "reading", nil, "answer an open question about the hardware otherwise, and show what that changes: `NAME=VALUE` (may be repeated), or all: each other answer by itself")
	fl.BoolVar(&f.shrink, "shrink", false, "make the shortest recording that still shows --finding, and write it to -o")
	fl.StringVar(&f.finding, "finding", "", "with --shrink: the `ID` of the finding, for example BAM-LOCK-003")
	fl.StringVarP(&f.output, "output", "o", "", "the recording to write, a `file`: with --shrink the smaller one, else a copy as far as --to, of what the model does today")
	fl.BoolVar(&f.print, "print", false, "print the recorded accesses instead; keys and data are not shown")
	fl.Uint64Var(&f.span.From, "from", 0, "with --print: begin with this entry")
	fl.Uint64Var(&f.span.To, "to", 0, "with --print or -o: end with this entry")
	return cmd
}

// check refuses flags that do not go together.
func (f *replayFlags) check() error {
	rest := len(f.readings) > 0 || f.out != ""
	less := !f.checker || !f.oracle
	switch {
	case f.shrink && (f.finding == "" || f.output == ""):
		return usagef("--shrink needs --finding ID and -o FILE")
	case !f.shrink && f.finding != "":
		return usagef("--finding goes with --shrink")
	case less && (f.shrink || f.print || f.output != "" || len(f.readings) > 0):
		return usagef("--checker=false and --oracle=false go with a plain replay only")
	case f.shrink && (f.print || rest || f.span.To != 0):
		return usagef("--shrink goes with --finding and -o only")
	case f.print && (rest || f.output != ""):
		return usagef("--print goes with --from and --to only")
	case f.output != "" && rest:
		return usagef("-o goes with --shrink or --to only")
	case !f.print && f.span.From != 0:
		return usagef("--from goes with --print")
	case !f.print && f.output == "" && f.span.To != 0:
		return usagef("--to goes with --print or -o")
	case f.span.To != 0 && f.span.To < f.span.From:
		return usagef("--from %d is behind --to %d", f.span.From, f.span.To)
	}
	return nil
}

// replay runs the recording as it is.
func (f *replayFlags) replay(ctx context.Context, path string) error {
	result, err := replayFile(ctx, path, record.Without{Checker: !f.checker, Oracle: !f.oracle})
	if err != nil {
		return err
	}
	if err := f.show(result); err != nil {
		return err
	}
	switch d := result.Divergence; {
	case d != nil:
		fmt.Printf("Result: DIVERGED: %v\n", d)
		if result.Header.Chip != result.Header.Config.Chip() {
			fmt.Printf("The model of %s has changed since %s recorded this.\n", result.Header.Config.SoC, result.Header.Tool)
		}
		return errFailed
	case !result.Complete:
		fmt.Printf("Result: replayed %d entries; the recording has no end, so the run that it is of died, or the disk was full\n", result.Entries)
	case result.OtherRules && !f.checker:
		fmt.Printf("Result: replayed %d entries, all as recorded; the findings are not, since the checker was left out\n", result.Entries)
	case result.OtherRules:
		fmt.Printf("Result: replayed %d entries, all as recorded; the findings are not, since there are other rules now\n", result.Entries)
	default:
		fmt.Printf("Result: replayed %d entries, all as recorded\n", result.Entries)
	}
	return nil
}

func replayFile(ctx context.Context, path string, w record.Without) (result *record.Result, err error) {
	err = readRecording(path, func(r *record.Reader) (err error) {
		result, err = record.Replay(ctx, r, w)
		return err
	})
	return result, err
}

// show prints the results of a replay, and writes them where the user wants.
func (f *replayFlags) show(result *record.Result) error {
	h := &result.Header
	fmt.Printf("SoC %s, seed %d, recorded %s by %s", h.Config.SoC, int64(h.Config.Seed), h.Recorded.Format("2006-01-02 15:04:05"), h.Tool)
	if h.Origin != "" {
		fmt.Printf(": %s", h.Origin)
	}
	fmt.Println()
	if h.Shrunk != "" {
		fmt.Printf("shrunk to what shows %s\n", h.Shrunk)
	}
	fmt.Println()
	m := result.Model
	run := report.Run{Attestation: m.Counter.Rows(), Findings: m.Findings.Findings(), Antagonists: m.Antagonists(), Integrity: m.Integrity()}
	if m.Oracle != nil {
		n := m.Oracle.Counts()
		run.Oracle = &report.Oracle{Checked: n.Checked, Wrong: n.Wrong, NotJudged: n.NotJudged}
	}
	if err := run.WriteEngineTable(os.Stdout); err != nil {
		return err
	}
	fmt.Println()
	if f.out == "" {
		return nil
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return usagef("--out: %w", err)
	}
	return report.WriteEngine(f.out, run.Attestation, run.Findings)
}

// varyAll runs the recording under each other answer to each open question.
func (f *replayFlags) varyAll(ctx context.Context, path string) error {
	before, err := replayFile(ctx, path, record.Without{Oracle: true})
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	same := 0
	step := progress.New(os.Stderr).Begin("replaying %s under each reading", path)
	answers := scenario.Answers()
	for i, answer := range answers {
		step.Update(int64(i), int64(len(answers)), "answers")
		choice := reading.Choice{}
		if err := choice.Parse(answer); err != nil {
			return err
		}
		var after *record.Result
		err := readRecording(path, func(r *record.Reader) (err error) {
			after, err = record.Variant(ctx, r, choice)
			return err
		})
		if err != nil {
			step.End(err)
			return err
		}
		what := changes(before.Model.Findings.Findings(), after.Model.Findings.Findings())
		if after.Divergence == nil && what == nothingChanges {
			same++
			continue
		}
		fmt.Fprintf(t, "%s\t%s\n", answer, what)
	}
	step.End(nil)
	fmt.Fprintf(t, "%d other answers\tthe model does the same to the last access\n", same)
	return t.Flush()
}

// vary runs the recording with other answers to open questions.
func (f *replayFlags) vary(ctx context.Context, path string) error {
	if slices.Equal(f.readings, []string{allReadings}) {
		if f.out != "" {
			return usagef("--out does not go with --reading all")
		}
		return f.varyAll(ctx, path)
	}
	choice, err := parseReadings(f.readings)
	if err != nil {
		return err
	}
	if err := (&model.Config{SoC: cryptoblock.DefaultSoC, Readings: choice}).Validate(); err != nil {
		return usagef("--reading: %w", err)
	}
	before, err := replayFile(ctx, path, record.Without{Oracle: true})
	if err != nil {
		return err
	}
	var after *record.Result
	err = readRecording(path, func(r *record.Reader) (err error) {
		after, err = record.Variant(ctx, r, choice)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.show(after); err != nil {
		return err
	}
	if d := after.Divergence; d != nil {
		fmt.Printf("The first difference: %v\n", d)
	}
	fmt.Printf("With %s: %s\n", strings.Join(f.readings, ", "), changes(before.Model.Findings.Findings(), after.Model.Findings.Findings()))
	return nil
}

// nothingChanges is what changes says of equal findings.
const nothingChanges = "the findings are the same"

// changes says how the findings differ.
func changes(before, after []finding.Finding) string {
	counts := map[string][2]uint64{}
	var ids []string
	for i, list := range [][]finding.Finding{before, after} {
		for _, f := range list {
			c, ok := counts[f.ID]
			if !ok {
				ids = append(ids, f.ID)
			}
			c[i] = f.Count
			counts[f.ID] = c
		}
	}
	var words []string
	for _, id := range ids {
		switch c := counts[id]; {
		case c[0] == 0:
			words = append(words, fmt.Sprintf("%s is new (%d times)", id, c[1]))
		case c[1] == 0:
			words = append(words, fmt.Sprintf("%s is gone (was %d times)", id, c[0]))
		case c[0] != c[1]:
			words = append(words, fmt.Sprintf("%s %d times instead of %d", id, c[1], c[0]))
		}
	}
	return cmp.Or(strings.Join(words, "; "), nothingChanges)
}

// copy writes what the model does today with a recording, or its beginning.
func (f *replayFlags) copy(ctx context.Context, path string) error {
	if same(path, f.output) {
		return usagef("-o %s: this is the recording itself", f.output)
	}
	return readRecording(path, func(r *record.Reader) error {
		n, err := record.Copy(ctx, r, f.span.To, f.output)
		if err == nil {
			fmt.Printf("%s: %d entries\n", f.output, n)
		}
		return err
	})
}

// shrinkTo makes a recording smaller.
func (f *replayFlags) shrinkTo(ctx context.Context, path string) error {
	if same(path, f.output) {
		return usagef("-o %s: this is the recording itself", f.output)
	}
	step := progress.New(os.Stderr).Begin("shrinking %s to %s", path, f.finding)
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	done, err := record.Shrink(ctx, open, f.finding, f.output, func(s record.Shrinking) {
		step.Note("%d of %d entries left, %d replays", s.Left, s.Recorded, s.Tries)
	})
	step.End(err)
	var missing *record.NotFoundError
	var diverged *record.Divergence
	switch {
	case errors.As(err, &missing):
		return usagef("%s: %w", path, err)
	case errors.As(err, &diverged):
		fmt.Printf("Result: DIVERGED: %v\n", diverged)
		return errFailed
	case err != nil:
		return usageIfDamaged(path, err)
	}
	fmt.Printf("%s: %d of %d entries, found with %d replays\n", f.output, done.Left, done.Recorded, done.Tries)
	return nil
}

// same reports whether two paths are of one file.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// readRecording opens a recording. What is wrong with the file is the user's to
// know.
func readRecording(path string, do func(*record.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return &testbench.UsageError{Err: err}
	}
	defer file.Close()
	r, err := record.NewReader(file)
	if err == nil {
		err = do(r)
	}
	return usageIfDamaged(path, err)
}

func usageIfDamaged(path string, err error) error {
	var damaged *record.DamagedError
	var missing *os.PathError
	switch {
	case errors.As(err, &damaged), errors.Is(err, record.ErrTooLong):
		return usagef("%s: %w", path, err)
	case errors.As(err, &missing):
		return &testbench.UsageError{Err: err}
	}
	return err
}
