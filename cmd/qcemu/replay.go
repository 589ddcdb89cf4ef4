package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/record"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/testbench"
)

// registerRecord adds the flag of the commands that can record.
func registerRecord(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "record", "", "keep everything that comes into the model in this `file`, for 'qcemu replay'. "+
		"It has what the engine's pipes read from the guest's memory, keys and data included, and only you may read it")
}

// replayFlags are the flags of qcemu replay.
type replayFlags struct {
	out string
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run a recording again, without QEMU and guest",
		Long: `Run a recording of 'qcemu run --record' or 'qcemu serve --record' again, without
QEMU and guest, and print what it shows: attestation and findings are those of
the recorded run, byte for byte.

Exit codes: 0 the replay gave what was recorded, 1 it did not, 2 the file is no
recording or damaged, 3 something broke.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("which recording? (see 'qcemu replay --help')")
			}
			return f.replay(cmd.Context(), args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.out, "out", "", "write attestation.json and findings.json into this `folder`")
	return cmd
}

func (f *replayFlags) replay(ctx context.Context, path string) error {
	var result *record.Result
	err := readRecording(path, func(r *record.Reader) (err error) {
		result, err = record.Replay(ctx, r)
		return err
	})
	if err != nil {
		return err
	}
	rows, findings := result.Model.Counter.Rows(), result.Model.Findings.Findings()
	if err := report.WriteEngineTable(os.Stdout, rows, findings); err != nil {
		return err
	}
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o755); err != nil {
			return err
		}
		if err := report.WriteEngine(f.out, rows, findings); err != nil {
			return err
		}
	}
	fmt.Println()
	switch d := result.Divergence; {
	case d != nil:
		fmt.Printf("Result: DIVERGED: %v\n", d)
		return errFailed
	case !result.Complete:
		fmt.Printf("Result: replayed; the recorded run was cut off in entry %d\n", result.Entries)
	default:
		fmt.Printf("Result: replayed, %d entries, the same as recorded\n", result.Entries)
	}
	return nil
}

// readRecording opens a recording. What is wrong with the file is the user's to know.
func readRecording(path string, do func(*record.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return &testbench.UsageError{Err: err}
	}
	defer file.Close()
	r, err := record.NewReader(io.Reader(file))
	if err == nil {
		err = do(r)
	}
	var damaged *record.DamagedError
	if errors.As(err, &damaged) {
		return usagef("%s: %w", path, err)
	}
	return err
}
