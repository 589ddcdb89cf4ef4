package suites

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qcemu/qcemu/report"
)

// probe shows that both drivers found the hardware where a SoC has it.
type probe struct {
	// wait is how long the algorithms may take to appear after the driver was
	// loaded.
	wait time.Duration
}

func (probe) Name() string { return "probe" }
func (probe) About() string {
	return "the drivers bind to their devices, take the interrupt and register their algorithms"
}
func (probe) Boot() Boot { return BootSelftest }

func (p probe) Run(ctx context.Context, env *Env) error {
	for _, c := range []struct {
		name string
		f    func(*Env, *report.Case)
	}{
		{"bam-bound", bound(bamDriver)},
		{"qce-bound", bound(qceDriver)},
		{"interrupt", interrupt},
		{"version", engineVersion},
		{"kernel-log-since-boot", logSinceBoot},
	} {
		env.Case(report.Case{Name: c.name}, func(rc *report.Case) { c.f(env, rc) })
	}
	return p.registered(ctx, env)
}

// failf makes the case a failure.
func failf(c *report.Case, format string, args ...any) {
	c.Status, c.Detail = report.Fail, fmt.Sprintf(format, args...)
}

// bound checks that a platform driver has exactly one device, and that the
// device's window stands in the resource tree under its name.
func bound(driver string) func(*Env, *report.Case) {
	return func(env *Env, c *report.Case) {
		// The links of a driver's folder are its devices, and "module".
		links, err := env.Kernel.Glob(path.Join("/sys/bus/platform/drivers", driver, "*.*"))
		switch {
		case err != nil:
			failf(c, "%v", err)
			return
		case len(links) == 0:
			failf(c, "driver %s has no device: its probe failed, or the device tree has no node for it", driver)
			return
		case len(links) > 1:
			failf(c, "driver %s has %d devices: want one", driver, len(links))
			return
		}
		device := path.Base(links[0])
		c.Detail = device
		address, _, _ := strings.Cut(device, ".")
		iomem, err := env.Kernel.ReadFile("/proc/iomem")
		if err != nil {
			failf(c, "%v", err)
			return
		}
		if line, ok := claimed(iomem, address, device); ok {
			c.Detail = line
			return
		}
		failf(c, "/proc/iomem has no entry of %s at %s", device, address)
	}
}

// claimed finds the line of /proc/iomem by which a device holds its window.
func claimed(iomem []byte, address, device string) (string, bool) {
	want, err := strconv.ParseUint(address, 16, 64)
	if err != nil {
		return "", false
	}
	for line := range strings.SplitSeq(string(iomem), "\n") {
		span, owner, _ := strings.Cut(strings.TrimSpace(line), " : ")
		start, _, _ := strings.Cut(span, "-")
		if at, err := strconv.ParseUint(start, 16, 64); err == nil && at == want && strings.HasPrefix(owner, device) {
			return strings.TrimSpace(line), true
		}
	}
	return "", false
}

// interrupt checks the line of bam_dma: there, and level-triggered.
func interrupt(env *Env, c *report.Case) {
	data, err := env.Kernel.ReadFile("/proc/interrupts")
	if err != nil {
		failf(c, "%v", err)
		return
	}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[len(fields)-1] != bamInterrupt {
			continue
		}
		c.Detail = strings.Join(fields, " ")
		c.Metrics = map[string]float64{"interrupts": interruptCount(fields)}
		if !strings.Contains(c.Detail, " Level ") {
			failf(c, "the interrupt is not level-triggered: %s", c.Detail)
		}
		return
	}
	failf(c, "/proc/interrupts has no line for %s", bamInterrupt)
}

// interruptCount adds up the counts of all processors, which follow the number.
func interruptCount(fields []string) float64 {
	var sum float64
	for _, f := range fields[1:] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			break
		}
		sum += float64(n)
	}
	return sum
}

// versionMessage is what qce logs at debug level, which init switches on.
var versionMessage = regexp.MustCompile(`Crypto device found, version (\d+)\.(\d+)\.(\d+)`)

func engineVersion(env *Env, c *report.Case) {
	lines, err := env.Kernel.LogSince(0)
	if err != nil {
		failf(c, "%v", err)
		return
	}
	for _, l := range lines {
		if m := versionMessage.FindString(l.Text); m != "" {
			c.Detail = m
			return
		}
	}
	c.Status, c.Reason = report.Skip, "the kernel does not log it: no dynamic debug, or the driver is built in"
}

func logSinceBoot(env *Env, c *report.Case) {
	lines, err := env.Kernel.LogSince(0)
	if err != nil {
		failf(c, "%v", err)
		return
	}
	if bad := Complaints(lines); len(bad) > 0 {
		failf(c, "%s", joinTexts(bad))
	}
}

// registered checks that each algorithm the driver is built with is there. They
// may take a moment together, if the device was probed late.
func (p probe) registered(ctx context.Context, env *Env) error {
	offered := offeredAlgorithms(env)
	missing := func(states map[string]engineState) bool {
		return slices.ContainsFunc(offered, func(name string) bool { return !states[name].present })
	}
	states, err := engineStates(env.Kernel)
	for end := time.Now().Add(p.wait); err == nil && missing(states) && time.Now().Before(end) && pause(ctx, 50*time.Millisecond); {
		states, err = engineStates(env.Kernel)
	}
	if err != nil {
		return err
	}
	for _, name := range offered {
		c := report.Case{Name: "registered-" + name, Algorithm: name, Status: report.Pass}
		if !states[name].present {
			failf(&c, "not in /proc/crypto")
		}
		env.Report(c)
	}
	return ctx.Err()
}

// pause waits, and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
