package suites

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qcemu/qcemu/report"
)

// selftest reads the results of the kernel's own self-tests, which run as the
// driver registers its algorithms.
type selftest struct {
	// write writes into a file of sysfs; nil: for real.
	write func(name, value string) error
}

func (selftest) Name() string { return "selftest" }
func (selftest) About() string {
	return "the kernel's own self-tests, in full, of each algorithm of the engine"
}
func (selftest) Boot() Boot { return BootSelftest }

// pollEvery is how often /proc/crypto is read while the tests run.
const pollEvery = 250 * time.Millisecond

// managerParams is where the kernel shows how it was told to test,
// fuzzIterations how many tests with random input it makes of each kind.
const (
	managerParams  = "/sys/module/cryptomgr/parameters/"
	fuzzIterations = managerParams + "fuzz_iterations"
)

func (s selftest) Run(ctx context.Context, env *Env) error {
	if reason := testsOff(env.Kernel); reason != "" {
		env.Report(report.Case{Name: "self-tests", Status: report.Skip, Reason: reason})
		return nil
	}
	if _, err := env.Kernel.ReadFile(fuzzIterations); err != nil {
		env.Report(report.Case{Name: "full", Status: report.Skip,
			Reason: "the kernel has the short tests only: CONFIG_CRYPTO_MANAGER_EXTRA_TESTS is not set (CONFIG_CRYPTO_SELFTESTS_FULL on newer kernels)"})
	}
	version, err := ParseVersion(env.Kernel.Release())
	if err != nil {
		return err
	}
	offered := offeredAlgorithms(env)
	states, waitErr := settle(ctx, env, offered)
	lines, err := env.Kernel.LogSince(0)
	if err != nil {
		return err
	}
	note := ""
	for try := 0; try < maxTries && waitErr == nil && len(gaveUp(states, lines)) > 0; try++ {
		note = fmt.Sprintf("tested %d times, with fewer random tests each time: before, the kernel had given up to wait for %s", try+2, strings.Join(gaveUp(states, lines), ", "))
		if states, lines, waitErr = s.again(ctx, env, offered); waitErr != nil {
			break
		}
	}
	for name := range maps.Keys(states) {
		if !slices.Contains(offered, name) {
			offered = append(offered, name)
		}
	}
	slices.Sort(offered)
	for _, name := range offered {
		c := report.Case{Name: name, Algorithm: name}
		messages := testMessages(lines, name)
		switch st := states[name]; {
		case !st.present && !st.testing:
			failf(&c, "not in /proc/crypto")
		case st.testing:
			c.Status, c.Detail = report.Timeout, strings.TrimSpace("its self-test has not come to an end\n"+joinTexts(messages))
		case slices.Contains(gaveUp(states, lines), name):
			c.Status = report.Timeout
			c.Detail = "the kernel's crypto interface waits 60 seconds for an algorithm that is still being tested (crypto_larval_wait), " +
				"and neither driver has such a limit: this machine is too slow, or busy with something else\n" + joinTexts(messages)
		case untested(lines, name):
			c.Status, c.Reason = report.Skip, "the kernel has no test for it"
		default:
			judge(&c, !st.passed, env.Job.Driver, version, messages)
			if c.Status == report.Fail && c.Detail == "" {
				c.Detail = "/proc/crypto does not show it as passed, and the kernel's log does not say why"
			}
		}
		if c.Detail == "" {
			c.Detail = note
		}
		env.Report(c)
	}
	return waitErr
}

// maxTries is how often the tests are run again on a machine that is too slow
// for a limit of the kernel's.
const maxTries = 2

// timedOut is what the kernel says of a test for which it could not get an
// algorithm in time. The drivers do not return this error.
var timedOut = regexp.MustCompile(`(rc=|error |: )-110\b`)

// gaveUp lists the algorithms whose test has failed by a limit of the kernel's.
func gaveUp(states map[string]engineState, lines []LogLine) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(states)) {
		late := func(l LogLine) bool { return timedOut.MatchString(l.Text) }
		if !states[name].passed && slices.ContainsFunc(testMessages(lines, name), late) {
			names = append(names, name)
		}
	}
	return names
}

