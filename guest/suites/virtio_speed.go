package suites

import (
	"context"
	"crypto/aes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// virtioSpeed is the part of virtio that compares the ways, alone. It runs where
// it is named only.
type virtioSpeed struct{ virtio }

// VirtioCompare is the suite's name.
const VirtioCompare = "virtio-speed"

func (virtioSpeed) Name() string { return VirtioCompare }
func (virtioSpeed) About() string {
	return "the ways to an engine compared by the time of a request: the engine's own driver, virtio-crypto on the engine, and on QEMU's built-in back-end"
}

func (s virtioSpeed) Run(ctx context.Context, env *Env) error {
	r := newVirtioRun(env, s.write)
	if r.probe() {
		r.speed(ctx)
	}
	return ctx.Err()
}

// How the ways are measured: by turns, so that what else the machine does befalls
// all of them.
const (
	speedRounds   = 6
	speedRequests = 1600 // of all users in a round
	speedWarmUp   = 100  // of each user
	speedSize     = 4096
)

// qceCBC is the algorithm in the engine's own driver.
const qceCBC = "cbc-aes-qce"

// VirtioUsers are the numbers of users at a time with which each way is measured.
var VirtioUsers = []int{1, 8}

// VirtioWays are the ways, in the order of their turns.
var VirtioWays = []string{VirtioOurs, VirtioBuiltin, VirtioQCE}

// VirtioSpeedCase is the name of the case that measures a way.
func VirtioSpeedCase(way string, users int) string {
	return fmt.Sprintf("speed/%s/%d", way, users)
}

// ParseVirtioSpeed is the opposite of VirtioSpeedCase.
func ParseVirtioSpeed(name string) (way string, users int, ok bool) {
	f := strings.Split(name, "/")
	if len(f) != 3 || f[0] != "speed" {
		return "", 0, false
	}
	users, err := strconv.Atoi(f[2])
	return f[1], users, err == nil
}

// Metrics of such a case.
const (
	VirtioRequests = "requests" // in all
	VirtioP50      = "p50_ns"   // of the time of a request
	VirtioP99      = "p99_ns"
	VirtioRate     = "per_second" // requests of all users, the median of the rounds

	VirtioInterrupts = "interrupts" // that the guest took meanwhile, in all
)

// turns is what was measured of a way with a number of users.
type turns struct {
	requests int
	irqs     float64
	times    []time.Duration
	rates    []float64
}

// speed measures 4 KiB requests by AF_ALG.
func (r *virtioRun) speed(ctx context.Context) {
	// Each turn would begin with the self-test.
	if was, err := r.env.Kernel.ReadFile(paramNoTests); err == nil && r.write(paramNoTests, "Y") == nil {
		defer r.write(paramNoTests, strings.TrimSpace(string(was)))
	}
	// The engine's own driver has many self-tests.
	if _, err := settle(ctx, r.env, nil); err != nil {
		r.env.Report(report.Case{Name: "speed", Algorithm: VirtioAlgorithm, Status: report.Fail, Detail: err.Error()})
		return
	}
	measured, failed := map[string]*turns{}, map[string]*report.Case{}
	for range speedRounds {
		for _, way := range VirtioWays {
			if way != VirtioQCE && r.devices[way] == "" || failed[way] != nil || ctx.Err() != nil {
				continue
			}
			if c := r.speedTurn(ctx, way, measured); c != nil {
				c.Name, c.Algorithm = VirtioSpeedCase(way, VirtioUsers[0]), VirtioAlgorithm
				failed[way] = c
			}
		}
	}
	for _, way := range slices.Sorted(maps.Keys(failed)) {
		r.env.Report(*failed[way])
	}
	for _, way := range VirtioWays {
		for _, users := range VirtioUsers {
			name := VirtioSpeedCase(way, users)
			if t := measured[name]; t != nil && failed[way] == nil {
				r.env.Report(t.result(name))
			}
		}
	}
}

// speedTurn measures a way once. It returns a case if that cannot be done.
func (r *virtioRun) speedTurn(ctx context.Context, way string, measured map[string]*turns) *report.Case {
	name := qceCBC
	if way != VirtioQCE {
		name = VirtioAlgorithm
		if err := r.only(ctx, way); err != nil {
			return &report.Case{Status: report.Fail, Detail: err.Error()}
		}
		if c := r.usable(way); c != nil {
			return c
		}
	}
	for _, users := range VirtioUsers {
		key := VirtioSpeedCase(way, users)
		t := measured[key]
		if t == nil {
			t = &turns{}
			measured[key] = t
		}
		if err := r.turn(ctx, t, way, name, users); err != nil {
			if way == VirtioQCE && errors.Is(err, unix.ENOENT) {
				return &report.Case{Status: report.Skip, Reason: "the engine's own driver is not there"}
			}
			return &report.Case{Status: report.Fail, Detail: err.Error()}
		}
	}
	return nil
}

// turn has users make requests at the same time.
func (r *virtioRun) turn(ctx context.Context, t *turns, way, algorithm string, users int) error {
	key := VirtioSpeedCase(way, users)
	all := make([]*speedUser, users)
	errs := make([]error, users)
	for u := range all {
		var err error
		if all[u], err = newSpeedUser(algorithm, uint32(u)); err != nil {
			return err
		}
		defer all[u].close()
		if err := all[u].do(ctx, speedWarmUp); err != nil {
			return err
		}
		all[u].took = all[u].took[:0]
	}
	each := speedRequests / users
	device := r.devices[way]
	if device == "" {
		device = bamInterrupt
	}
	before := r.interrupts(device)
	r.env.Emit(job.Event{Type: job.Turn, Suite: r.env.Suite, Text: key})
	var wg sync.WaitGroup
	start := time.Now()
	for u := range all {
		wg.Go(func() { errs[u] = all[u].do(ctx, each) })
	}
	wg.Wait()
	took := time.Since(start)
	r.env.Emit(job.Event{Type: job.Turn, Suite: r.env.Suite})
	t.irqs += r.interrupts(device) - before
	for _, u := range all {
		t.times = append(t.times, u.took...)
	}
	t.requests += users * each
	t.rates = append(t.rates, float64(users*each)/took.Seconds())
	return errors.Join(errs...)
}

// interrupts is how many a device has had so far.
func (r *virtioRun) interrupts(device string) (n float64) {
	text, err := r.env.Kernel.ReadFile("/proc/interrupts")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[len(f)-1] != device {
			continue
		}
		for _, word := range f[1:] {
			v, err := strconv.ParseFloat(word, 64)
			if err != nil {
				break // the counts of the processors are over
			}
			n += v
		}
	}
	return n
}

