package suites

import (
	"context"
	"slices"
	"time"
)

// Boot names the way in which the kernel has to be booted for a suite. The host
// groups the suites of a run by it: one boot for each.
type Boot string

const (
	// BootSelftest runs every self-test of the kernel as an algorithm is
	// registered. An algorithm that fails its test cannot be used afterwards.
	BootSelftest Boot = "selftest"
	// BootNoTests has the self-tests off, so that each algorithm can be used.
	BootNoTests Boot = "notests"
	// BootVirtio is BootSelftest in a machine that has virtio-crypto devices too.
	BootVirtio Boot = "virtio"
	// BootPhases is BootNoTests once more for each phase of each suite, by the
	// host's plan (job.Phase): with another behaviour of the hardware, or after
	// a driver has hung.
	BootPhases Boot = "phases"
)

// KernelArgs returns what the kernel command line needs for the boot.
func (b Boot) KernelArgs() []string {
	if b != BootSelftest && b != BootVirtio {
		return []string{"cryptomgr.notests=1"}
	}
	return nil
}

// Suite is a group of cases under one name.
type Suite interface {
	// Name is what the user types and what stands in the report.
	Name() string
	// About says in one sentence what the suite shows.
	About() string
	// Boot says how the kernel must have been booted.
	Boot() Boot
	// Run runs the cases and reports each one through env. It returns an error
	// only if it could not do its work; a failing case is not an error. When
	// ctx ends, it returns soon.
	Run(ctx context.Context, env *Env) error
}

// all lists the suites in the order in which they run. A new suite is one more
// line here.
var all = []Suite{
	probe{wait: time.Minute},
	selftest{},
	tcrypt{},
	kcapi{},
	cryptsetup{},
	virtio{},
	contention{},
	faults{},
}

// aside lists suites that test nothing: they run where they are named.
var aside = []Suite{
	measure{},
	virtioEndure{},
	virtioSpeed{},
	virtioTogether{},
}

// All returns the suites in the order in which they run, without those that run
// only where they are named.
func All() []Suite { return append([]Suite(nil), all...) }

// ByName finds a suite.
func ByName(name string) (Suite, bool) {
	for _, s := range slices.Concat(all, aside) {
		if s.Name() == name {
			return s, true
		}
	}
	return nil, false
}
