// Package job is what the host and the guest's init say to each other over the
// shared folder: a Job from the host, Events from the guest.
//
// The host writes the job to FileName in the shared folder before the guest
// boots. The guest writes one JSON object per line to the file ControlName,
// which the host's 9P server hands over as it is written: when the write
// returns, the host has taken note, so the engine's counters can be told apart
// by suite.
package job

import (
	"strings"

	"github.com/qcemu/qcemu/report"
)

const (
	FileName    = "job.json" // in the shared folder's root
	ControlName = "control"  // synthetic: not a file on the host
	OutDir      = "out"      // artifacts of the suites, one folder each
	MountPoint  = "/host"    // of the shared folder in the guest
	PortName    = "org.qcemu.share"
)

// Driver names of Job.Driver: which pair of modules init loads.
const (
	Stock  = "stock"  // as the kernel tree has them
	Series = "series" // with BAM locking and register I/O through BAM
)

// Job tells the guest what to do.
type Job struct {
	Driver string   `json:"driver"`
	Suites []string `json:"suites"` // in this order
	Seed   int64    `json:"seed"`   // for whatever a suite draws by chance
	Shell  bool     `json:"shell,omitempty"`
	// SuiteTimeout is the limit for one suite, in seconds of guest time. 0: none.
	SuiteTimeout int `json:"suite_timeout,omitempty"`
	// Module directories in the initramfs, by driver.
	ModuleDirs map[string]string `json:"module_dirs,omitempty"`
	// Phase is the part of a suite that this boot is for, in suites of several
	// boots; nil: the suite's own choice.
	Phase *Phase `json:"phase,omitempty"`
}

// Phase is a load on the engine, and what is known beforehand of its outcome.
type Phase struct {
	Algorithms []string `json:"algorithms,omitempty"` // driver names; empty: all that there are
	Requests   int      `json:"requests"`             // in all
	Threads    int      `json:"threads"`
	// InTurn has the algorithms tried one after the other instead of all at
	// once, so that what goes wrong can be laid to one of them.
	InTurn bool `json:"in_turn,omitempty"`
	// Beside is what else happens meanwhile: one of the constants below.
	Beside   string   `json:"beside,omitempty"`
	Expected Expected `json:"expected,omitzero"`
}

// Expected says of each way in which requests can go wrong why it must or may
// happen; "" where it must not.
type Expected struct {
	Corrupted string `json:"corrupted,omitempty"` // a wrong result
	Failed    string `json:"failed,omitempty"`    // an error
	Hung      string `json:"hung,omitempty"`      // no end
	// Crash is why the kernel has to complain, and may die of it, with its own
	// words in CrashSays: a kernel whose first complaint is another one has
	// failed.
	Crash     string `json:"crash,omitempty"`
	CrashSays string `json:"crash_says,omitempty"`
}

// Covers reports whether a kernel's first complaint is the one to be expected.
func (e *Expected) Covers(complaint string) bool {
	return e.Crash != "" && strings.Contains(complaint, e.CrashSays)
}

// Values of Phase.Beside.
const (
	BesideTcrypt = "tcrypt" // the kernel's own test module uses the engine too
	BesideRebind = "rebind" // both drivers lose their devices and get them back
	BesideReload = "reload" // both modules are removed and loaded again
	BesideReboot = "reboot" // the guest reboots in the middle of requests

	// The same while requests are out and algorithms open.
	BesideUnbindQCE = "unbind-qce" // the engine's driver loses its device
	BesideUnbindBAM = "unbind-bam" // the BAM's driver does
)

// Metrics of a case that counts the requests of a Phase.
const (
	MetricRequests  = "requests"
	MetricCorrupted = "corrupted"
	MetricFailed    = "failed"
	MetricHung      = "hung"
	MetricTcrypt    = "tcrypt" // 1: these requests are runs of tcrypt, many requests each
)

// Event types.
const (
	Booted     = "booted"      // init runs, the share is mounted: Kernel
	SuiteBegin = "suite-begin" // Suite
	CaseDone   = "case"        // Case
	Progress   = "progress"    // Suite, Text
	SuiteEnd   = "suite-end"   // Suite
	Rebooting  = "rebooting"   // the guest reboots inside Suite, and reads a new job then
	Failed     = "failed"      // init itself could not go on: Text
	Finished   = "finished"    // all suites are through, power-off follows
)

// Event is one line from the guest.
type Event struct {
	Type   string       `json:"type"`
	Suite  string       `json:"suite,omitempty"`
	Kernel string       `json:"kernel,omitempty"` // uname -r
	Text   string       `json:"text,omitempty"`
	Case   *report.Case `json:"case,omitempty"`
}
