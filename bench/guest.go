package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/testbench"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
)

// identity is what the functions are to QEMU.
var identity = vfiouser.PCI{VendorID: 0x17cb, DeviceID: 0x0ce5, Class: 0x108000}

// bootLimit is how long a guest may take for all it has to do. It is for hangs.
const bootLimit = 10 * time.Minute

// Figures of the design, taken on another machine in one guest: the register
// read with a server on libvfio-user, in C, and with a naive one in Go.
const (
	quotedC     = 108e3 // ns
	quotedNaive = 135e3
)

// guest boots a guest with two devices, the real server's and a naive one's,
// and has it read registers of both by turns; then it lets tcrypt make requests.
func (r *run) guest(ctx context.Context) error {
	if r.booted {
		return nil
	}
	r.booted = true
	g, err := testbench.Prepare(ctx, r.Guest)
	if err != nil {
		return err
	}
	defer g.Close()
	var m *meter
	cases, err := r.boot(ctx, g, suites.BootNoTests, suites.Measure, func(ctx context.Context, wg *sync.WaitGroup, dir string, machine *vm.Config) error {
		other := r.Beside
		if other == "" {
			other = filepath.Join(dir, "naive.sock")
			n, err := newNaive(r.Guest.Profile)
			if err != nil {
				return err
			}
			if err := n.serve(ctx, wg, other); err != nil {
				return err
			}
		}
		machine.Extra = append(machine.Extra, "-device",
			fmt.Sprintf(`{"driver":"vfio-user-pci","socket":{"type":"unix","path":%q},"addr":"%d.0"}`, other, suites.BesideSlot))
		m, err = serveMetered(ctx, wg, r.Guest.Profile, machine.BlockSocket)
		return err
	})
	if err != nil {
		return err
	}
	return r.guestLines(cases, m)
}

// serveMetered serves a model as 'qcemu run' has it, with a meter in between.
func serveMetered(ctx context.Context, wg *sync.WaitGroup, p *cryptoblock.Profile, path string) (*meter, error) {
	m := newMeter(nil)
	bench, err := testbench.NewModel(model.Config{SoC: p.Name}, testbench.Recording{}, m)
	if err != nil {
		return nil, err
	}
	m.Device = bench.Block
	log := slog.New(slog.DiscardHandler)
	server, err := vfiouser.New(vfiouser.Config{Device: m, PCI: identity, BARSize: cryptoblock.WindowSize, Log: log})
	if err != nil {
		return nil, err
	}
	l, err := vhostuser.Listen(path)
	if err != nil {
		return nil, err
	}
	wg.Go(func() { server.Serve(ctx, l) })
	return m, nil
}

// guestLines turns what the guest measured, and the meter, into lines.
func (r *run) guestLines(cases map[string]report.Case, m *meter) error {
	for _, name := range []string{suites.MeasureRead, suites.MeasureReadBeside, suites.MeasureWrite, suites.MeasureTcrypt} {
		if c, ok := cases[name]; !ok || c.Status != report.Pass {
			return fmt.Errorf("the guest did not measure %s: %s", name, c.Detail)
		}
	}
	read, beside := cases[suites.MeasureRead].Metrics, cases[suites.MeasureReadBeside].Metrics
	write := cases[suites.MeasureWrite].Metrics
	p50, p99 := read[suites.MetricP50], read[suites.MetricP99]
	other, target := "naive server, same guest", atMost(quotedC/quotedNaive)
	note := fmt.Sprintf("the target is what libvfio-user's server in C was to a naive one elsewhere: %.0f to %.0f µs", quotedC/1e3, quotedNaive/1e3)
	if r.Beside != "" {
		other, target, note = "server of --beside, same guest", atMost(1), r.Beside
	}
	r.add("guest",
		Line{What: "register read, p50", Value: p50, Unit: nanoseconds, Against: other, Base: beside[suites.MetricP50], Target: target, Note: note},
		Line{What: "register read, p99", Value: p99, Unit: nanoseconds, Against: other, Base: beside[suites.MetricP99]},
		Line{What: "register read, p50", Value: p50, Unit: nanoseconds, Against: "libvfio-user in C, another machine", Base: quotedC, Quoted: true, Target: atMost(1),
			Note: "quoted, not measured: no distribution has a package of libvfio-user to measure it with"},
		Line{What: "posted register write, p50", Value: write[suites.MetricP50], Unit: nanoseconds, Against: "register read", Base: p50},
	)
	c, n := m.typical(suites.MeasureAlgorithm, suites.MeasureBlock)
	if n == 0 {
		return errors.New("no request of tcrypt reached the engine")
	}
	wall := float64(c.wall)
	// Each interrupt makes QEMU unmask the line, with a round trip as long as
	// a read's.
	socket := float64(c.reads+c.interrupts)*p50 + float64(c.writes)*write[suites.MetricP50]
	of := fmt.Sprintf("4 KiB request of %s", suites.MeasureAlgorithm)
	r.add("request",
		Line{What: of, Value: wall, Unit: nanoseconds, Note: fmt.Sprintf("median of %d; %d register reads, %d writes, %d interrupts", n, c.reads, c.writes, c.interrupts)},
		Line{What: "of that the model", Value: float64(c.model), Unit: nanoseconds, Against: "the whole request", Base: wall, Target: atMost(0.10)},
		Line{What: "registers and interrupts", Value: socket, Unit: nanoseconds, Against: "the whole request", Base: wall,
			Note: "their number times what one costs: QEMU, the socket and the way back"},
		Line{What: "the guest", Value: max(wall-float64(c.model)-socket, 0), Unit: nanoseconds, Against: "the whole request", Base: wall, Note: "the rest"},
	)
	return nil
}

