package testbench

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
)

// attack is a phase of the suite contention: who else uses the engine, and what
// the guest does meanwhile.
type attack struct {
	name     string
	policies []string // the secure side's, the modem's
	timing   string
	guest    job.Phase
	again    bool
}

// attacksOnSeries are those that a driver must stand that locks the engine: more
// than 20000 requests in all.
var attacksOnSeries = []attack{
	{name: "between", policies: []string{"between"}, guest: job.Phase{Requests: 3000, Threads: 4}},
	{name: "every-7", policies: []string{"every=7"}, guest: job.Phase{Requests: 2500, Threads: 4}},
	{name: "random", policies: []string{"random=0.1"}, guest: job.Phase{Requests: 2500, Threads: 4}},
	{name: "burst", policies: []string{"burst"}, guest: job.Phase{Requests: 3000, Threads: 4}},
	{name: "during-unlock", policies: []string{"during-unlock"}, guest: job.Phase{Requests: 3000, Threads: 4}},
	{name: "modem", policies: []string{"between", "random=0.05"}, guest: job.Phase{Requests: 2500, Threads: 4}},
	{name: "silicon", policies: []string{"random=0.05", "random=0.05"}, timing: "silicon", guest: job.Phase{Requests: 1500, Threads: 4}},
	{name: "tcrypt", policies: []string{"random=0.05"}, guest: job.Phase{Requests: 1000, Threads: 3, Beside: job.BesideTcrypt}},
	{name: "rebind", policies: []string{"random=0.05"}, guest: job.Phase{Requests: 1000, Threads: 3, Beside: job.BesideRebind}},
	{name: "reload", policies: []string{"random=0.05"}, guest: job.Phase{Requests: 1000, Threads: 3, Beside: job.BesideReload}},
	{name: "reboot", policies: []string{"random=0.05"}, guest: job.Phase{Requests: 800, Threads: 3, Beside: job.BesideReboot}},
	{name: "unbind-qce", policies: []string{"random=0.05"}, guest: job.Phase{Requests: 400, Threads: 3, Beside: job.BesideUnbindQCE, Expected: crashQCE}},
	{name: "unbind-bam", policies: []string{"random=0.05"}, guest: job.Phase{Requests: 400, Threads: 3, Beside: job.BesideUnbindBAM, Expected: crashBAM}},
}

// attacksOnStock show what happens to a driver that does not lock. Where the
// antagonist is gentle, a request gets wrong keys and IVs but comes to its end;
// the others make the driver hang, which has no timeouts (datasheet §23).
var attacksOnStock = []attack{
	{name: raceBetween, policies: []string{"between,gentle"}, guest: job.Phase{Requests: 1200, Threads: 3, InTurn: true}},
	{name: "between-mmio", policies: []string{"between,mode=mmio,gentle"}, guest: job.Phase{Requests: 1200, Threads: 3, InTurn: true}},
	{name: "random", policies: []string{"random=0.05,gentle"}, guest: job.Phase{Requests: 1500, Threads: 4}},
	{name: "modem", policies: []string{"off", "random=0.05,gentle"}, guest: job.Phase{Requests: 1500, Threads: 4}},
	{name: "between-hard", policies: []string{"between"}, again: true, guest: job.Phase{Requests: 300, Threads: 3, InTurn: true}},
	{name: "tcrypt", policies: []string{"random=0.05,gentle"}, guest: job.Phase{Requests: 800, Threads: 3, Beside: job.BesideTcrypt}},
	{name: "rebind", policies: []string{"random=0.05,gentle"}, guest: job.Phase{Requests: 600, Threads: 3, Beside: job.BesideRebind}},
	{name: "reload", policies: []string{"random=0.05,gentle"}, guest: job.Phase{Requests: 600, Threads: 3, Beside: job.BesideReload}},
	{name: "reboot", policies: []string{"random=0.05,gentle"}, guest: job.Phase{Requests: 600, Threads: 3, Beside: job.BesideReboot}},
	{name: "unbind-qce", policies: []string{"random=0.05,gentle"}, guest: job.Phase{Requests: 400, Threads: 3, Beside: job.BesideUnbindQCE, Expected: crashQCE}},
	{name: "unbind-bam", policies: []string{"random=0.05,gentle"}, guest: job.Phase{Requests: 400, Threads: 3, Beside: job.BesideUnbindBAM, Expected: crashBAM}},
}

