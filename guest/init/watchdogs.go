package main

import "os"

// watchdogs are limits of the kernel's for what a processor may do without a
// break, in seconds. A guest whose host stands still for a while has not hung,
// but cannot know.
var watchdogs = map[string]string{
	"/proc/sys/kernel/watchdog_thresh":                      "60", // complains after twice as long
	"/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout": "120",
}

// calmWatchdogs sets the limits, in a kernel that has them.
func calmWatchdogs() {
	for file, limit := range watchdogs {
		if err := os.WriteFile(file, []byte(limit), 0); err != nil && !os.IsNotExist(err) {
			say("%s: %v", file, err)
		}
	}
}