// again has all algorithms tested again, by taking the engine from its driver
// and giving it back. Nobody uses it meanwhile.
func (s selftest) again(ctx context.Context, env *Env, offered []string) (map[string]engineState, []LogLine, error) {
	write := s.write
	if write == nil {
		write = writeSysfs
	}
	device, err := boundDevice(env.Kernel, qceDriver)
	if err != nil {
		return nil, nil, err
	}
	mark, err := env.Kernel.Mark()
	if err != nil {
		return nil, nil, err
	}
	env.Progress("the kernel gave up to wait for a test: all again")
	if err := fewerTests(env.Kernel, write); err != nil {
		return nil, nil, err
	}
	for _, what := range []string{"unbind", "bind"} {
		if err := write(path.Join(driverDir, qceDriver, what), device); err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", what, qceDriver, err)
		}
	}
	states, err := settle(ctx, env, offered)
	if err != nil {
		return states, nil, err
	}
	lines, err := env.Kernel.LogSince(mark)
	return states, lines, err
}

// fewerTests has the kernel make a quarter of the random tests, which take most of
// the time. It does nothing on a kernel that has none.
func fewerTests(k Kernel, write func(name, value string) error) error {
	text, err := k.ReadFile(fuzzIterations)
	if err != nil {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s: %w", fuzzIterations, err)
	}
	return write(fuzzIterations, strconv.Itoa(max(n/4, 1)))
}

// testsOff says why the kernel does not run self-tests, "" if it does.
func testsOff(k Kernel) string {
	data, err := k.ReadFile(managerParams + "notests")
	switch {
	case err != nil:
		return "the kernel has no self-tests: CONFIG_CRYPTO_MANAGER_DISABLE_TESTS is set, or CONFIG_CRYPTO_SELFTESTS is not"
	case strings.TrimSpace(string(data)) == "Y":
		return "the kernel was booted with cryptomgr.notests"
	}
	return ""
}

// settle waits until every algorithm has been tested.
func settle(ctx context.Context, env *Env, offered []string) (map[string]engineState, error) {
	last := -1
	for {
		states, err := engineStates(env.Kernel)
		if err != nil {
			return nil, err
		}
		var waiting []string
		for _, name := range slices.Sorted(maps.Keys(states)) {
			if states[name].testing {
				waiting = append(waiting, name)
			}
		}
		if len(waiting) == 0 {
			return states, nil
		}
		if len(waiting) != last {
			last = len(waiting)
			env.Progress("%d of %d algorithms tested, waiting for %s", max(0, len(offered)-last), len(offered), strings.Join(waiting, ", "))
		}
		if !pause(ctx, pollEvery) {
			return states, fmt.Errorf("the self-tests of %s have not come to an end", strings.Join(waiting, ", "))
		}
	}
}

// word matches a driver name as a word of its own: sha256-qce is a part of
// hmac-sha256-qce.
func word(name string) *regexp.Regexp {
	return regexp.MustCompile(`(^|[^a-z0-9-])` + regexp.QuoteMeta(name) + `($|[^a-z0-9-])`)
}

// testMessages picks the kernel's messages about the self-test of an algorithm.
// They all begin with "alg: "; what the kernel says twice is taken once.
func testMessages(lines []LogLine, name string) []LogLine {
	mine := word(name)
	var picked []LogLine
	for _, l := range lines {
		if !strings.HasPrefix(l.Text, "alg: ") || !mine.MatchString(l.Text) {
			continue
		}
		if !slices.ContainsFunc(picked, func(p LogLine) bool { return p.Text == l.Text }) {
			picked = append(picked, l)
		}
	}
	return picked
}

// untested says whether the kernel has no test vectors for an algorithm.
func untested(lines []LogLine, name string) bool {
	return slices.ContainsFunc(lines, func(l LogLine) bool {
		return strings.HasPrefix(l.Text, "alg: No test for ") && strings.HasSuffix(l.Text, "("+name+")")
	})
}
