package testbench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/vhostuser/backend"
)

// Config is one run.
type Config struct {
	Guest   GuestConfig
	Suites  []string // empty: all
	Phases  []string // of suites that have several; empty: all
	Seed    int64
	Require []attest.Requirement
	Model   model.Config // its SoC is the guest's, its seed the run's
	Out     string       // folder for the reports
	Record  string       // file to record the model's input in, "" for none

	Patience time.Duration // with a silent guest; 0: DefaultPatience
}

// Names of files in Config.Out, beside those of package report.
const (
	consoleFile = "console.log"
	sharedDir   = "shared" // the guest's folder: job and artifacts
)

// DefaultPatience is how long a guest may be silent, with neither an event nor a
// line on the console, before it is taken to hang.
const DefaultPatience = 10 * time.Minute

// Limits of a boot. They are for hangs; work that goes on is far from them.
const (
	bootLimit  = 10 * time.Minute // from QEMU's start to the first event
	suiteLimit = 30 * time.Minute // the guest itself gives a suite up
)

// diskSize is the size of the virtio disk for cryptsetup, in bytes. The file
// is sparse.
const diskSize = 256 << 20

// run is the state of one run.
type run struct {
	Config
	guest   *Guest
	model   *Model
	report  report.Run
	console *os.File

	foretold bool // the kernel has complained as its phase expects
}

// Run prepares the guest, runs the suites and writes the reports. The error is
// nil when the run could be carried out, whether its tests passed or not; the
// reports are there as soon as the guest was started.
func Run(ctx context.Context, c Config) (*report.Run, error) {
	boots, err := planBoots(c.Suites)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return nil, usagef("--out: %w", err)
	}
	if err := spaceFor(c.Out); err != nil {
		return nil, err
	}
	if err := c.complete(boots); err != nil {
		return nil, err
	}
	console, err := os.Create(filepath.Join(c.Out, consoleFile)) // before what takes long
	if err != nil {
		return nil, usagef("--out: %w", err)
	}
	defer console.Close()
	guest, err := Prepare(ctx, c.Guest)
	if err != nil {
		return nil, err
	}
	defer guest.Close()

	used := slices.ContainsFunc(boots, func(b bootPlan) bool { return b.kind != suites.BootPhases })
	record := c.Record
	if !used {
		record = "" // phases have models, and recordings, of their own
	}
	model, err := NewModel(c.Model, Recording{
		File:   record,
		Origin: fmt.Sprintf("driver %s, kernel %s, QEMU %s", c.Guest.Driver, guest.Kernel.Version, guest.QEMU.Version),
	})
	if err != nil {
		return nil, err
	}

	start := time.Now()
	r := &run{Config: c, guest: guest, model: model, console: console}
	r.report = report.Run{Started: start.UTC().Truncate(time.Second), Driver: c.Guest.Driver, SoC: c.Guest.Profile.Name,
		EE: c.Guest.Profile.EE, Kernel: guest.Kernel.Version, QEMU: guest.QEMU.Version, Seed: c.Seed}
	for _, b := range boots {
		if b.kind == suites.BootPhases {
			err = r.phases(ctx, b.suites)
		} else {
			err = r.boot(ctx, b)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		r.missing(boots, cause(err))
	}
	err = errors.Join(err, model.Close())
	r.report.Seconds = time.Since(start).Seconds()
	r.addEngine(model)
	if err == nil { // else what Linux was stopped at would be taken for its mistakes
		r.failBroken(model.Findings.Findings(), boots)
	}
	if used {
		r.report.Antagonists = model.Antagonists()
		r.report.Integrity = model.Integrity()
	}
	for _, q := range c.Require {
		if err := q.Check(r.report.Attestation, c.Guest.Profile.EE); err != nil {
			r.report.Problems = append(r.report.Problems, err.Error())
		}
	}
	return &r.report, noteFull(errors.Join(err, r.report.WriteDir(c.Out)), c.Out)
}

