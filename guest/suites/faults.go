package suites

import (
	"context"

	"github.com/qcemu/qcemu/guest/job"
)

// faults keeps the engine busy while the hardware misbehaves in one way at a
// time. What the driver is expected to do then is part of the host's plan.
type faults struct{}

func (faults) Name() string { return "faults" }
func (faults) About() string {
	return "what the drivers do when interrupts get lost, the bus fails or the engine stalls"
}
func (faults) Boot() Boot { return BootPhases }

// Run runs the suite.
func (faults) Run(ctx context.Context, env *Env) error {
	return runPhase(ctx, env, job.Phase{Requests: 200, Threads: 2})
}
