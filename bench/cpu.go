package bench

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// onOneCPU keeps the process to one processor until restore is called. Where the
// scheduler puts two threads that wake one another, side by side or apart, makes
// more than the threefold of a round trip, and would be all that is compared.
func onOneCPU() (restore func(), err error) {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, err
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := setAffinity(&one); err != nil {
		return nil, err
	}
	return func() { _ = setAffinity(&all) }, nil
}

// setAffinity is for all threads there are; later ones take after them.
func setAffinity(set *unix.CPUSet) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}