// complete makes the model's configuration whole. It tries whether the models that
// are needed can be made, before the long work of preparing the guest begins.
func (c *Config) complete(boots []bootPlan) error {
	c.Model.SoC, c.Model.Seed = c.Guest.Profile.Name, uint64(c.Seed)
	if slices.ContainsFunc(boots, func(b bootPlan) bool { return b.kind == suites.BootVirtio }) {
		if err := AddVirtio(&c.Model); err != nil {
			return err
		}
	}
	if c.Record != "" {
		if fi, err := os.Stat(filepath.Dir(c.Record)); err != nil || !fi.IsDir() {
			return usagef("--record %s: its folder does not exist", c.Record)
		}
	}
	if _, err := NewModel(c.Model, Recording{}); err != nil {
		return err
	}
	if len(c.Model.Antagonists) > 0 && len(boots) == 1 && slices.Equal(boots[0].suites, []string{"faults"}) {
		return usagef("--antagonist and --modem: the suite faults does without others; try --suite contention")
	}
	var phased []string
	for _, b := range boots {
		if b.kind == suites.BootPhases {
			phased = append(phased, b.suites...)
		}
	}
	return c.checkPhases(phased)
}

// bootPlan is the suites that run in one boot.
type bootPlan struct {
	kind   suites.Boot
	suites []string
	phase  *job.Phase // nil: the suite's own
	title  string     // of the phase
	next   *job.Phase // after a reboot; nil: the guest is not to reboot
}

// planBoots groups suites by the boot they need.
func planBoots(names []string) ([]bootPlan, error) {
	if len(names) == 0 {
		for _, s := range suites.All() {
			names = append(names, s.Name())
		}
	}
	var plan []bootPlan
	for _, name := range names {
		s, ok := suites.ByName(name)
		if !ok {
			return nil, usagef("no suite %q; there are: %s", name, strings.Join(SuiteNames(), ", "))
		}
		i := slices.IndexFunc(plan, func(p bootPlan) bool { return p.kind == s.Boot() })
		if i < 0 {
			plan = append(plan, bootPlan{kind: s.Boot()})
			i = len(plan) - 1
		}
		if !slices.Contains(plan[i].suites, name) {
			plan[i].suites = append(plan[i].suites, name)
		}
	}
	return plan, nil
}

// ordinary lists the suites that have no phases.
func ordinary(boots []bootPlan) (names []string) {
	for _, b := range boots {
		if b.kind != suites.BootPhases {
			names = append(names, b.suites...)
		}
	}
	return names
}

// SuiteNames lists the suites that there are.
func SuiteNames() []string {
	var names []string
	for _, s := range suites.All() {
		names = append(names, s.Name())
	}
	return names
}

