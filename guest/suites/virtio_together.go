package suites

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// virtioTogether is the part of virtio in which both drivers are at the engine,
// alone. It runs where it is named only: beside an antagonist, for instance.
type virtioTogether struct{ virtio }

// VirtioTogether is the suite's name, and its case's; the case stands in the
// suite virtio-crypto too.
const VirtioTogether = "together"

func (virtioTogether) Name() string { return "virtio-" + VirtioTogether }
func (virtioTogether) About() string {
	return "the engine's own driver and virtio-crypto at one engine at the same time"
}

func (s virtioTogether) Run(ctx context.Context, env *Env) error {
	r := newVirtioRun(env, s.write)
	if !r.probe() {
		return ctx.Err()
	}
	if err := r.only(ctx, VirtioOurs); err != nil {
		return err
	}
	if _, err := settle(ctx, env, nil); err != nil {
		return err
	}
	r.together(ctx)
	return ctx.Err()
}

// How many requests are made together: of so many users on each side.
const (
	togetherUsers    = 3
	togetherRequests = 100
)

// together has users of the engine's own driver and of virtio-crypto at the same
// time, each with a key of his own. Each result is compared.
func (r *virtioRun) together(ctx context.Context) {
	r.env.Case(report.Case{Name: VirtioTogether, Algorithm: VirtioAlgorithm}, func(c *report.Case) {
		if r.env.Job.Driver == job.Stock {
			c.Status, c.Reason = report.Skip, "the stock driver takes no lock, so that two sides disturb each other: see the suite contention"
			return
		}
		var users []*virtioUser
		defer func() {
			for _, u := range users {
				u.close()
			}
		}()
		for u := range 2 * togetherUsers {
			algorithm := VirtioAlgorithm
			if u%2 == 1 {
				algorithm = qceCBC
			}
			user, err := newVirtioUser(algorithm, uint32(100+u))
			if errors.Is(err, unix.ENOENT) && algorithm == qceCBC {
				c.Status, c.Reason = report.Skip, "the engine's own driver is not there, or AF_ALG does not show it"
				return
			}
			if err != nil {
				failf(c, "%s: %v", algorithm, err)
				return
			}
			users = append(users, user)
		}
		errs := make([]error, len(users))
		var wg sync.WaitGroup
		for i, u := range users {
			wg.Go(func() { errs[i] = u.do(ctx, 0, togetherRequests) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			failf(c, "%v", err)
			return
		}
		c.Metrics = map[string]float64{"requests": float64(len(users) * togetherRequests)}
		c.Detail = fmt.Sprintf("%d users on each side", togetherUsers)
	})
}
