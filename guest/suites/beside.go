package suites

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// besides is what can happen beside a load. Each lets the load end when it has
// shown enough, goes on until the context is done, and says what came of it.
var besides = map[string]func(ctx context.Context, p *phaseRun, l *load) report.Case{
	"":               nil,
	job.BesideTcrypt: besideTcrypt,
	job.BesideRebind: besideRebind,
	job.BesideReload: besideReload,

	job.BesideUnbindQCE: func(ctx context.Context, p *phaseRun, l *load) report.Case {
		return p.unbind(ctx, l, job.BesideUnbindQCE, qceDriver)
	},
	job.BesideUnbindBAM: func(ctx context.Context, p *phaseRun, l *load) report.Case {
		return p.unbind(ctx, l, job.BesideUnbindBAM, bamDriver)
	},
}

// besideTcrypt runs the correctness modes of tcrypt over and over.
func besideTcrypt(ctx context.Context, p *phaseRun, l *load) report.Case {
	c := report.Case{Name: job.BesideTcrypt, Status: report.Pass}
	registered, err := p.env.Kernel.Algorithms()
	if err != nil {
		failf(&c, "%v", err)
		return c
	}
	restore, err := p.plainTests()
	if err != nil {
		failf(&c, "%v", err)
		return c
	}
	defer restore()
	r := &tcryptRuns{env: p.env, registered: registered}
	var algs []EngineAlgorithm
	var modes []int
	for _, a := range p.algs {
		if mode, ok := tcryptTest[a.Name]; ok && notPreferred(registered, a) == "" {
			algs = append(algs, a)
			if !slices.Contains(modes, mode) {
				modes = append(modes, mode)
			}
		}
	}
	if len(modes) == 0 {
		c.Status, c.Reason = report.Skip, "tcrypt has no correctness mode for these algorithms"
		return c
	}
	n := &requestCount{}
	runs := 0
	for ; ctx.Err() == nil; runs++ {
		if runs == len(modes) {
			l.more.Store(false)
		}
		// What has begun is not to be cut short by the load's end.
		log, err := r.load(context.WithoutCancel(ctx), "mode="+strconv.Itoa(modes[runs%len(modes)]))
		var complaints []string
		for _, a := range algs {
			if complaint, failed := log.Failed[a.Name]; failed && !(isXTS(a) && strings.Contains(complaint, noKey)) {
				complaints = append(complaints, complaint)
			}
		}
		switch {
		case err != nil && len(log.Failed) == 0:
			n.failed++
			n.note("%v", err)
			continue
		case len(complaints) > 0:
			n.corrupted++
			n.note("%s", complaints[0])
		}
		n.requests++
	}
	judgeCount(&c, n, p.phase.Expected)
	c.Metrics = map[string]float64{"runs": float64(runs)}
	return c
}

// Folders of the two drivers, and how long the algorithms may take to be back.
const (
	driverDir  = "/sys/bus/platform/drivers"
	restPeriod = 300 * time.Millisecond // of load between two changes
	backWithin = 3 * time.Minute
	changes    = 3 // at least
)

// besideRebind takes the devices from the drivers and gives them back: first
// the engine's alone, then the BAM's too. Nobody has an algorithm open meanwhile:
// what comes of it otherwise, phaseRun.unbind shows.
func besideRebind(ctx context.Context, p *phaseRun, l *load) report.Case {
	devices := map[string]string{}
	for _, driver := range []string{qceDriver, bamDriver} {
		found, err := boundDevice(p.env.Kernel, driver)
		if err != nil {
			return report.Case{Name: job.BesideRebind, Status: report.Fail, Detail: err.Error()}
		}
		devices[driver] = found
	}
	set := func(driver, what string) error {
		if err := p.write(path.Join(driverDir, driver, what), devices[driver]); err != nil {
			return fmt.Errorf("%s %s: %w", what, driver, err)
		}
		return nil
	}
	return p.change(ctx, l, job.BesideRebind, func(round int) error {
		err := set(qceDriver, "unbind")
		if err == nil && round%2 == 1 {
			if err = set(bamDriver, "unbind"); err == nil {
				err = set(bamDriver, "bind")
			}
		}
		if err == nil {
			err = set(qceDriver, "bind")
		}
		return err
	})
}