// boot runs the suites of one boot.
func (r *run) boot(ctx context.Context, plan bootPlan) error {
	observed := newTurns(r.model)
	defer observed.end()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	// Socket paths are short: a UNIX address has room for 108 bytes.
	dir, err := os.MkdirTemp("", "qcemu-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	machine, err := r.machine(ctx, dir, plan)
	if err != nil {
		return err
	}
	col := newCollector(r.model.Begin, r.Guest.Progress)
	if plan.kind == suites.BootVirtio {
		r.model.meter = &meter{}
	}
	if err := r.model.Serve(ctx, &wg, machine.BlockSocket); err != nil {
		return err
	}
	share := r.share(plan, machine.ShareSocket, col)
	share.OnEvent = func(e job.Event) {
		observed.event(e)
		col.Event(e)
	}
	if err := ServeShare(ctx, &wg, share); err != nil {
		return err
	}
	var crypto *backend.Server
	if machine.CryptoSocket != "" {
		v, err := r.model.NewVirtio(machine.CryptoQueues, "", BusyPoll, slog.New(quiet{slog.Default().Handler()}))
		if err != nil {
			return err
		}
		if err := v.Serve(ctx, &wg, machine.CryptoSocket); err != nil {
			return err
		}
		crypto = v.Server
	}

	col.phase = plan.title
	col.boot = r.Guest.Progress.Begin("boot for %s (driver %s, SoC %s)", strings.Join(plan.suites, ", ")+col.where(), r.Guest.Driver, r.Guest.Profile.Name)
	con := &console{w: r.console}
	con.alive = plan.lifeSign(con, col.alive)
	m, err := vm.Start(r.guest.QEMU, machine, con)
	if err != nil {
		col.down()
		return err
	}
	defer m.Stop()
	observed.watch(m.PID(), crypto)
	var still *standstill
	if plan.phase == nil && r.model.Checked() { // in phases the guest looks for hangs itself
		still = &standstill{look: r.model.Standing, blocked: con.blocked}
	}
	why, err := watch(ctx, m, col, cmp.Or(r.Patience, DefaultPatience), still)
	m.Stop()
	r.judge(plan, col, con, why, m.Stderr())
	r.report.Ways = append(r.report.Ways, observed.all()...)
	return errors.Join(err, con.failure())
}

// machine makes what QEMU needs in dir.
func (r *run) machine(ctx context.Context, dir string, plan bootPlan) (*vm.Config, error) {
	files, err := r.guest.WriteBootFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(r.Out, sharedDir), 0o755); err != nil {
		return nil, err
	}
	c := r.guest.Machine(files, plan.kind)
	if plan.next != nil {
		c.Extra = nil // QEMU starts the guest again
	}
	c.BlockSocket = filepath.Join(dir, "block.sock")
	c.ShareSocket = filepath.Join(dir, "share.sock")
	c.Disk = filepath.Join(dir, "disk.img")
	if plan.kind == suites.BootVirtio {
		c.CryptoSocket, c.CryptoQueues = filepath.Join(dir, "crypto.sock"), suites.VirtioQueues
		c.CryptoBuiltin = true
	}
	return &c, makeDisk(c.Disk)
}

// share is the folder of a boot, with what the guest is to do.
func (r *run) share(plan bootPlan, socket string, col *collector) Share {
	s := Share{Dir: filepath.Join(r.Out, sharedDir), Socket: socket, OnEvent: col.Event,
		Job: &job.Job{Driver: r.Guest.Driver, Suites: plan.suites, Seed: r.Seed,
			SuiteTimeout: int(suiteLimit.Seconds()), ModuleDirs: r.guest.ModuleDirs, Phase: plan.phase}}
	if plan.phase != nil {
		s.Job.SuiteTimeout = int(phaseLimit.Seconds())
	}
	if plan.next != nil {
		next := *s.Job
		next.Phase = plan.next
		s.Next = &next
	}
	return s
}

func makeDisk(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(diskSize), f.Close())
}

// watch waits for the guest's end. It returns why the guest ended before it was
// through, "" if it was through. A guest that is silent for longer than patience
// hangs, and one that stands still; still may be nil. The error is not nil if it is
// not the guest that ended: QEMU died, or the run was interrupted.
func watch(ctx context.Context, m *vm.VM, col *collector, patience time.Duration, still *standstill) (string, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer col.down()
	start := time.Now()
	for {
		select {
		case <-ctx.Done():
			return cause(ctx.Err()), ctx.Err()
		case <-m.Done():
			if err := m.Err(); err != nil {
				return err.Error(), err
			}
			if col.done() {
				return "", nil
			}
			return "the guest ended before its suites were through", nil
		case <-tick.C:
		}
		suite, since, last := col.state()
		if time.Since(last) > patience {
			return fmt.Sprintf("the guest hangs: nothing heard of it for %v", patience), nil
		}
		if still != nil && suite != "" {
			if why := still.check(time.Now(), col.heard()); why != "" {
				return why, nil
			}
		}
		if !col.booted() && time.Since(start) > bootLimit {
			return fmt.Sprintf("the guest did not come up within %v", bootLimit), nil
		}
		if suite != "" && time.Since(since) > suiteLimit+time.Minute {
			return fmt.Sprintf("suite %s does not end: stopped after %v", suite, suiteLimit), nil
		}
	}
}
