package testbench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// processor is the time of processors that a run's threads have had.
type processor struct {
	guest time.Duration // QEMU's threads that execute the guest
	qemu  time.Duration // QEMU's others
	qcemu time.Duration
	queue time.Duration // that all of them were ready to run and had no processor
}

func (p processor) sub(q processor) processor {
	return processor{p.guest - q.guest, p.qemu - q.qemu, p.qcemu - q.qcemu, p.queue - q.queue}
}

func (p *processor) add(q processor) {
	p.guest += q.guest
	p.qemu += q.qemu
	p.qcemu += q.qcemu
	p.queue += q.queue
}

// processorTime reads what the kernel has counted for the threads of QEMU and of
// this process (proc(5), schedstat).
func processorTime(qemu int) (p processor) {
	for _, t := range threads(qemu) {
		if strings.HasPrefix(t.name, "CPU ") {
			p.guest += t.ran
		} else {
			p.qemu += t.ran
		}
		p.queue += t.queued
	}
	for _, t := range threads(os.Getpid()) {
		p.qcemu += t.ran
		p.queue += t.queued
	}
	return p
}

// thread is one of a process.
type thread struct {
	name        string
	ran, queued time.Duration
}

func threads(pid int) (all []thread) {
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, dir := range dirs {
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		stat, err := os.ReadFile(filepath.Join(dir, "schedstat"))
		if err != nil {
			continue // it has ended
		}
		t := thread{name: strings.TrimSpace(string(name))}
		fmt.Sscan(string(stat), &t.ran, &t.queued)
		all = append(all, t)
	}
	return all
}
