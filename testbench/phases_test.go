package testbench

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/integrity"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/rulebook"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/report"
)

func sdm845(t *testing.T) *cryptoblock.Profile {
	t.Helper()
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func runOf(t *testing.T, driver string) *run {
	return &run{Config: Config{Guest: GuestConfig{Profile: sdm845(t), Driver: driver}, Seed: 3,
		Model: model.Config{SoC: cryptoblock.DefaultSoC, Seed: 3}}}
}

// TestPlans makes all phases of both drivers, each with a model that can be
// built, and counts the requests that a driver with the lock has to stand.
func TestPlans(t *testing.T) {
	for _, driver := range []string{job.Stock, job.Series} {
		r := runOf(t, driver)
		for suite, s := range phaseSuites {
			if known, ok := suites.ByName(suite); !ok || known.Boot() != suites.BootPhases {
				t.Errorf("%s is no suite of several boots", suite)
			}
			plan, err := s.plan(r)
			if err != nil {
				t.Fatal(err)
			}
			requests, names := 0, map[string]bool{}
			for _, p := range plan {
				requests += p.guest.Requests
				if names[p.name] || p.hardware == "" || p.expected == "" || p.guest.Threads < 2 {
					t.Errorf("%s/%s: %+v", suite, p.name, p)
				}
				names[p.name] = true
				c := p.model
				c.SoC = cryptoblock.DefaultSoC
				m, err := NewModel(c, Recording{})
				if err != nil {
					t.Errorf("%s/%s: %v", suite, p.name, err)
					continue
				}
				if suite == "contention" && len(m.Antagonists()) == 0 {
					t.Errorf("%s/%s: nobody else uses the engine", suite, p.name)
				}
				e := p.guest.Expected
				if clean := e.Corrupted+e.Failed+e.Hung == ""; suite == "contention" && clean != (driver == job.Series) {
					t.Errorf("%s/%s, driver %s: expected %+v", suite, p.name, driver, p.guest.Expected)
				}
			}
			if suite != "contention" {
				continue
			}
			if driver == job.Series && requests < 20000 {
				t.Errorf("%d requests in all", requests)
			}
			for _, name := range []string{job.BesideTcrypt, job.BesideRebind, job.BesideReload, job.BesideReboot, job.BesideUnbindQCE, job.BesideUnbindBAM} {
				if !names[name] {
					t.Errorf("driver %s: no phase with %s", driver, name)
				}
			}
		}
	}
}

// TestOwnAntagonist has the user's antagonist instead of the plan's.
func TestOwnAntagonist(t *testing.T) {
	for text, why := range map[string]string{"every=3": "", "every=3,mode=mmio": foreignWrites} {
		policy, err := antagonist.ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		r := runOf(t, job.Series)
		r.Model.Antagonists = []antagonist.Policy{policy}
		plan, err := contentionPlan(r)
		if err != nil || len(plan) != 1 || plan[0].model.Antagonists[0].String() != policy.String() {
			t.Fatalf("%s: %+v, %v", text, plan, err)
		}
		if got := plan[0].guest.Expected.Corrupted; got != why {
			t.Errorf("%s: expected %q, want %q", text, got, why)
		}
	}
}

func requestsCase(driver string, requests, corrupted, hung float64, detail string) report.Case {
	return report.Case{Name: caseRequests + driver, Algorithm: driver, Detail: detail,
		Metrics: map[string]float64{job.MetricRequests: requests, job.MetricCorrupted: corrupted, job.MetricHung: hung}}
}

func TestAddSuites(t *testing.T) {
	to := report.Suite{Name: "contention", Ended: true}
	addSuites(&to, "between", []report.Suite{
		{Seconds: 2, Ended: true, Cases: []report.Case{requestsCase("xts-aes-qce", 10, 2, 0, "first: this\nmore"), {Name: "complete"}}},
		{Seconds: 3, Error: "it died", Cases: []report.Case{requestsCase("xts-aes-qce", 5, 1, 1, "first: that"), requestsCase("cbc-aes-qce", 1, 0, 0, "")}},
	})
	var names []string
	for _, c := range to.Cases {
		names = append(names, c.Name)
	}
	want := []string{"between/requests/xts-aes-qce", "between/complete", "between#2/requests/xts-aes-qce", "between#2/requests/cbc-aes-qce"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if to.Ended || to.Error != "between: it died" || to.Seconds != 5 {
		t.Errorf("%+v", to)
	}
	got := sides(to.Cases)
	if diff := cmp.Diff([]report.Side{
		{Algorithm: "cbc-aes-qce", Requests: 1},
		{Algorithm: "xts-aes-qce", Requests: 15, Corrupted: 3, Hung: 1, First: "this"},
	}, got); diff != "" {
		t.Error(diff)
	}
	if got, want := outcome(&report.Phase{Linux: got}), "of 17 requests 3 with a wrong result, 1 without an end"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUntried(t *testing.T) {
	if left := untried(nil); left != nil {
		t.Errorf("of a guest that did nothing: %v", left)
	}
	done := []report.Suite{{Cases: []report.Case{requestsCase("cbc-aes-qce", 1, 0, 1, "")}},
		{Cases: []report.Case{{Name: caseOpen + "sha256-qce", Algorithm: "sha256-qce"}, {Name: "complete"}}}}
	left := untried(done)
	if slices.Contains(left, "cbc-aes-qce") || slices.Contains(left, "sha256-qce") || !slices.Contains(left, "xts-aes-qce") {
		t.Errorf("left: %v", left)
	}
}

func TestJudgeAttack(t *testing.T) {
	for name, tt := range map[string]struct {
		why    string
		others antagonist.Counts
		book   integrity.Book
		want   []report.Status // of the antagonist, of the hardware's side
	}{
		"clean":             {"", antagonist.Counts{Requests: 5}, integrity.Book{Requests: 9}, []report.Status{report.Pass, report.Pass}},
		"idle":              {"", antagonist.Counts{}, integrity.Book{Requests: 9}, []report.Status{report.Fail, report.Pass}},
		"no way in":         {"", antagonist.Counts{}, integrity.Book{}, []report.Status{report.Skip}},
		"nothing seen":      {"", antagonist.Counts{Requests: 5}, integrity.Book{}, []report.Status{report.Pass, report.Fail}},
		"nothing judged":    {"", antagonist.Counts{Requests: 5}, integrity.Book{Requests: 9, Unjudged: 9}, []report.Status{report.Pass, report.Fail}},
		"own lost":          {"", antagonist.Counts{Requests: 5}, integrity.Book{Requests: 9, Lost: 1}, []report.Status{report.Pass, report.Fail}},
		"stray":             {"", antagonist.Counts{Requests: 5}, integrity.Book{Requests: 9, Stray: 1}, []report.Status{report.Pass, report.Fail}},
		"idle, though":      {noLock, antagonist.Counts{}, integrity.Book{Requests: 9}, []report.Status{report.Fail, report.Pass}},
		"other's corrupted": {"", antagonist.Counts{Requests: 5, Corrupted: 1}, integrity.Book{Requests: 9}, []report.Status{report.Fail, report.Pass}},
		"other's hung":      {"", antagonist.Counts{Requests: 5, Hung: 1}, integrity.Book{Requests: 9}, []report.Status{report.Fail, report.Pass}},
		"own":               {"", antagonist.Counts{Requests: 5}, integrity.Book{Requests: 9, Corrupted: 2}, []report.Status{report.Pass, report.Fail}},
		"as expected":       {noLock, antagonist.Counts{Requests: 5, Corrupted: 1}, integrity.Book{Requests: 9, Corrupted: 2}, []report.Status{report.XFail, report.XFail}},
	} {
		p := phaseResult{plan: &phasePlan{name: "p", guest: job.Phase{Expected: job.Expected{Corrupted: tt.why}}}, suite: &report.Suite{Name: "contention"},
			phase: &report.Phase{Others: []antagonist.Counts{tt.others}, Integrity: []integrity.Book{tt.book}}}
		if name != "no way in" {
			p.phase.Linux = []report.Side{{Algorithm: "cbc-aes-qce"}}
		}
		judgeAttack(&p)
		var got []report.Status
		for _, c := range p.suite.Cases {
			got = append(got, c.Status)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestJudgeCrash: a kernel that dies as foretold is excused for what becomes of
// its own requests, and for nobody else's; one that does not say so for nothing.
func TestJudgeCrash(t *testing.T) {
	ok, bad := antagonist.Counts{Requests: 5}, antagonist.Counts{Requests: 5, Corrupted: 1}
	own, others := integrity.Book{EE: 0, Requests: 9, Corrupted: 1}, integrity.Book{EE: 1, Requests: 9, Corrupted: 1}
	for name, tt := range map[string]struct {
		foretold bool
		why      string
		others   antagonist.Counts
		book     integrity.Book
		want     []report.Status // of the antagonist, of the hardware's side
	}{
		"own":                        {true, "", ok, own, []report.Status{report.Pass, report.XFail}},
		"own, but the kernel lives":  {false, "", ok, own, []report.Status{report.Pass, report.Fail}},
		"antagonist's":               {true, "", bad, own, []report.Status{report.Fail, report.XFail}},
		"another's":                  {true, "", ok, others, []report.Status{report.Pass, report.Fail}},
		"another's without the lock": {true, noLock, bad, others, []report.Status{report.XFail, report.XFail}},
	} {
		p := phaseResult{plan: &phasePlan{name: "p", guest: job.Phase{Beside: job.BesideUnbindQCE, Expected: crashQCE}}, suite: &report.Suite{Name: "contention"},
			foretold: tt.foretold, phase: &report.Phase{Others: []antagonist.Counts{tt.others}, Integrity: []integrity.Book{tt.book}}}
		p.plan.guest.Expected.Corrupted = tt.why
		judgeAttack(&p)
		var got []report.Status
		for _, c := range p.suite.Cases {
			got = append(got, c.Status)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	r := &run{}
	con := &console{w: io.Discard, alive: func() {}}
	for _, foretold := range []bool{false, true} {
		r.judge(bootPlan{phase: &job.Phase{Expected: crashQCE}}, newCollector(func(string) {}, progress.New(io.Discard)), con, "", "")
		if r.foretold != foretold {
			t.Errorf("foretold: %v, want %v", r.foretold, foretold)
		}
		con.Write([]byte("WARNING: CPU: 0 PID: 1 at crypto/algapi.c:467 crypto_unregister_alg+0xd0/0xd8\n"))
	}
}

// TestRaceShown: a driver without the lock that nothing happened to is an
// attack that has failed.
func TestRaceShown(t *testing.T) {
	for name, tt := range map[string]struct {
		side report.Side
		book integrity.AlgCount
		want report.Status
	}{
		"by the guest":    {report.Side{Algorithm: "xts-aes-qce", Requests: 5, Corrupted: 1}, integrity.AlgCount{}, report.Pass},
		"by the hardware": {report.Side{Algorithm: "xts-aes-qce", Requests: 5}, integrity.AlgCount{Alg: "xts-aes", Corrupted: 1}, report.Pass},
		"of another":      {report.Side{Algorithm: "xts-aes-qce", Requests: 5}, integrity.AlgCount{Alg: "cbc-aes", Corrupted: 1}, report.Fail},
		"not":             {report.Side{Algorithm: "xts-aes-qce", Requests: 5}, integrity.AlgCount{}, report.Fail},
		"no turn":         {report.Side{Algorithm: "xts-aes-qce"}, integrity.AlgCount{}, report.Fail},
	} {
		p := report.Phase{Integrity: []integrity.Book{{EE: 0, Algs: []integrity.AlgCount{tt.book}}}}
		if got := raceShown("contention", tt.side, p, 0); got.Status != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestJudgeContention: an algorithm that had no turn is missed, and so are
// requests that were not made.
func TestJudgeContention(t *testing.T) {
	all := func(corrupted, requests uint64) (list []report.Side) {
		for _, a := range suites.RequiredAlgorithms() {
			list = append(list, report.Side{Algorithm: a.Driver, Requests: requests, Corrupted: corrupted})
		}
		return list
	}
	for name, tt := range map[string]struct {
		driver string
		linux  []report.Side
		fails  int
	}{
		"stock":               {job.Stock, all(3, 10), 0},
		"stock, one missing":  {job.Stock, all(3, 10)[1:], 1},
		"stock, nothing":      {job.Stock, all(0, 10), len(all(0, 0))},
		"series":              {job.Series, all(0, enough), 0},
		"series, too few":     {job.Series, all(0, 10), 1},
		"series, all corrupt": {job.Series, all(enough, enough), 1},
	} {
		r, s := runOf(t, tt.driver), report.Suite{Name: "contention"}
		r.report.Phases = []report.Phase{{Suite: s.Name, Name: raceBetween, Linux: tt.linux,
			Findings: map[string]uint64{"QCE-LOCK-001": 3, "QCE-CFG-011": 1}}, {Suite: "faults", Linux: all(0, enough)}}
		judgeContention(r, &s)
		fails := 0
		for _, c := range s.Cases {
			if c.Status == report.Fail {
				fails++
			}
		}
		if fails != tt.fails || len(s.Cases) == 0 {
			t.Errorf("%s: %d failures, want %d: %+v", name, fails, tt.fails, s.Cases)
		}
	}
}

// TestPlansOfEachChip: what a chip has no room for is skipped, not run into.
func TestPlansOfEachChip(t *testing.T) {
	for _, soc := range cryptoblock.Profiles() {
		profile, err := cryptoblock.ProfileByName(soc)
		if err != nil {
			t.Fatal(err)
		}
		for _, driver := range []string{job.Stock, job.Series} {
			r := runOf(t, driver)
			r.Guest.Profile = profile
			plan, err := contentionPlan(r)
			if err != nil {
				t.Fatal(err)
			}
			left := 0
			for _, p := range plan {
				c := p.model
				c.SoC = soc
				_, err := NewModel(c, Recording{})
				if (err != nil) != (p.skip != "") {
					t.Errorf("%s, %s: skip %q, %v", c.SoC, p.name, p.skip, err)
				}
				if p.skip == "" {
					left++
				}
			}
			if left < 5 {
				t.Errorf("%s: %d phases are left", soc, left)
			}
		}
	}
}

func TestFaultBefell(t *testing.T) {
	for times, want := range map[uint64]report.Status{0: report.Fail, 3: report.Pass} {
		f := allFaults[0]
		p := phaseResult{plan: &phasePlan{name: f.name}, suite: &report.Suite{}, phase: &report.Phase{}, faults: cryptoblock.FaultCounts{Lost: times}}
		f.judge(&p)
		if got := p.suite.Cases[0].Status; got != want || p.phase.Faults[f.name] != times {
			t.Errorf("%d times: %s, %v", times, got, p.phase.Faults)
		}
	}
}

func TestMerge(t *testing.T) {
	row := func(alg string, n uint64) attest.Row {
		return attest.Row{Suite: "contention", Algorithm: alg, Requests: n, Locked: n, ByCommand: n, Bytes: n, ByCPU: n, ByBoth: n, Errors: n}
	}
	rows := mergeRows([]attest.Row{row("a", 1), row("b", 2)}, []attest.Row{row("b", 3), row("c", 4)})
	if diff := cmp.Diff([]attest.Row{row("a", 1), row("b", 5), row("c", 4)}, rows); diff != "" {
		t.Error(diff)
	}
	list := mergeFindings(
		[]finding.Finding{{ID: "B", Count: 1, First: "first", By: []finding.Actor{{EE: 0, Count: 1}}, Suites: []string{"x"}}},
		[]finding.Finding{{ID: "B", Count: 2, First: "second", By: []finding.Actor{{EE: 0, Count: 1}, {EE: 1, Count: 1}}, Suites: []string{"y"}}, {ID: "A", Count: 1}})
	want := []finding.Finding{{ID: "A", Count: 1},
		{ID: "B", Count: 3, First: "first", By: []finding.Actor{{EE: 0, Count: 2}, {EE: 1, Count: 1}}, Suites: []string{"x", "y"}}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
}

func TestLockBook(t *testing.T) {
	p := sdm845(t)
	linux, other := int8(p.RXPipe()), int8(2*p.Places()[0].Pair)
	b := newLockBook(p)
	for i, e := range []trace.Event{
		{Kind: trace.Lock, Pipe: linux, Time: 10},
		{Kind: trace.LockWait, Pipe: other, Time: 11},
		{Kind: trace.RegRead, Pipe: linux},
		{Kind: trace.Unlock, Pipe: linux, Time: 40, Value: uint64(trace.ByUnlock)},
		{Kind: trace.Lock, Pipe: other, Time: 41},
		{Kind: trace.Unlock, Pipe: other, Time: 42, Value: uint64(trace.ByPipeReset)},
	} {
		e.Seq = uint64(i + 1)
		b.Emit(&e)
	}
	want := []report.LockUse{{EE: p.EE, Held: 1, Longest: 30, Steps: 3}, {EE: p.Places()[0].EE, Held: 1, Waited: 1, Longest: 1, Steps: 1, Forced: 1}}
	if p.EE > p.Places()[0].EE {
		want[0], want[1] = want[1], want[0]
	}
	if diff := cmp.Diff(want, b.uses()); diff != "" {
		t.Error(diff)
	}
}

// TestChosen picks phases by name.
func TestChosen(t *testing.T) {
	plan := []phasePlan{{name: "a"}, {name: "b"}, {name: "c"}}
	for _, tt := range []struct{ ask, want []string }{
		{nil, []string{"a", "b", "c"}}, {[]string{"c", "a"}, []string{"a", "c"}}, {[]string{"b", "other"}, []string{"b"}}, {[]string{"other"}, nil},
	} {
		var got []string
		for _, p := range chosen(plan, tt.ask) {
			got = append(got, p.name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v", tt.ask, got)
		}
	}
	if len(plan) != 3 || plan[2].name != "c" {
		t.Errorf("the plan was changed: %+v", plan)
	}
}

// TestCheckPhases: a phase has to be in one of the suites that run.
func TestCheckPhases(t *testing.T) {
	for _, tt := range []struct {
		suites, ask []string
		says        string // "" if it is right
	}{
		{[]string{"contention", "faults"}, []string{"between", "small-buffer"}, ""},
		{[]string{"contention"}, nil, ""},
		{nil, nil, ""},
		{[]string{"faults"}, []string{"between"}, "no phase \"between\""},
		{nil, []string{"between"}, "contention and faults do"},
	} {
		r := runOf(t, job.Series)
		r.Config.Phases = tt.ask
		if err := r.checkPhases(tt.suites); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v of %v: %v", tt.ask, tt.suites, err)
		}
	}
}

// TestMayCrash: a guest may die of what its phase expects, and of nothing else.
func TestMayCrash(t *testing.T) {
	phase := &job.Phase{Expected: job.Expected{Crash: "why", CrashSays: "crypto_unregister_alg"}}
	known, other := "WARNING: CPU: 0 PID: 1 at crypto/algapi.c:467 crypto_unregister_alg+0xd0/0xd8", "Unable to handle kernel NULL pointer"
	for name, tt := range map[string]struct {
		phase      *job.Phase
		complaints []string
		want       bool
	}{
		"as expected":   {phase, []string{known, other}, true},
		"another first": {phase, []string{other, known}, false},
		"self-test":     {phase, []string{"WARNING: CPU: 1 PID: 61 at crypto/testmgr.c:5928 alg_test+0x4e8/0x5f8", known}, true},
		"silent":        {phase, nil, false},
		"not expected":  {&job.Phase{}, []string{known}, false},
		"no phase":      {nil, []string{known}, false},
	} {
		p := bootPlan{phase: tt.phase}
		if got := p.mayCrash(tt.complaints); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	var signs int
	con := &console{w: io.Discard}
	crashing := bootPlan{phase: phase}
	con.alive = crashing.lifeSign(con, func() { signs++ })
	for _, line := range []string{"all is well\n", known + "\n", "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:\n", "and again\n"} {
		con.Write([]byte(line))
	}
	if signs != 2 { // the line with the complaint is the last one
		t.Errorf("%d signs of life", signs)
	}
	for range 3 * maxTrouble {
		con.Write([]byte("WARNING: CPU: 1 PID: 61 at crypto/testmgr.c:5928 alg_test+0x4e8/0x5f8\n" + other + "\n"))
	}
	if lines, _ := con.complaints(); len(lines) != 2*maxTrouble {
		t.Errorf("%d complaints are kept", len(lines))
	}
	con = &console{w: io.Discard, alive: func() {}}
	for range 3 * maxTrouble {
		con.Write([]byte("WARNING: CPU: 1 PID: 61 at crypto/testmgr.c:5928 alg_test+0x4e8/0x5f8\n"))
	}
	con.Write([]byte(known + "\n"))
	if lines, _ := con.complaints(); !crashing.mayCrash(lines) {
		t.Errorf("failed self-tests hide the foretold complaint: %q", lines)
	}
	p, s := bootPlan{phase: phase}, report.Suite{Name: "contention", Error: "it died"}
	p.crashed(&s, "it died", []string{known})
	if c := s.Cases[0]; s.Failed() || c.Status != report.XFail || c.Reason != "why" || c.Detail != known+"\nit died" {
		t.Errorf("%+v", s)
	}
}

// TestJudgeFindings: the project's own series leaves what is explained, and
// nothing else, somebody else's nothing that may do harm. What the other side broke is
// not Linux's.
func TestJudgeFindings(t *testing.T) {
	of := func(id string, ee int) finding.Finding {
		return finding.Finding{ID: id, Severity: "warning", Count: 2, By: []finding.Actor{{EE: ee, Count: 2}}}
	}
	harmful := of("BAM-LOCK-013", 0)
	harmful.Severity = "error"
	for name, tt := range map[string]struct {
		found  []finding.Finding
		beside string
		want   report.Status
	}{
		"nothing":               {nil, "", report.Pass},
		"explained":             {[]finding.Finding{of("QCE-KEY-002", 0)}, "", report.Pass},
		"not explained":         {[]finding.Finding{of("QCE-KEY-002", 0), of("BAM-LOCK-003", 0)}, "", report.Fail},
		"not here":              {[]finding.Finding{of("BAM-LOCK-007", 0)}, "", report.Fail},
		"explained by a reboot": {[]finding.Finding{of("BAM-LOCK-007", 0)}, job.BesideReboot, report.Pass},
		"the other side's":      {[]finding.Finding{of("BAM-LOCK-003", 1)}, "", report.Pass},
	} {
		p := phaseResult{plan: &phasePlan{guest: job.Phase{Beside: tt.beside}}, found: tt.found}
		if c := p.judgeFindings(false); c.Status != tt.want {
			t.Errorf("%s: %+v", name, c)
		}
		if c := p.judgeFindings(true); c.Status != report.Pass { // none of them is an error
			t.Errorf("%s: %+v", name, c)
		}
	}
	rules := rulebook.Rules()
	for _, e := range explained {
		if !slices.ContainsFunc(rules, func(r *trace.Rule) bool { return r.ID == e.id }) || e.why == "" {
			t.Errorf("%s: no such rule, or no explanation", e.id)
		}
	}
	own, err := contentionPlan(runOf(t, job.Series))
	if err != nil {
		t.Fatal(err)
	}
	p := phaseResult{plan: &own[0], suite: &report.Suite{}, phase: &report.Phase{}, found: []finding.Finding{of("BAM-LOCK-003", 0)}}
	if own[0].judge(&p); len(p.suite.Cases) != 1 || p.suite.Cases[0].Status != report.Fail {
		t.Error("the plan of the project's own series does not look at findings")
	}
	r := runOf(t, job.Series)
	r.Guest.Series = "v17.mbx"
	others, err := contentionPlan(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		found finding.Finding
		want  report.Status
	}{{of("BAM-LOCK-003", 0), report.Pass}, {harmful, report.Fail}} {
		p.suite, p.found = &report.Suite{}, []finding.Finding{tt.found}
		if others[0].judge(&p); len(p.suite.Cases) != 1 || p.suite.Cases[0].Status != tt.want {
			t.Errorf("somebody else's series with %s: %+v", tt.found.ID, p.suite.Cases)
		}
	}
}

// TestCauseNamed: a driver without the lock that is corrupted, and of which no
// finding says why, has not been watched well enough.
func TestCauseNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		findings map[string]uint64
		check    *model.Check
		want     report.Status
	}{
		"named":     {map[string]uint64{"QCE-LOCK-001": 3, "QCE-CFG-011": 1}, &model.Check{}, report.Pass},
		"half":      {map[string]uint64{"QCE-LOCK-001": 3}, &model.Check{}, report.Fail},
		"not":       {nil, nil, report.Fail},
		"unwatched": {nil, &model.Check{Off: true}, report.Skip},
	} {
		if c := causeNamed("contention", report.Phase{Findings: tt.findings}, tt.check); c.Status != tt.want {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
