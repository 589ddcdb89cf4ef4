package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/testbench"
)

func newRun() *cobra.Command {
	var (
		guest    guestFlags
		hard     modelFlags
		names    []string
		phases   []string
		seed     int64
		require  []string
		out      string
		patience time.Duration
		rec      string
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Boot the guest on the model, run the suites, report",
		Long: `Boot an arm64 kernel with the drivers under test on the model, run the suites,
and write the results. What is missing is fetched and built first, and kept.

` + suiteHelp() + `
Written into the folder of --out: report.json, report.ktap, report.xml (JUnit),
attestation.json (what the engine did), findings.json (rules that the driver
broke), console.log, and shared/ with what the suites left.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Equal(hard.readings, []string{allReadings}) {
				fmt.Fprintln(os.Stderr, "No guest is booted for this: it is what 'qcemu scenarios --reading all' does.")
				all, err := pickScenarios(nil, nil)
				if err != nil {
					return err
				}
				return survey(cmd.Context(), os.Stdout, all, false)
			}
			c, err := guest.config()
			if err != nil {
				return err
			}
			run := testbench.Config{Guest: c, Suites: names, Phases: phases, Seed: seed, Out: out, Record: rec}
			if !cmd.Flags().Changed("seed") {
				run.Seed = rand.Int64()
			}
			if patience <= 0 {
				return usagef("--patience %v: want a time, for example 5m", patience)
			}
			run.Patience = patience
			if err := hard.apply(&run.Model); err != nil {
				return err
			}
			for _, text := range require {
				q, err := attest.ParseRequirement(text)
				if err != nil {
					return usagef("--require: %w", err)
				}
				run.Require = append(run.Require, q)
			}
			result, err := testbench.Run(cmd.Context(), run)
			if result != nil {
				fmt.Println()
				if err := result.WriteTable(os.Stdout, engineName); err != nil {
					return err
				}
				fmt.Printf("\nReports: %s\n", out)
			}
			switch {
			case err != nil:
				return err
			case result.Failed():
				fmt.Println("Result: FAILED")
				return errFailed
			}
			fmt.Println("Result: passed")
			return nil
		},
	}
	guest.register(cmd)
	hard.register(cmd)
	fl := cmd.Flags()
	fl.StringSliceVar(&names, "suite", nil, "suites to run, separated by commas (default: all)")
	fl.StringSliceVar(&phases, "phase", nil, "of suites that boot the guest for each of several phases, these only (default: all)")
	fl.Int64Var(&seed, "seed", 0, "for whatever is drawn by chance (default: a new one)")
	fl.StringArrayVar(&require, "require", nil, "fail unless the engine did this much: `ALG=N[,locked][,commands]`, e.g. xts-aes=100,locked (may be repeated)")
	fl.StringVar(&out, "out", "out", "`folder` for the reports")
	fl.DurationVar(&patience, "patience", testbench.DefaultPatience, "give a guest up of which nothing is heard for this long")
	registerRecord(cmd, &rec)
	return cmd
}

func suiteHelp() string {
	var b strings.Builder
	b.WriteString("Suites:\n")
	for _, s := range suites.All() {
		fmt.Fprintf(&b, "  %-12s %s\n", s.Name(), s.About())
	}
	return b.String()
}

// engineName maps a kernel driver's name to the engine's name of the algorithm.
func engineName(driver string) string {
	a, ok := suites.AlgorithmByDriver(driver)
	if !ok {
		return ""
	}
	return a.Engine()
}
