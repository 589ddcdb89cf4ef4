package suites

import (
	"context"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qcemu/qcemu/report"
)

// measure times what the engine's registers cost the guest, and makes the
// kernel measure a cipher, for "qcemu bench". It runs where it is named only.
type measure struct{}

// Names of the suite, of its cases and of their metrics, for the host.
const (
	Measure = "bench"

	MeasureRead       = "register-read"        // of VERSION, one after the other
	MeasureReadBeside = "register-read-beside" // the same of a second device, by turns with the first
	MeasureWrite      = "register-write"       // of VERSION, in bursts with a read behind
	MeasureTcrypt     = "tcrypt"               // tcrypt's speed of cbc(aes), among others

	MetricP50   = "p50_ns"
	MetricP99   = "p99_ns"
	MetricCount = "accesses"
)

// MeasureAlgorithm is the engine's name of the cipher of MeasureTcrypt,
// MeasureBlock the size of the requests that count, in bytes.
const (
	MeasureAlgorithm = "cbc-aes"
	MeasureBlock     = 4096
)

// BesideSlot is the PCI slot of a second device that is read by turns with the
// first, if there is one. The boot stub leaves it alone: the suite gives it its
// address.
const BesideSlot = 5

func (measure) Name() string { return Measure }
func (measure) About() string {
	return "what a register access and a request cost in the guest, for qcemu bench"
}
func (measure) Boot() Boot { return BootNoTests }

// How often registers are accessed.
const (
	measuredReads = 4000
	measuredTurn  = 50 // reads of a device in a row, and some that do not count
	measuredBurst = 32
	warmUp        = 5
)

// Run runs the suite.
func (measure) Run(ctx context.Context, env *Env) error {
	at, err := engineAddress(env.Kernel)
	if err != nil {
		return err
	}
	first, err := openWindow(at)
	if err != nil {
		return fmt.Errorf("the engine's registers at %#x by /dev/mem: %w", at, err)
	}
	defer first.close()
	second, err := openBeside(env.Kernel, at)
	if err != nil {
		return err
	}
	if second != nil {
		defer second.close()
	}
	if err := measureReads(ctx, env, first, second); err != nil {
		return err
	}
	measureWrites(env, first)
	return measureTcrypt(ctx, env)
}

// engineAddress is where the engine's registers are: its device is named so.
func engineAddress(k Kernel) (uint64, error) {
	links, err := k.Glob(path.Join("/sys/bus/platform/drivers", qceDriver, "*.*"))
	if err != nil {
		return 0, err
	}
	for _, l := range links {
		text, _, _ := strings.Cut(path.Base(l), ".")
		if at, err := strconv.ParseUint(text, 16, 64); err == nil {
			return at, nil
		}
	}
	return 0, fmt.Errorf("driver %s has no device", qceDriver)
}

// openBeside gives a second device in slot BesideSlot an address behind the
// first's and opens its registers; nil when there is none.
func openBeside(k Kernel, first uint64) (*window, error) {
	const (
		slotSize   = 32 << 10 // of configuration space
		command    = 0x04
		bar0       = 0x10
		memorySpan = 2       // COMMAND: decode memory
		distance   = 1 << 20 // between the two devices' BARs, both at their start
	)
	names, err := k.Glob("/proc/device-tree/pcie@*/reg")
	if err != nil || len(names) == 0 {
		return nil, err
	}
	reg, err := k.ReadFile(names[0])
	if err != nil {
		return nil, err
	}
	if len(reg) < 8 {
		return nil, fmt.Errorf("%s has %d bytes", names[0], len(reg))
	}
	config, err := openWindow(binary.BigEndian.Uint64(reg) + BesideSlot*slotSize)
	if err != nil {
		return nil, fmt.Errorf("the PCI configuration space by /dev/mem: %w", err)
	}
	defer config.close()
	if config.read(0)&0xffff == 0xffff {
		return nil, nil
	}
	at := first + distance
	config.write(bar0, uint32(at)&^(distance-1))
	config.write(command, memorySpan)
	return openWindow(at)
}

// measureReads times reads of VERSION, of both devices by turns if there are
// two. A turn is many reads, and the first do not count: what a server does
// after its answer is to be seen in its own times, not in the other's.
func measureReads(ctx context.Context, env *Env, first, second *window) error {
	windows := []*window{first}
	cases := []report.Case{{Name: MeasureRead, Status: report.Pass}}
	if second != nil {
		windows = append(windows, second)
		cases = append(cases, report.Case{Name: MeasureReadBeside, Status: report.Pass})
	}
	times := make([][]time.Duration, len(windows))
	for range measuredReads / measuredTurn {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, w := range windows {
			for n := range warmUp + measuredTurn {
				start := time.Now()
				w.read(0)
				if took := time.Since(start); n >= warmUp {
					times[i] = append(times[i], took)
				}
			}
		}
	}
	for i, w := range windows {
		cases[i].Detail = fmt.Sprintf("VERSION is %#x", w.read(0))
		cases[i].Metrics = timeMetrics(times[i], 1)
		env.Report(cases[i])
	}
	return nil
}

// measureWrites times writes to VERSION, which have no effect. They are posted:
// a read behind each burst waits for them.
func measureWrites(env *Env, w *window) {
	var times []time.Duration
	for range measuredReads / measuredBurst {
		start := time.Now()
		for range measuredBurst {
			w.write(0, 0)
		}
		times = append(times, time.Since(start))
		w.read(0)
	}
	env.Report(report.Case{Name: MeasureWrite, Status: report.Pass, Metrics: timeMetrics(times, measuredBurst)})
}

// timeMetrics are the metrics of times of n accesses each.
func timeMetrics(times []time.Duration, n int) map[string]float64 {
	slices.Sort(times)
	at := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))]) / float64(n) }
	return map[string]float64{MetricP50: at(0.50), MetricP99: at(0.99), MetricCount: float64(len(times) * n)}
}

// measureTcrypt runs the speed mode that has cbc(aes) in it. The host watches
// the requests that reach the engine.
func measureTcrypt(ctx context.Context, env *Env) error {
	registered, err := env.Kernel.Algorithms()
	if err != nil {
		return err
	}
	c := report.Case{Name: MeasureTcrypt, Algorithm: "cbc-aes-qce", Status: report.Pass}
	if best, ok := preferred(registered, "cbc(aes)"); !ok || best.Driver != c.Algorithm {
		c.Status, c.Detail = report.Fail, "the kernel does not take the engine for cbc(aes)"
		env.Report(c)
		return nil
	}
	r := &tcryptRuns{env: env, registered: registered}
	log, err := r.load(ctx, "mode="+strconv.Itoa(tcryptSpeed["cbc(aes)"]), "sec=0")
	if err != nil {
		c.Status, c.Detail = report.Fail, err.Error()
	} else if len(log.Tables) == 0 {
		c.Status, c.Detail = report.Fail, "tcrypt printed no table"
	}
	env.Report(c)
	return ctx.Err()
}