// What the kernel does when a device is taken from its driver in use, in which
// it is not to be hindered: the BAM's and the engine's driver, and the crypto
// interface too, rely on that nobody does.
var (
	crashQCE = job.Expected{CrashSays: "crypto_unregister_alg",
		Crash: "qce's remove function unregisters and frees algorithms that are open, of which the kernel warns (crypto_unregister_alg), and its DMA channels with requests out: what follows is use after free"}
	crashBAM = job.Expected{CrashSays: "dma_async_device_channel_unregister",
		Crash: "bam_dma's remove function frees channels that qce still uses, of which the kernel warns (dma_async_device_unregister), and requests that are out never end: what follows is use after free"}
)

// raceBetween is the phase in which a driver without the lock must be seen to
// be corrupted.
const raceBetween = "between"

// noLock is why a driver without the lock may get and cause wrong results.
const noLock = "the stock driver does not lock the engine: other users' register writes and its own mix"

// foreignWrites is why any driver may.
const foreignWrites = "an antagonist that does not keep to the lock gets in between"

// contentionPlan makes the phases of the suite. If the user asks for
// antagonists of his own, they are the only ones.
func contentionPlan(r *run) ([]phasePlan, error) {
	list := attacksOnSeries
	if r.Guest.Driver == job.Stock {
		list = attacksOnStock
	}
	var why string
	if r.Guest.Driver == job.Stock {
		why = noLock
	}
	if own := r.Model.Antagonists; len(own) > 0 {
		a := attack{name: "antagonist", timing: r.Model.Timing.Name, guest: job.Phase{Requests: 3000, Threads: 4}}
		for i := range own {
			a.policies = append(a.policies, own[i].String())
			if own[i].When != antagonist.Off && own[i].How != antagonist.Locked && why == "" {
				why = foreignWrites
			}
		}
		p := a.plan(why)
		p.model.Antagonists, p.model.Timing = own, r.Model.Timing
		return []phasePlan{p}, nil
	}
	var plan []phasePlan
	for _, a := range list {
		p := a.plan(why)
		for _, text := range a.policies {
			policy, err := antagonist.ParsePolicy(text)
			if err != nil {
				return nil, fmt.Errorf("phase %s: %w", a.name, err)
			}
			p.model.Antagonists = append(p.model.Antagonists, policy)
		}
		if a.timing != "" {
			var err error
			if p.model.Timing, err = cryptoblock.TimingByName(a.timing); err != nil {
				return nil, fmt.Errorf("phase %s: %w", a.name, err)
			}
		}
		plan = append(plan, p)
	}
	return plan, nil
}

// crashPatience is for how long a kernel that is expected to die may be silent.
const crashPatience = time.Minute

// plan is the attack as a phase; why says why wrong results are to be expected,
// "" if there must not be any.
func (a *attack) plan(why string) phasePlan {
	p := phasePlan{name: a.name, guest: a.guest, again: a.again, expected: "nothing corrupted, on either side", judge: judgeAttack}
	who := []string{"secure side", "modem"}
	var others []string
	for i, text := range a.policies {
		if text != "off" {
			others = append(others, who[min(i, 1)]+" "+text)
		}
	}
	p.hardware = strings.Join(others, ", ")
	if a.timing != "" {
		p.hardware += ", timing " + a.timing
	}
	if a.guest.Beside != "" {
		p.hardware += ", " + a.guest.Beside + " meanwhile"
	}
	if why != "" {
		p.expected = "corruption: " + why
		e := &p.guest.Expected
		e.Corrupted, e.Failed, e.Hung = why, why, why
	}
	if crash := a.guest.Expected.Crash; crash != "" {
		p.expected += "; a crash: " + crash
		p.patience = crashPatience
	}
	if a.guest.Beside == job.BesideReboot {
		next := p.guest
		next.Beside = ""
		p.next = &next
	}
	return p
}

