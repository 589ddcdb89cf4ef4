package suites

import (
	"bytes"
	"fmt"
	"path"
	"slices"
)

// The driver under test, as the kernel names its parts.
const (
	qceModule    = "qcrypto"
	qceSuffix    = "-qce"
	bamDriver    = "bam-dma-engine"
	qceDriver    = "qcrypto"
	bamInterrupt = "bam_dma"
)

// offeredAlgorithms returns the driver names of the algorithms that the driver
// under test is built with: those it names in its module, or, for a driver built
// into the kernel, those of every version. Versions alone do not tell: stable
// trees have dropped algorithms by backport.
func offeredAlgorithms(env *Env) []string {
	if dir, ok := env.Job.ModuleDirs[env.Job.Driver]; ok {
		if data, err := env.Kernel.ReadFile(path.Join(dir, qceModule+".ko")); err == nil {
			if names := algorithmNames(data); len(names) > 0 {
				return names
			}
		}
	}
	var names []string
	for _, a := range RequiredAlgorithms() {
		names = append(names, a.Driver)
	}
	return names
}

// algorithmNames finds the C strings in a module that are driver names of
// algorithms we know of.
func algorithmNames(module []byte) []string {
	var names []string
	for s := range bytes.SplitSeq(module, []byte{0}) {
		if !bytes.HasSuffix(s, []byte(qceSuffix)) {
			continue
		}
		if _, ok := AlgorithmByDriver(string(s)); ok && !slices.Contains(names, string(s)) {
			names = append(names, string(s))
		}
	}
	slices.Sort(names)
	return names
}

// larval is the type that /proc/crypto shows while an algorithm's self-test
// runs.
const larval = "larval"

// engineState is what /proc/crypto says of one of the engine's algorithms.
type engineState struct {
	present bool
	testing bool // its self-test has not come to an end
	passed  bool
}

// engineStates reads the state of each algorithm by driver name.
func engineStates(k Kernel) (map[string]engineState, error) {
	list, err := k.Algorithms()
	if err != nil {
		return nil, fmt.Errorf("/proc/crypto: %w", err)
	}
	states := map[string]engineState{}
	for _, a := range list {
		if _, ok := AlgorithmByDriver(a.Driver); !ok {
			continue
		}
		s := states[a.Driver]
		if a.Type == larval {
			s.testing = true
		} else {
			s.present = true
			s.passed = a.Selftest == "passed"
		}
		states[a.Driver] = s
	}
	return states, nil
}
