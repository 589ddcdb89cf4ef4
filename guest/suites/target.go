package suites

import (
	"fmt"
	"slices"
)

// target is what a suite aims at: nil stands for the engine's algorithms that
// the running kernel has or should have. A trial without an engine puts other
// drivers in.
type target []EngineAlgorithm

// find returns the algorithms to try and what the kernel has registered.
func (t target) find(k Kernel) ([]EngineAlgorithm, []Algorithm, error) {
	registered, err := k.Algorithms()
	if err != nil {
		return nil, nil, fmt.Errorf("/proc/crypto: %w", err)
	}
	if t != nil {
		return t, registered, nil
	}
	return AlgorithmsToTest(registered), registered, nil
}

// byDriver finds a registered algorithm by its driver name.
func byDriver(registered []Algorithm, driver string) (Algorithm, bool) {
	i := slices.IndexFunc(registered, func(a Algorithm) bool { return a.Driver == driver })
	if i < 0 {
		return Algorithm{}, false
	}
	return registered[i], true
}

// preferred returns the algorithm that the kernel takes when it is asked for
// the generic name: the registered one of highest priority.
func preferred(registered []Algorithm, name string) (Algorithm, bool) {
	var best Algorithm
	found := false
	for _, a := range registered {
		if a.Name == name && !a.Internal && (!found || a.Priority > best.Priority) {
			best, found = a, true
		}
	}
	return best, found
}

// notPreferred says why asking for the generic name does not lead to the
// driver, or nothing if it does.
func notPreferred(registered []Algorithm, a EngineAlgorithm) string {
	best, ok := preferred(registered, a.Name)
	if !ok || best.Driver == a.Driver {
		return ""
	}
	return fmt.Sprintf("asked for %s, this kernel prefers %s (priority %d) to %s", a.Name, best.Driver, best.Priority, a.Driver)
}