// judgeAttack judges what the antagonists have seen, and what the hardware's
// side has. The guest has judged its own requests.
func judgeAttack(p *phaseResult) {
	why := cmp.Or(p.plan.guest.Expected.Corrupted, p.plan.guest.Expected.Crash)
	for _, o := range p.phase.Others {
		c := report.Case{Name: "others/" + o.Name, Status: report.Pass, Metrics: map[string]float64{
			job.MetricRequests: float64(o.Requests), job.MetricCorrupted: float64(o.Corrupted), job.MetricHung: float64(o.Hung)}}
		switch {
		case o.Requests == 0 && o.Hung == 0 && len(p.phase.Linux) == 0:
			c.Status, c.Reason = report.Skip, "Linux had no way to the engine, so there was nothing to act beside"
		case o.Requests == 0 && o.Hung == 0:
			c.Status, c.Detail = report.Fail, "it made no request: nothing is shown by this phase"
		case o.Corrupted+o.Hung > 0:
			c.Status, c.Detail = report.Fail, fmt.Sprintf("%d of %d requests corrupted, %d without an end", o.Corrupted, o.Requests+o.Hung, o.Hung)
		}
		expect(&c, why)
		p.add(c)
	}
	for _, b := range p.phase.Integrity {
		c := report.Case{Name: fmt.Sprintf("results/EE%d", b.EE), Status: report.Pass, Metrics: map[string]float64{
			job.MetricRequests: float64(b.Requests), job.MetricCorrupted: float64(b.Corrupted), "lost": float64(b.Lost)}}
		if b.Corrupted > 0 {
			c.Status, c.Detail = report.Fail, fmt.Sprintf("%d of %d operations did not give what this side had asked for", b.Corrupted, b.Requests)
		}
		expect(&c, why)
		p.add(c)
	}
}

// expect makes a failure an expected one if there is a reason for it.
func expect(c *report.Case, why string) {
	if why != "" && c.Status == report.Fail && len(c.Metrics) > 0 && c.Metrics[job.MetricRequests] > 0 {
		c.Status, c.Reason = report.XFail, why
	}
}

// judgeContention says at the end whether the suite has shown what it is for:
// that each algorithm of a driver without the lock can be corrupted.
func judgeContention(r *run, s *report.Suite) {
	if r.Guest.Driver != job.Stock || len(r.Model.Antagonists) > 0 {
		return
	}
	for _, p := range r.report.Phases {
		if p.Suite != s.Name || p.Name != raceBetween {
			continue
		}
		for _, side := range p.Linux {
			s.Cases = append(s.Cases, raceShown(s.Name, side, p, r.Guest.Profile.EE))
		}
	}
}

// raceShown is the case that an algorithm was corrupted, by the guest's count or
// by what the hardware's side found of the same algorithm.
func raceShown(suite string, side report.Side, p report.Phase, ee int) report.Case {
	found := side.Corrupted
	if a, ok := suites.AlgorithmByDriver(side.Algorithm); ok {
		for _, b := range p.Integrity {
			for _, n := range b.Algs {
				if b.EE == ee && n.Alg == a.Engine() {
					found = max(found, n.Corrupted)
				}
			}
		}
	}
	c := report.Case{Suite: suite, Name: "race-shown/" + side.Algorithm, Algorithm: side.Algorithm, Status: report.Pass,
		Metrics: map[string]float64{job.MetricRequests: float64(side.Requests), job.MetricCorrupted: float64(found)}}
	if found == 0 {
		c.Status = report.Fail
		c.Detail = fmt.Sprintf("none of %d requests was corrupted, though the driver does not lock: the attack is too weak", side.Requests)
	}
	return c
}