// boundDevice is the name of the device that a driver has.
func boundDevice(k Kernel, driver string) (string, error) {
	links, err := k.Glob(path.Join(driverDir, driver, "*"))
	if err != nil {
		return "", err
	}
	for _, link := range links {
		if name := path.Base(link); strings.Contains(name, ".") {
			return name, nil
		}
	}
	return "", fmt.Errorf("driver %s has no device", driver)
}

// besideReload removes both modules and loads them again, without a stop of the
// load. Who has an algorithm open holds the module, and who has the engine holds
// the BAM's: the kernel must refuse to remove either. So the load is thinned out
// until there is a moment in which nobody holds it, while others try to open it.
func besideReload(ctx context.Context, p *phaseRun, l *load) report.Case {
	k, refused := p.env.Kernel, 0
	c := p.rounds(ctx, l, job.BesideReload, func(int) error {
		if err := k.UnloadModule(bamModule); !isBusy(err) {
			return fmt.Errorf("removing %s, which %s uses: %v instead of a refusal", bamModule, qceModule, err)
		}
		l.thin.Store(true)
		defer l.thin.Store(false)
		l.absence.Add(1)
		n, err := unload(k, qceModule)
		refused += n
		if err == nil {
			_, err = unload(k, bamModule)
			err = errors.Join(err, k.LoadModule(bamModule), k.LoadModule(qceModule))
		}
		if err == nil {
			err = p.back()
		}
		l.absence.Add(1)
		return err
	})
	if c.Metrics["refused"] = float64(refused); refused == 0 && c.Status == report.Pass {
		failf(&c, "%s was removed at once each time: nothing was in use", qceModule)
	}
	return c
}

// bamModule is the module of the BAM's driver.
const bamModule = "bam_dma"

// isBusy reports whether the kernel refuses to remove a module that is in use.
func isBusy(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY) }

// unload removes a module that may be in use now and then, and counts how often
// the kernel has refused to.
func unload(k Kernel, name string) (refused int, err error) {
	for end := time.Now().Add(backWithin); ; refused++ {
		err := k.UnloadModule(name)
		if !isBusy(err) || time.Now().After(end) {
			return refused, err
		}
		time.Sleep(time.Millisecond)
	}
}

// change makes a change to the drivers again and again, under a load that closes
// everything for it.
func (p *phaseRun) change(ctx context.Context, l *load, name string, f func(round int) error) report.Case {
	return p.rounds(ctx, l, name, func(round int) error {
		l.gate.Lock()
		defer l.gate.Unlock()
		err := f(round)
		if err == nil {
			err = p.back()
		}
		return err
	})
}

// rounds does something again and again beside a load, with rests in between.
func (p *phaseRun) rounds(ctx context.Context, l *load, name string, f func(round int) error) report.Case {
	c := report.Case{Name: name, Status: report.Pass}
	rounds := 0
	for ; rounds == 0 || ctx.Err() == nil; rounds++ {
		if rounds == changes {
			l.more.Store(false)
		}
		select {
		case <-time.After(restPeriod):
		case <-ctx.Done():
		}
		if err := f(rounds); err != nil {
			failf(&c, "round %d: %v", rounds+1, err)
			break
		}
	}
	c.Metrics = map[string]float64{"rounds": float64(rounds)}
	return c
}

// back waits until all algorithms are there again.
func (p *phaseRun) back() error {
	for end := time.Now().Add(backWithin); ; time.Sleep(20 * time.Millisecond) {
		registered, err := p.env.Kernel.Algorithms()
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(p.algs), func(a EngineAlgorithm) bool {
			_, ok := byDriver(registered, a.Driver)
			return ok
		})
		if len(missing) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not back", missing[0].Driver)
		}
	}
}