func (t *turns) result(name string) report.Case {
	slices.Sort(t.times)
	slices.Sort(t.rates)
	p50, rate := t.times[len(t.times)/2], t.rates[len(t.rates)/2]
	return report.Case{
		Name: name, Algorithm: VirtioAlgorithm, Status: report.Pass,
		Detail: fmt.Sprintf("%.0f requests of 4 KiB in a second, half of them take less than %v", rate, p50.Round(time.Microsecond)),
		Metrics: map[string]float64{
			VirtioRequests: float64(t.requests), VirtioRate: rate,
			VirtioP50: float64(p50), VirtioP99: float64(t.times[len(t.times)*99/100]), VirtioInterrupts: t.irqs,
		},
	}
}

// speedUser makes requests one after the other: chunks of one message, as
// cryptsetup's benchmark does, so that what is opened and closed is not part of a
// request.
type speedUser struct {
	alg  *afalg.Cipher
	flow *afalg.CipherStream
	text []byte
	took []time.Duration
}

func newSpeedUser(algorithm string, seed uint32) (*speedUser, error) {
	alg, err := afalg.NewCipher(algorithm, pattern(seed, 16))
	if err != nil {
		return nil, err
	}
	flow, err := alg.Stream(afalg.Encrypt, pattern(7, aes.BlockSize), aes.BlockSize)
	if err != nil {
		alg.Close()
		return nil, err
	}
	return &speedUser{alg, flow, pattern(5, speedSize), make([]time.Duration, 0, speedRequests)}, nil
}

func (u *speedUser) close() {
	u.flow.Close()
	u.alg.Close()
}

func (u *speedUser) do(ctx context.Context, n int) error {
	for range n {
		start := time.Now()
		if _, err := u.flow.Next(u.text, false); err != nil {
			return err
		}
		u.took = append(u.took, time.Since(start))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
