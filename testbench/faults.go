package testbench

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// noTimeout is why drivers hang.
const noTimeout = "the drivers have no timeout: a request whose end is not announced is waited for, and with it all others, for ever (datasheet §23)"

// noErrorPath is why a bus error ends in a hang.
const noErrorPath = "bam_dma acknowledges an error and does nothing else, and the drivers have no timeout (datasheet §10, §23)"

// fault is a way in which the hardware misbehaves.
type fault struct {
	name     string
	hardware string
	faults   cryptoblock.Faults
	befell   func(cryptoblock.FaultCounts) uint64 // nil: it is no event
	expected job.Expected
	only     string // driver that it can befall; "": each
}

// allFaults is the plan of the suite: what goes wrong, and what the drivers are
// expected to do then. Where nothing is expected they have to get along.
var allFaults = []fault{
	{name: "lost-interrupt", hardware: "1 of 50 interrupts is lost",
		faults: cryptoblock.Faults{LostInterrupt: 0.02},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Lost }, expected: job.Expected{Hung: noTimeout}},
	{name: "late-interrupt", hardware: "1 of 5 interrupts comes 1 ms late",
		faults: cryptoblock.Faults{LateInterrupt: 0.2},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Late }},
	{name: "duplicate-interrupt", hardware: "1 of 5 interrupts comes twice",
		faults: cryptoblock.Faults{DuplicateInterrupt: 0.2},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Duplicate }},
	{name: "spurious-interrupt", hardware: "an interrupt without a cause at 1 of 50 accesses",
		faults: cryptoblock.Faults{SpuriousInterrupt: 0.02},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Spurious }},
	{name: "descriptor-error", hardware: "bus error at 1 of 200 descriptors",
		faults: cryptoblock.Faults{DescriptorError: 0.005},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Descriptor }, expected: job.Expected{Hung: noErrorPath}},
	{name: "element-error", hardware: "bus error at 1 of 2000 command elements", only: job.Series,
		faults: cryptoblock.Faults{ElementError: 0.0005},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Element }, expected: job.Expected{Hung: noErrorPath}},
	{name: "data-error", hardware: "bus error at 1 of 150 data transfers",
		faults: cryptoblock.Faults{DataError: 1.0 / 150},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Data }, expected: job.Expected{Hung: noErrorPath}},
	{name: "stalled-engine", hardware: "the engine stands still for 10 ms, 1 time in 20",
		faults: cryptoblock.Faults{StalledEngine: 0.05},
		befell: func(c cryptoblock.FaultCounts) uint64 { return c.Stalls }},
	{name: "small-buffer", hardware: "the engine holds no more than 64 bytes",
		faults: cryptoblock.Faults{Buffer: 64}},
}

// faultsPlan makes the phases of the suite.
func faultsPlan(r *run) ([]phasePlan, error) {
	var plan []phasePlan
	for _, f := range allFaults {
		if f.only != "" && f.only != r.Guest.Driver {
			continue
		}
		p := phasePlan{name: f.name, hardware: f.hardware, expected: "all requests right",
			guest: job.Phase{Requests: 400, Threads: 2, Expected: f.expected}}
		if f.expected.Hung != "" {
			p.guest.Requests = 4000 // until it befalls: no more than a few are made
			p.expected = "a hang: " + f.expected.Hung
		}
		set := f.faults
		set.Seed = r.Model.Seed
		p.model.Faults, p.model.Timing = &set, r.Model.Timing
		p.judge = f.judge
		plan = append(plan, p)
	}
	return plan, nil
}

// judge says whether the fault befell at all. What the driver made of it, the
// guest has judged.
func (f *fault) judge(p *phaseResult) {
	if f.befell == nil {
		return
	}
	n := f.befell(p.faults)
	p.phase.Faults = map[string]uint64{f.name: n}
	c := report.Case{Name: "befell", Status: report.Pass, Metrics: map[string]float64{"times": float64(n)}}
	if n == 0 {
		c.Status, c.Detail = report.Fail, fmt.Sprintf("in no request: %s", f.hardware)
	}
	p.add(c)
}
