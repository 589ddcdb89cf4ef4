package suites

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
)

// restart reboots the machine at once.
func restart() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) }

// reboot restarts the guest in the middle of requests: once a quarter of them
// is done, and while some are out. The host has another job for the next boot.
func (p *phaseRun) reboot(ctx context.Context) error {
	l := newLoad(p, p.algs, p.phase.Requests, 0)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.ends.Load() < int64(p.phase.Requests/4) || !l.waiting() {
		select {
		case err := <-done:
			for _, a := range p.algs {
				p.report(a, l.snapshot(a))
			}
			return err // it is over too soon: the host misses the reboot
		case <-tick.C:
		}
	}
	for _, a := range p.algs {
		p.report(a, l.snapshot(a))
	}
	p.env.Emit(job.Event{Type: job.Rebooting, Suite: p.env.Suite})
	return restart()
}

// snapshot is the count so far.
func (l *load) snapshot(a EngineAlgorithm) *requestCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := *l.counts[a.Driver]
	return &n
}
