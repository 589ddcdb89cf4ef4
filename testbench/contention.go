package testbench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
)

// attack is a phase of the suite contention: who else uses the engine, and what
// the guest does meanwhile.
type attack struct {
	name     string
	policies []string // the secure side's, the modem's
	script   string   // of a policy "script"
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
	{name: "script", policies: []string{"script=everywhere"}, script: everywhere, guest: job.Phase{Requests: 1500, Threads: 4}},
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
	{name: raceBetween, policies: []string{"between,gentle"}, again: true, guest: job.Phase{Requests: 1200, Threads: 3, InTurn: true}},
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

// everywhere is a script that begins, goes on with and ends requests at each kind
// of moment that a driver with the lock has.
const everywhere = `
after lock every 2 do begin
after element every 29 do step 3
after nwd-wait every 3 do step 20
after op-start every 2 do step 7
after op-done every 3 do request
after unlock every 2 do step 50
after pipe-irq every 2 do finish
`

// enough is how many requests of Linux must have been right under attack, in all
// phases, with a driver that locks.
const enough = 20000

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
		p.judge = r.judgeOf(why)
		p.model.Antagonists, p.model.Timing = own, r.Model.Timing
		return []phasePlan{p}, nil
	}
	var plan []phasePlan
	places := len(r.Guest.Profile.Places())
	for _, a := range list {
		if own := r.Model.Timing.Name; a.timing == "" && own != "" && own != defaultTiming {
			a.timing = own
		}
		p := a.plan(why)
		p.judge = r.judgeOf(why)
		if len(a.policies) > places {
			p.skip = fmt.Sprintf("it takes %d users of the engine beside Linux, SoC %s has places for %d", len(a.policies), r.Guest.Profile.Name, places)
		}
		var err error
		if p.model.Antagonists, err = a.antagonists(); err != nil {
			return nil, fmt.Errorf("phase %s: %w", a.name, err)
		}
		if a.timing != "" {
			if p.model.Timing, err = cryptoblock.TimingByName(a.timing); err != nil {
				return nil, fmt.Errorf("phase %s: %w", a.name, err)
			}
		}
		plan = append(plan, p)
	}
	return plan, nil
}

