package suites

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// fakeClient answers requests as it is told.
type fakeClient struct {
	do func() ([]byte, error)
}

func (c fakeClient) draw(*draws) (request, error) {
	return request{what: "request", do: c.do, want: []byte{1, 2, 3}}, nil
}
func (fakeClient) Close() error { return nil }

// loaded runs a phase against an engine that answers by algorithm.
func loaded(t *testing.T, phase job.Phase, do map[string]func() ([]byte, error)) (cases map[string]report.Case, err error) {
	t.Helper()
	env := envOf("contention", healthy())
	env.Job.Seed = 5
	var mu sync.Mutex
	cases = map[string]report.Case{}
	env.Emit = func(e job.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Case != nil {
			cases[e.Case.Name] = *e.Case
		}
	}
	p := &phaseRun{env: env, phase: phase, hang: time.Minute, perOpen: perClient,
		open: func(a EngineAlgorithm, _ *draws) (client, error) { return fakeClient{do[a.Driver]}, nil }}
	for _, a := range EngineAlgorithms() {
		if do[a.Driver] != nil {
			p.algs = append(p.algs, a)
		}
	}
	return cases, p.run(t.Context())
}

func right() ([]byte, error) { return []byte{1, 2, 3}, nil }
func wrong() ([]byte, error) { return []byte{1, 9, 3}, nil }

