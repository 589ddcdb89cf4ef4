package suites

import (
	"context"
	"slices"
	"strings"
	"time"
)

// usage is who served users of the crypto interface during some work: for each
// driver, how far its reference count rose in /proc/crypto.
type usage map[string]Algorithm

// rise compares two readings of /proc/crypto and returns what gained users. An
// algorithm that the kernel made in between, such as a template's instance,
// counts if somebody holds it.
func rise(before, after []Algorithm) usage {
	u := usage{}
	for _, a := range after {
		if a.Driver == "" { // still being made
			continue
		}
		old, ok := byDriver(before, a.Driver)
		switch {
		case ok && a.RefCount > old.RefCount, !ok && a.RefCount > 1:
			u[a.Driver] = a
		}
	}
	return u
}

// of picks those for a generic name, the preferred one first.
func (u usage) of(name string) []Algorithm {
	var out []Algorithm
	for _, a := range u {
		if a.Name == name {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Algorithm) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return strings.Compare(a.Driver, b.Driver)
	})
	return out
}

// drivers lists them by name.
func (u usage) drivers() []string {
	var names []string
	for driver := range u {
		names = append(names, driver)
	}
	slices.Sort(names)
	return names
}

// watchEvery is how often the counts are read while work is going on.
const watchEvery = 50 * time.Millisecond

// watch runs f and returns what gained users meanwhile.
func watch(ctx context.Context, k Kernel, f func()) (usage, error) {
	before, err := k.Algorithms()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan usage)
	go func() {
		seen := usage{}
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- seen
				return
			case <-tick.C:
			}
			if now, err := k.Algorithms(); err == nil {
				for driver, a := range rise(before, now) {
					seen[driver] = a
				}
			}
		}
	}()
	f()
	cancel()
	return <-done, nil
}
