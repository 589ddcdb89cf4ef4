// Command qcemu is a test bench for the Linux drivers of Qualcomm's BAM DMA
// engine and QCE crypto engine: it models both outside a stock QEMU and runs
// an arm64 kernel on the model.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/testbench"
)

// Exit codes.
const (
	exitPass  = 0
	exitFail  = 1 // a test failed
	exitUsage = 2 // the user asked for something that does not exist or makes no sense
	exitInfra = 3 // something the bench needs is missing or broke
)

// errFailed ends the program with exitFail; what failed has been printed.
var errFailed = errors.New("a test failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the work in order, a second one at once.
	context.AfterFunc(ctx, stop)
	root := newRoot()
	root.SetArgs(asVhostUser(os.Args))
	os.Exit(exitCode(root.ExecuteContext(ctx)))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "qcemu",
		Short: "A test bench for the Linux drivers of Qualcomm's BAM DMA and QCE crypto engines",
		Long: `qcemu models Qualcomm's crypto block, the BAM DMA engine and the QCE crypto
engine behind it, outside a stock QEMU, and runs an arm64 Linux kernel on it:
the drivers probe, and the kernel's self-tests, tcrypt, kcapi and cryptsetup run
on the model, with proof of what the engine did.

Exit codes: 0 pass, 1 a test failed, 2 usage, 3 something that the bench needs
is missing or broke.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &testbench.UsageError{Err: fmt.Errorf("%w (see '%s --help')", err, cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newServe(), newVhostUser(), newReplay(), newScenarios(), newBench(), newShell(), newGuest(), newQEMUArgs())
	return root
}

// noArgs refuses arguments that a command has no use for, unknown subcommands
// among them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	what := "argument"
	if cmd.HasSubCommands() {
		what = "command"
	}
	return &testbench.UsageError{Err: fmt.Errorf("unknown %s %q (see '%s --help')", what, args[0], cmd.CommandPath())}
}

// exitCode prints the error, if it has not been told yet, and says how to end.
func exitCode(err error) int {
	var usage *testbench.UsageError
	switch {
	case err == nil:
		return exitPass
	case errors.Is(err, errFailed):
		return exitFail
	case errors.Is(err, context.Canceled):
		tell(errors.Join(append([]error{errors.New("interrupted")}, apart(err)...)...))
		return exitInfra
	}
	tell(err)
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitInfra
}

// tell prints an error on one line.
func tell(err error) {
	fmt.Fprintln(os.Stderr, "qcemu: "+strings.ReplaceAll(err.Error(), "\n", "; "))
}

// apart lists what else went wrong when the work was interrupted.
func apart(err error) (others []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			others = append(others, apart(e)...)
		}
		return others
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return []error{err}
}
