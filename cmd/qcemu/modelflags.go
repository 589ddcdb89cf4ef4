package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
)

// modelFlags are the flags that say how the modelled hardware behaves, and who
// else uses it.
type modelFlags struct {
	antagonist, modem string
	timing            string
	readings          []string

	checker, inFlight, oracle bool
}

// oracleLimit is the longest operation that is computed again, in bytes.
const oracleLimit = 1 << 20

func (f *modelFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.antagonist, "antagonist", "off", "when another execution environment uses the engine too, a `POLICY`: "+strings.ReplaceAll(antagonist.PolicyHelp, "\n", " "))
	fl.StringVar(&f.modem, "modem", "off", "the `POLICY` of a second one, of the modem's kind")
	fl.StringVar(&f.timing, "timing", cryptoblock.Timings()[0], "how long things take in model time: "+strings.Join(cryptoblock.Timings(), ", "))
	fl.BoolVar(&f.checker, "checker", true, "look for broken rules that show only over several events (docs/findings.md). --checker=false leaves those that one access shows")
	fl.BoolVar(&f.inFlight, "in-flight", true, "read descriptors and command elements a second time when they are done, to see whether the guest has changed them meanwhile. --in-flight=false saves that")
	fl.BoolVar(&f.oracle, "oracle", true, "compute each operation of the engine again with Go's library, to tell an error of the model from one of the driver. --oracle=false saves that")
	fl.StringArrayVar(&f.readings, "reading", nil, "answer an open question about the hardware: `NAME=VALUE` (may be repeated; see docs/registers.md). 'qcemu scenarios --reading all' tells which answers matter")
}

// apply puts the flags into a model's configuration.
func (f *modelFlags) apply(c *model.Config) (err error) {
	if c.Readings, err = parseReadings(f.readings); err != nil {
		return err
	}
	if c.Timing, err = cryptoblock.TimingByName(f.timing); err != nil {
		return usagef("--timing: %w", err)
	}
	for _, p := range []struct{ flag, text string }{{"--antagonist", f.antagonist}, {"--modem", f.modem}} {
		policy, err := antagonist.ParsePolicy(p.text)
		if err != nil {
			return usagef("%s: %w", p.flag, err)
		}
		c.Antagonists = append(c.Antagonists, policy)
	}
	if f.antagonist == "off" && f.modem == "off" {
		c.Antagonists = nil
	}
	c.Integrity = c.Antagonists != nil
	c.Check = &model.Check{Off: !f.checker}
	c.InFlight = f.inFlight
	if f.oracle {
		c.Oracle = oracleLimit
	}
	return nil
}
