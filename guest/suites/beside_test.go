package suites

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// heldKernel is a kernel whose modules are in use as long as somebody has an
// algorithm open.
type heldKernel struct {
	*fakeGuest

	mu     sync.Mutex
	open   int
	loaded map[string]bool
	tries  int // to remove qcrypto
	gone   int // openings of what is not there
}

func (k *heldKernel) UnloadModule(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if name == bamModule && k.loaded[qceModule] {
		return unix.EAGAIN
	}
	if name == qceModule {
		k.tries++
		if k.open > 0 {
			return unix.EAGAIN
		}
	}
	delete(k.loaded, name)
	return nil
}

func (k *heldKernel) LoadModule(name string, _ ...string) error {
	for end := time.Now().Add(time.Minute); !k.missed() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loaded[name] = true
	return nil
}

// missed reports whether somebody has wanted to open what was not there.
func (k *heldKernel) missed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gone > 0
}

func (k *heldKernel) openOne(EngineAlgorithm, *draws) (client, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.loaded[qceModule] {
		k.gone++
		return nil, unix.ENOENT
	}
	k.open++
	return heldClient{fakeClient{right}, k}, nil
}

type heldClient struct {
	fakeClient
	k *heldKernel
}

func (c heldClient) Close() error {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.k.open--
	return nil
}

// loadOf is a load of one algorithm on a phase.
func loadOf(t *testing.T, phase job.Phase, k Kernel, open func(EngineAlgorithm, *draws) (client, error)) (*phaseRun, map[string]report.Case) {
	t.Helper()
	env := envOf("contention", k)
	var mu sync.Mutex
	cases := map[string]report.Case{}
	env.Emit = func(e job.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Case != nil {
			cases[e.Case.Name] = *e.Case
		}
	}
	p := &phaseRun{env: env, phase: phase, hang: time.Minute, perOpen: perClient, open: open, write: func(string, string) error { return nil }}
	a, ok := AlgorithmByDriver("cbc-aes-qce")
	if !ok {
		t.Fatal("no cbc-aes-qce")
	}
	p.algs = []EngineAlgorithm{a}
	return p, cases
}

// TestReload removes modules under a load that does not stop: the kernel refuses
// while they are in use, and who finds nothing to open comes back.
func TestReload(t *testing.T) {
	k := &heldKernel{fakeGuest: healthy(), loaded: map[string]bool{qceModule: true, bamModule: true}}
	p, cases := loadOf(t, job.Phase{Requests: 500, Threads: 3, Beside: job.BesideReload}, k, k.openOne)
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	reload := cases[job.BesideReload]
	if reload.Status != report.Pass || reload.Metrics["rounds"] < changes || reload.Metrics["refused"] == 0 {
		t.Errorf("%+v", reload)
	}
	if c := cases["requests/cbc-aes-qce"]; c.Status != report.Pass || c.Metrics[job.MetricFailed] != 0 {
		t.Errorf("%+v", c)
	}
	if k.gone == 0 {
		t.Error("nobody wanted to open an algorithm while the module was gone: the load stood still")
	}
}

// freeKernel lets go of a module that is in use.
type freeKernel struct{ *heldKernel }

func (k freeKernel) UnloadModule(string) error { return nil }

// TestReloadNotRefused: a kernel that removes a module in use has failed.
func TestReloadNotRefused(t *testing.T) {
	k := &heldKernel{fakeGuest: healthy(), loaded: map[string]bool{qceModule: true, bamModule: true}}
	p, cases := loadOf(t, job.Phase{Requests: 500, Threads: 3, Beside: job.BesideReload}, freeKernel{k}, k.openOne)
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := cases[job.BesideReload]; c.Status != report.Fail {
		t.Errorf("%+v", c)
	}
}

// mayDie is of a phase that the kernel may die in, with the first of these words.
var mayDie = job.Expected{Crash: "frees what is in use", CrashSays: "crypto_unregister_alg"}

const (
	foretoldWarning = "WARNING: CPU: 0 PID: 1 at crypto/algapi.c:467 crypto_unregister_alg+0xd0/0xd8\n"
	otherOops       = "Unable to handle kernel NULL pointer dereference\n"
)

