package suites

import (
	"context"

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
	through, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- l.run(ctx); stop() }()
	midway := l.midway(through, p.phase.Requests/4)
	for _, a := range p.algs {
		p.report(l, a)
	}
	if !midway {
		return <-done // it is over too soon: the host misses the reboot
	}
	p.env.Emit(job.Event{Type: job.Rebooting, Suite: p.env.Suite})
	return restart()
}