func TestLoad(t *testing.T) {
	var release chan bool
	hangs := func() ([]byte, error) { <-release; return nil, nil }
	fails := func() ([]byte, error) { return nil, errors.New("no such luck") }
	for name, tt := range map[string]struct {
		phase job.Phase
		do    map[string]func() ([]byte, error)
		want  map[string]report.Status
	}{
		"all right": {job.Phase{Requests: 100, Threads: 3}, map[string]func() ([]byte, error){"cbc-aes-qce": right, "sha256-qce": right},
			map[string]report.Status{"requests/cbc-aes-qce": report.Pass, "requests/sha256-qce": report.Pass}},
		"one wrong": {job.Phase{Requests: 200, Threads: 3}, map[string]func() ([]byte, error){"cbc-aes-qce": right, "sha256-qce": wrong},
			map[string]report.Status{"requests/cbc-aes-qce": report.Pass, "requests/sha256-qce": report.Fail}},
		"wrong as expected": {job.Phase{Requests: 200, Threads: 3, Expected: job.Expected{Corrupted: "why"}},
			map[string]func() ([]byte, error){"cbc-aes-qce": right, "sha256-qce": wrong},
			map[string]report.Status{"requests/cbc-aes-qce": report.Pass, "requests/sha256-qce": report.XFail}},
		"fails, not as expected": {job.Phase{Requests: 200, Threads: 3, Expected: job.Expected{Corrupted: "why"}},
			map[string]func() ([]byte, error){"cbc-aes-qce": fails},
			map[string]report.Status{"requests/cbc-aes-qce": report.Fail}},
		"hangs in turn": {job.Phase{Requests: 90, Threads: 3, InTurn: true, Expected: job.Expected{Hung: "why"}},
			map[string]func() ([]byte, error){"cbc-aes-qce": right, "xts-aes-qce": hangs, "sha256-qce": right},
			map[string]report.Status{"requests/cbc-aes-qce": report.Pass, "requests/xts-aes-qce": report.XFail}},
		"nothing known beside": {job.Phase{Requests: 90, Threads: 3, Beside: "dancing"}, map[string]func() ([]byte, error){"cbc-aes-qce": right},
			map[string]report.Status{"requests/cbc-aes-qce": report.Fail}},
	} {
		synctest.Test(t, func(t *testing.T) {
			release = make(chan bool)
			defer close(release)
			cases, err := loaded(t, tt.phase, tt.do)
			if (err != nil) != (tt.phase.Beside != "") {
				t.Errorf("%s: %v", name, err)
			}
			got := map[string]report.Status{}
			for name, c := range cases {
				got[name] = c.Status
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		})
	}
}

// TestLoadCounts has every third result wrong: the metrics say so, and where the
// first wrong byte is.
func TestLoadCounts(t *testing.T) {
	var n atomic.Int64
	cases, err := loaded(t, job.Phase{Requests: 300, Threads: 4}, map[string]func() ([]byte, error){"cbc-aes-qce": func() ([]byte, error) {
		if n.Add(1)%3 == 0 {
			return wrong()
		}
		return right()
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := cases["requests/cbc-aes-qce"]
	want := map[string]float64{job.MetricRequests: 300, job.MetricCorrupted: 100, job.MetricFailed: 0, job.MetricHung: 0}
	if diff := cmp.Diff(want, c.Metrics); diff != "" {
		t.Error(diff)
	}
	if want := "first: request: 1 of 3 bytes differ, the first at 1: 0x09 instead of 0x02\n100 of 300: results wrong"; c.Detail != want {
		t.Errorf("detail %q, want %q", c.Detail, want)
	}
}

// TestLoadStops ends a load from outside.
func TestLoadStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	env := envOf("contention", healthy())
	p := &phaseRun{env: env, phase: job.Phase{Requests: 1 << 30, Threads: 2}, hang: time.Minute, perOpen: perClient,
		open: func(EngineAlgorithm, *draws) (client, error) { return fakeClient{right}, nil }}
	a, _ := AlgorithmByDriver("cbc-aes-qce")
	p.algs = []EngineAlgorithm{a}
	l := newLoad(p, p.algs, p.phase.Requests, 0)
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := l.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestChange has the drivers changed under a load: nobody has an algorithm open
// meanwhile.
func TestChange(t *testing.T) {
	k := healthy()
	env := envOf("contention", k)
	env.Emit = func(job.Event) {}
	var inside atomic.Int64
	p := &phaseRun{env: env, phase: job.Phase{Requests: 1 << 30, Threads: 3}, hang: time.Minute, perOpen: perClient,
		open: func(EngineAlgorithm, *draws) (client, error) {
			inside.Add(1)
			return countedClient{fakeClient{right}, &inside}, nil
		}}
	a, _ := AlgorithmByDriver("cbc-aes-qce")
	p.algs = []EngineAlgorithm{a}
	l := newLoad(p, p.algs, p.phase.Requests, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.run(ctx) }()
	c := p.change(ctx, l, "change", func(round int) error {
		if n := inside.Load(); n != 0 {
			return fmt.Errorf("%d open", n)
		}
		if round == 1 {
			cancel()
		}
		return nil
	})
	if c.Status != report.Pass || c.Metrics["rounds"] != 2 {
		t.Errorf("%+v", c)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	k.algorithms = nil // the driver does not come back: do not wait for it here
	c = p.change(t.Context(), l, "change", func(int) error { return errors.New("device is gone") })
	if c.Status != report.Fail || c.Detail != "round 1: device is gone" {
		t.Errorf("%+v", c)
	}
}

type countedClient struct {
	fakeClient
	n *atomic.Int64
}

func (c countedClient) Close() error { c.n.Add(-1); return nil }

func TestBoundDevice(t *testing.T) {
	for driver, want := range map[string]string{bamDriver: "10004000.dma-controller", qceDriver: "1003a000.crypto", "none": ""} {
		got, err := boundDevice(healthy(), driver)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", driver, got, err)
		}
	}
}

// TestDraws checks that what is drawn is what each algorithm takes, the
// reference included.
func TestDraws(t *testing.T) {
	d := &draws{rand.New(rand.NewPCG(1, 2))}
	for _, a := range EngineAlgorithms() {
		for range 50 {
			src, iv := d.message(a), d.iv(a)
			if len(src) == 0 || len(iv) != a.IV || a.Kind != Hash && len(src)%a.Block != 0 {
				t.Fatalf("%s: %d bytes, IV of %d", a.Driver, len(src), len(iv))
			}
			var c client
			switch a.Kind {
			case Skcipher:
				c = cipherClient{alg: a, key: d.bytes(a.KeySizes[0])}
			case Hash:
				c = hashClient{alg: a, key: d.bytes(20)}
			case AEAD:
				c = aeadClient{alg: a, keys: testAEADKeys(a, a.KeySizes[0]), tag: a.TagSizes[0]}
			}
			if q, err := c.draw(d); err != nil || len(q.want) == 0 {
				t.Fatalf("%s: %v, %d bytes", a.Driver, err, len(q.want))
			}
		}
	}
	// Both directions come up.
	ways := map[string]bool{}
	for range 50 {
		a, _ := AlgorithmByDriver("cbc-aes-qce")
		q, _ := cipherClient{alg: a, key: testKey(16)}.draw(d)
		ways[q.what[:7]] = true
	}
	if !ways[afalg.Encrypt.String()] || !ways[afalg.Decrypt.String()] {
		t.Errorf("drawn: %v", ways)
	}
}

// TestDeal: each algorithm has its turn in each round.
func TestDeal(t *testing.T) {
	p := &phaseRun{env: envOf("contention", healthy())}
	l := newLoad(p, EngineAlgorithms(), 1, 0)
	for range 5 {
		seen := map[string]bool{}
		for range l.algs {
			seen[l.deal().Driver] = true
		}
		if len(seen) != len(l.algs) {
			t.Errorf("%d of %d algorithms in a round", len(seen), len(l.algs))
		}
	}
}

func TestPhaseTarget(t *testing.T) {
	if got := phaseTarget(job.Phase{}); got != nil {
		t.Errorf("all algorithms: %v", got)
	}
	got := phaseTarget(job.Phase{Algorithms: []string{"xts-aes-qce", "unheard-of", "sha256-qce"}})
	if !slices.EqualFunc(got, []string{"xts-aes-qce", "sha256-qce"}, func(a EngineAlgorithm, name string) bool { return a.Driver == name }) {
		t.Errorf("%v", got)
	}
	env := envOf("contention", healthy())
	env.Job.Phase = &job.Phase{Threads: 1}
	if err := (contention{}).Run(t.Context(), env); err == nil {
		t.Error("a phase of no requests")
	}
}

// TestLateIsSkipped: what never had its turn tells nothing of the driver.
func TestLateIsSkipped(t *testing.T) {
	var c report.Case
	if judgeCount(&c, &requestCount{late: true}, job.Expected{}); c.Status != report.Skip || c.Reason == "" {
		t.Errorf("%+v", c)
	}
}
