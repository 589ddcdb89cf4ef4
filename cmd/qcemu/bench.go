package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/bench"
)

func newBench() *cobra.Command {
	var (
		guest   guestFlags
		compare bool
		asJSON  bool
		out     string
		beside  string
	)
	cmd := &cobra.Command{
		Use:   "bench [SECTION...]",
		Short: "Measure speed and memory, each figure beside one from the same run",
		Long: `Measure speed and memory. Each figure stands beside another one that was taken
by turns with it in the same run, or beside a limit, with their ratio, the target
and whether it is met. A missed target is no failure: the command reports.

Sections, all unless some are named:
` + bench.Help() + `
guest, request and serve boot a guest, which is fetched and built first if it is
missing; socket and core need nothing and take seconds. On a machine with other
work the ratios say more than the times: the load is printed. docs/benchmarks.md
explains the lines.

With --compare it measures something else: the three ways to an engine that a
guest has, by turns in one guest, as the suite virtio-crypto does. They are the
engine's own driver (BAM and QCE by vfio-user), virtio-crypto on the same engine
(vhost-user), and virtio-crypto on QEMU's built-in back-end.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := guest.config()
			if err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			if compare {
				return compareWays(cmd.Context(), bench.Config{Guest: c, Out: out}, args, asJSON)
			}
			report, err := bench.Run(cmd.Context(), bench.Config{Sections: args, Guest: c, Program: program, Beside: beside, Out: out, Progress: c.Progress})
			if err != nil {
				return err
			}
			if asJSON {
				return report.WriteJSON(os.Stdout)
			}
			fmt.Println()
			return report.WriteTable(os.Stdout)
		},
	}
	guest.register(cmd)
	cmd.Flags().BoolVar(&compare, "compare", false, "compare the engine's own driver, virtio-crypto on the engine, and virtio-crypto on QEMU's built-in back-end")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the figures as JSON")
	cmd.Flags().StringVar(&beside, "beside", "", "`socket` of another vfio-user server, with one BAR, to read beside ours in the section guest (default: a naive server is made)")
	cmd.Flags().StringVar(&out, "out", "", "`folder` to keep the guests' consoles in (default: they are not kept)")
	return cmd
}

func compareWays(ctx context.Context, c bench.Config, sections []string, asJSON bool) error {
	if len(sections) > 0 {
		return usagef("--compare measures one thing only: name no section")
	}
	r, err := bench.Compare(ctx, c, 1)
	if err != nil {
		return err
	}
	if asJSON {
		return r.WriteJSON(os.Stdout)
	}
	fmt.Println()
	return r.WriteTable(os.Stdout)
}