func (a *attack) antagonists() (list []antagonist.Policy, err error) {
	for _, text := range a.policies {
		var p antagonist.Policy
		if name, scripted := strings.CutPrefix(text, "script="); scripted {
			p, err = antagonist.ScriptPolicy(name, a.script)
		} else {
			p, err = antagonist.ParsePolicy(text)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// defaultTiming is no timing to speak of.
const defaultTiming = "fastest"

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
	why := p.plan.guest.Expected.Corrupted
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
		if b.Requests+b.Lost+b.Stray == 0 && (b.EE != p.ee || len(p.phase.Linux) == 0) {
			continue // the policy was off, or there was nothing to act beside
		}
		c := report.Case{Name: fmt.Sprintf("results/EE%d", b.EE), Status: report.Pass, Metrics: map[string]float64{
			job.MetricRequests: float64(b.Requests), job.MetricCorrupted: float64(b.Corrupted), "lost": float64(b.Lost), "stray": float64(b.Stray), "unjudged": float64(b.Unjudged)}}
		lost := b.Lost
		if p.plan.guest.Beside != "" {
			lost = 0 // pipes are reset on purpose
		}
		switch {
		case b.Requests == b.Unjudged:
			c.Status, c.Detail = report.Fail, fmt.Sprintf("none of %d operations could be judged: nothing is shown by this phase", b.Requests)
		case b.Corrupted+b.Stray+lost > 0:
			c.Status = report.Fail
			c.Detail = fmt.Sprintf("of %d operations %d did not give what this side had asked for, %d never ended; %d outputs were not asked for",
				b.Requests+b.Lost, b.Corrupted, b.Lost, b.Stray)
		}
		if b.EE == p.ee && p.foretold {
			expect(&c, cmp.Or(why, p.plan.guest.Expected.Crash)) // a kernel that dies harms its own requests, and nobody else's
		} else {
			expect(&c, why)
		}
		p.add(c)
	}
}

// judgeOf is how an attack on the driver is judged; why is why wrong results are to
// be expected.
func (r *run) judgeOf(why string) func(*phaseResult) {
	switch {
	case r.Guest.Driver != job.Series || why != "":
		return judgeAttack
	case r.Guest.Series == "" && r.Guest.Linux == "":
		return judgeOwnSeries
	}
	return judgeSeries
}

// judgeOwnSeries is judgeAttack for the series that the project has itself, of
// which each finding is explained.
func judgeOwnSeries(p *phaseResult) { judgeLocked(p, false) }

// judgeSeries is judgeAttack for somebody else's: what may do harm is a failure, what
// does none is reported.
func judgeSeries(p *phaseResult) { judgeLocked(p, true) }

func judgeLocked(p *phaseResult, errorsOnly bool) {
	judgeAttack(p)
	if p.plan.guest.Expected.Crash == "" {
		p.add(p.judgeFindings(errorsOnly))
	}
}

// expect makes a failure an expected one if there is a reason for it.
func expect(c *report.Case, why string) {
	if why != "" && c.Status == report.Fail && len(c.Metrics) > 0 && c.Metrics[job.MetricRequests] > 0 {
		c.Status, c.Reason = report.XFail, why
	}
}

// judgeContention says at the end whether the suite has shown what it is for:
// that each algorithm of a driver without the lock can be corrupted and findings
// name the cause, and that one with the lock has stood enough.
func judgeContention(r *run, s *report.Suite) {
	if len(r.Model.Antagonists) > 0 {
		return
	}
	if r.Guest.Driver != job.Stock {
		if len(r.Phases) == 0 {
			s.Cases = append(s.Cases, stood(s, r.report.Phases))
		}
		return
	}
	for _, p := range r.report.Phases {
		if p.Suite == s.Name && p.Name == raceBetween && len(p.Linux) > 0 {
			sides := p.Linux
			if !p.ByTcrypt { // which has no modes for some
				sides = everySide(sides)
			}
			for _, side := range sides {
				s.Cases = append(s.Cases, raceShown(s.Name, side, p, r.Guest.Profile.EE))
			}
			s.Cases = append(s.Cases, causeNamed(s.Name, p, r.Model.Check))
		}
	}
}

// causeNamed is the case that findings say why a driver without the lock is
// corrupted.
func causeNamed(suite string, p report.Phase, check *model.Check) report.Case {
	c := report.Case{Suite: suite, Name: "cause-named", Status: report.Pass, Metrics: map[string]float64{}}
	if check != nil && check.Off {
		c.Status, c.Reason = report.Skip, "the checker is off"
		return c
	}
	for _, id := range []string{"QCE-LOCK-001", "QCE-CFG-011"} {
		n := p.Findings[id]
		c.Metrics[id] = float64(n)
		if n == 0 {
			c.Status, c.Detail = report.Fail, strings.TrimSpace(c.Detail+"\n"+id+" was not found")
		}
	}
	return c
}

// everySide adds the algorithms that each driver has and that had no turn.
func everySide(list []report.Side) []report.Side {
	list = slices.Clone(list)
	for _, a := range suites.RequiredAlgorithms() {
		if !slices.ContainsFunc(list, func(s report.Side) bool { return s.Algorithm == a.Driver }) {
			list = append(list, report.Side{Algorithm: a.Driver})
		}
	}
	return list
}

// stood is the case that enough requests were right.
func stood(suite *report.Suite, phases []report.Phase) report.Case {
	right := uint64(0)
	for _, p := range phases {
		if p.Suite != suite.Name {
			continue
		}
		for _, side := range p.Linux {
			right += side.Requests - min(side.Requests, side.Corrupted)
		}
	}
	c := report.Case{Suite: suite.Name, Name: "enough", Status: report.Pass, Metrics: map[string]float64{job.MetricRequests: float64(right)}}
	switch {
	case right >= enough:
	case byTcrypt(suite.Cases):
		c.Status, c.Reason = report.Skip, "requests are made by tcrypt here, which does not count them"
	case slices.ContainsFunc(suite.Cases, func(c report.Case) bool { return c.Status == report.Skip && !strings.Contains(c.Name, "/") }):
		c.Status, c.Reason = report.Skip, "phases were skipped"
	default:
		c.Status, c.Detail = report.Fail, fmt.Sprintf("%d requests were right under attack: at least %d show that the lock holds", right, enough)
	}
	return c
}

// raceShown is the case that an algorithm was corrupted, by the guest's count or
// by what the hardware's side found of the same algorithm.
func raceShown(suite string, side report.Side, p report.Phase, ee int) report.Case {
	found := side.Corrupted
	if a, ok := suites.AlgorithmByDriver(side.Algorithm); ok {
		for _, b := range p.Integrity {
			for _, n := range b.Algs {
				if b.EE == ee && n.Alg == a.Engine() {
					found = max(found, min(n.Corrupted, side.Requests)) // RFC 4309 and CCM are one to the engine
				}
			}
		}
	}
	c := report.Case{Suite: suite, Name: "race-shown/" + side.Algorithm, Algorithm: side.Algorithm, Status: report.Pass,
		Metrics: map[string]float64{job.MetricRequests: float64(side.Requests), job.MetricCorrupted: float64(found)}}
	switch {
	case side.Requests+side.Failed+side.Hung == 0:
		c.Status, c.Detail = report.Fail, "it had no turn: nothing is shown of it"
	case found == 0:
		c.Status = report.Fail
		c.Detail = fmt.Sprintf("none of %d requests was corrupted, though the driver does not lock: the attack is too weak", side.Requests)
	}
	return c
}