// boot boots the guest for a suite and returns the suite's cases by name. serve
// starts the servers that the machine's devices connect to.
func (r *run) boot(ctx context.Context, g *testbench.Guest, kind suites.Boot, suite string,
	serve func(ctx context.Context, wg *sync.WaitGroup, dir string, m *vm.Config) error) (map[string]report.Case, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	dir, err := os.MkdirTemp("", "qcemu-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files, err := g.WriteBootFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	machine := g.Machine(files, kind)
	machine.BlockSocket = filepath.Join(dir, "block.sock")
	machine.ShareSocket = filepath.Join(dir, "share.sock")
	if err := serve(ctx, &wg, dir, &machine); err != nil {
		return nil, err
	}
	step := r.Progress.Begin("boot for %s", suite)
	w := &witness{cases: map[string]report.Case{}, note: func(text string) { step.Note("%s", text) }}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		return nil, err
	}
	j := &job.Job{Driver: r.Guest.Driver, Suites: []string{suite}, ModuleDirs: g.ModuleDirs}
	if err := testbench.ServeShare(ctx, &wg, testbench.Share{Dir: shared, Socket: machine.ShareSocket, Job: j, OnEvent: w.event}); err != nil {
		return nil, err
	}
	console, err := r.console(suite)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	err = runQEMU(ctx, g.QEMU, &machine, console)
	if err == nil {
		err = w.problem()
	}
	step.End(err)
	return w.all(), err
}

// runQEMU runs a guest to its end.
func runQEMU(ctx context.Context, q *vm.QEMU, machine *vm.Config, console *os.File) error {
	m, err := vm.Start(q, machine, console)
	if err != nil {
		return err
	}
	defer m.Stop()
	select {
	case <-m.Done():
		return m.Err()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("the guest was not through after %v", bootLimit)
		}
		return ctx.Err()
	}
}

// witness takes down what the guest says.
type witness struct {
	note func(string)

	mu       sync.Mutex
	cases    map[string]report.Case
	failed   string
	finished bool
}

func (w *witness) event(e job.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Type {
	case job.CaseDone:
		if e.Case != nil {
			w.cases[e.Case.Name] = *e.Case
			w.note(e.Case.Name)
		}
	case job.Progress:
		w.note(e.Text)
	case job.Failed:
		w.failed = e.Text
	case job.Finished:
		w.finished = true
	}
}

// problem says why the guest was not through, if it was not.
func (w *witness) problem() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.failed != "":
		return fmt.Errorf("the guest could not go on: %s", w.failed)
	case !w.finished:
		return errors.New("the guest ended before it was through")
	}
	return nil
}

func (w *witness) all() map[string]report.Case {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.cases)
}