// TestUnbind takes the device away in the middle of requests. What was right
// until then and what comes of it are two results.
func TestUnbind(t *testing.T) {
	noDevice := errors.New("no such device")
	for name, tt := range map[string]struct {
		expected job.Expected
		says     string // the kernel
		after    error  // of requests once the device is gone; nil: they go on
		write    error
		unbind   report.Status
		later    report.Status
	}{
		"stands it":                          {job.Expected{}, "", nil, nil, report.Pass, report.Pass},
		"does not":                           {job.Expected{}, "", unix.ENODEV, nil, report.Pass, report.Fail},
		"does not, and may":                  {mayDie, foretoldWarning, unix.ENODEV, nil, report.Pass, report.XFail},
		"does not, and the kernel is silent": {mayDie, "", unix.ENODEV, nil, report.Pass, report.Fail},
		"does not, for another reason":       {mayDie, otherOops + foretoldWarning, unix.ENODEV, nil, report.Pass, report.Fail},
		"fails":                              {job.Expected{}, "", nil, noDevice, report.Fail, report.Pass},
		"fails, and may":                     {mayDie, foretoldWarning, nil, noDevice, report.XFail, report.Pass},
		"fails, and the kernel is silent":    {mayDie, "", nil, noDevice, report.Fail, report.Pass},
		"fails, for another reason":          {mayDie, otherOops + foretoldWarning, nil, noDevice, report.Fail, report.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			var gone atomic.Bool
			k := healthy()
			k.log = append(k.log, logLines(tt.says)...)
			p, cases := loadOf(t, job.Phase{Requests: 400, Threads: 2, Beside: job.BesideUnbindQCE, Expected: tt.expected}, k, func(EngineAlgorithm, *draws) (client, error) {
				return fakeClient{func() ([]byte, error) {
					time.Sleep(100 * time.Microsecond)
					if gone.Load() && tt.after != nil {
						return nil, tt.after
					}
					return right()
				}}, nil
			})
			p.write = func(string, string) error { gone.Store(true); return tt.write }
			if err := p.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c := cases["requests/cbc-aes-qce"]; c.Status != report.Pass || c.Metrics[job.MetricRequests] < 100 {
				t.Errorf("before: %+v", c)
			}
			if c := cases[job.BesideUnbindQCE]; c.Status != tt.unbind {
				t.Errorf("unbind: %+v", c)
			}
			if c := cases["after/cbc-aes-qce"]; c.Status != tt.later {
				t.Errorf("after: %+v", c)
			}
		})
	}
}

// TestUnbindUntil: what goes wrong while the results so far are reported, before
// the device is taken away, has no excuse.
func TestUnbindUntil(t *testing.T) {
	var reporting atomic.Bool
	var wrongs atomic.Int64
	k := healthy()
	k.log = append(k.log, logLines(foretoldWarning)...)
	p, cases := loadOf(t, job.Phase{Requests: 400, Threads: 2, Beside: job.BesideUnbindQCE, Expected: mayDie}, k, func(EngineAlgorithm, *draws) (client, error) {
		return fakeClient{func() ([]byte, error) {
			time.Sleep(100 * time.Microsecond)
			if reporting.Load() {
				wrongs.Add(1)
				return wrong()
			}
			return right()
		}}, nil
	})
	emit := p.env.Emit
	p.env.Emit = func(e job.Event) {
		if e.Case != nil && e.Case.Name == "requests/cbc-aes-qce" {
			reporting.Store(true)
			for wrongs.Load() < 20 { // most of which have been counted then
				time.Sleep(time.Millisecond)
			}
			reporting.Store(false)
		}
		emit(e)
	}
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := cases["requests/cbc-aes-qce"]; c.Status != report.Pass {
		t.Errorf("before: %+v", c)
	}
	if c := cases["until/cbc-aes-qce"]; c.Status != report.Fail || c.Metrics[job.MetricCorrupted] < 10 {
		t.Errorf("until: %+v", c)
	}
}

// TestUnbindStuck: a kernel that does not come back from it is given up.
func TestUnbindStuck(t *testing.T) {
	p, cases := loadOf(t, job.Phase{Requests: 100, Threads: 2, Beside: job.BesideUnbindBAM, Expected: mayDie}, healthy(), func(EngineAlgorithm, *draws) (client, error) {
		return fakeClient{right}, nil
	})
	p.hang = 50 * time.Millisecond
	release := make(chan bool)
	defer close(release)
	p.write = func(string, string) error { <-release; return nil }
	if err := p.run(t.Context()); err != nil && !errors.Is(err, errHung) {
		t.Fatal(err)
	}
	if c := cases[job.BesideUnbindBAM]; c.Status != report.Fail && c.Status != report.Timeout {
		t.Errorf("%+v", c)
	}
}

// TestBesideSlow: what has begun beside a load may take longer than the engine may
// serve nobody, but not for ever.
func TestBesideSlow(t *testing.T) {
	for _, tt := range []struct {
		takes time.Duration
		want  report.Status
	}{{besideAfter - time.Second, report.Pass}, {besideAfter + time.Second, report.Timeout}} {
		synctest.Test(t, func(t *testing.T) {
			besides["slow"] = func(ctx context.Context, _ *phaseRun, l *load) report.Case {
				l.more.Store(false)
				<-ctx.Done()
				time.Sleep(tt.takes)
				return report.Case{Name: "slow", Status: report.Pass}
			}
			defer delete(besides, "slow")
			p, cases := loadOf(t, job.Phase{Requests: 100, Threads: 2, Beside: "slow"}, healthy(), func(EngineAlgorithm, *draws) (client, error) {
				return fakeClient{right}, nil
			})
			p.hang = hangExpected
			if err := p.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer time.Sleep(tt.takes) // it is given up, and ends
			if c := cases["slow"]; c.Status != tt.want {
				t.Errorf("%v: %+v", tt.takes, c)
			}
			if c := cases["requests/cbc-aes-qce"]; c.Status != report.Pass {
				t.Errorf("%v: %+v", tt.takes, c)
			}
		})
	}
}
