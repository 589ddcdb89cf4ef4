package suites

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// virtioEndure keeps the device behind vhost-user at work while the host kills
// its back-end. It runs where it is named only.
type virtioEndure struct{}

// VirtioEndure is the suite's name, and its case's; VirtioBusy is the progress
// that it tells when requests are under way, VirtioEnough the file in the shared
// folder by which the host ends it.
const (
	VirtioEndure = "virtio-endure"
	VirtioBusy   = "requests are under way"
	VirtioEnough = "enough"
)

func (virtioEndure) Name() string { return VirtioEndure }
func (virtioEndure) About() string {
	return "requests of several users while the device's back-end is killed and started again"
}
func (virtioEndure) Boot() Boot { return BootVirtio }

const (
	endureUsers = 4
	endureFor   = 30 * time.Minute // if the host says nothing
	endureBatch = 10               // requests between looks at the time
)

func (virtioEndure) Run(ctx context.Context, env *Env) error {
	r := newVirtioRun(env, nil)
	if !r.probe() {
		return errors.New("there is no device to try")
	}
	if err := r.only(ctx, VirtioOurs); err != nil {
		return err
	}
	r.tested(ctx, VirtioOurs, &report.Case{Status: report.Pass})
	env.Case(report.Case{Name: VirtioEndure, Algorithm: VirtioAlgorithm}, func(c *report.Case) {
		var done atomic.Int64
		errs := make([]error, endureUsers)
		ctx, enough := context.WithTimeout(ctx, endureFor)
		defer enough()
		var wg sync.WaitGroup
		for u := range endureUsers {
			wg.Go(func() { errs[u] = endure(ctx, uint32(u), &done) })
		}
		env.Progress(VirtioBusy)
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(job.MountPoint, VirtioEnough)); err == nil {
				enough()
			}
			time.Sleep(pollEvery)
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			failf(c, "%v", err)
		}
		c.Metrics = map[string]float64{"requests": float64(done.Load())}
	})
	return ctx.Err()
}

// endure does requests with one key. Its session is made once: while there is no
// back-end none can be.
func endure(ctx context.Context, seed uint32, done *atomic.Int64) error {
	u, err := newVirtioUser(VirtioAlgorithm, seed)
	if err != nil {
		return err
	}
	defer u.close()
	for n := 0; ctx.Err() == nil; n += endureBatch {
		if err := u.do(ctx, n, endureBatch); err != nil {
			return err
		}
		done.Add(endureBatch)
	}
	return nil
}
