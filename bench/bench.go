package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/testbench"
)

// Config says what to measure, and with which guest.
type Config struct {
	Sections []string // empty: all
	Guest    testbench.GuestConfig
	Program  string // qcemu itself, for the section serve
	Beside   string // vfio-user socket of another server to read beside ours; "": a naive one is made
	Out      string // folder for the guests' consoles; "": none are kept
	Progress *progress.Printer
}

// section is a group of figures.
type section struct {
	name, about string
	// run measures; it may report lines of more than one section.
	run func(*run, context.Context) error
}

// sections lists them in the order in which they run.
var sections = []section{
	{"socket", "a register read through the vfio-user socket, beside a bare ping-pong between two threads", (*run).socket},
	{"core", "a 4 KiB AES-256-XTS request in the model, beside the cipher alone", (*run).core},
	{"guest", "the register read from a guest, beside a naive server's in the same guest", (*run).guest},
	{"request", "what a 4 KiB request of tcrypt costs in the guest, and where", (*run).guest},
	{"serve", "how soon 'qcemu serve' is ready, and what memory it holds with a guest connected", (*run).serve},
}

// Help describes the sections, one to a line.
func Help() string {
	var b strings.Builder
	for _, s := range sections {
		fmt.Fprintf(&b, "  %-9s %s\n", s.name, s.about)
	}
	return b.String()
}

// run is the state of one run.
type run struct {
	Config
	lines  []Line
	booted bool // the sections guest and request share a boot
}

// Run measures and reports. Missing a target is no error.
func Run(ctx context.Context, c Config) (*Report, error) {
	for _, name := range c.Sections {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			return nil, &testbench.UsageError{Err: fmt.Errorf("no section %q; there are: %s", name, names())}
		}
	}
	r := &run{Config: c}
	report := &Report{Machine: machine()}
	for _, s := range sections {
		if !r.wants(s.name) {
			continue
		}
		if err := s.run(r, ctx); err != nil {
			return nil, fmt.Errorf("section %s: %w", s.name, err)
		}
	}
	for _, l := range r.lines {
		if !r.wants(l.Section) {
			continue
		}
		if met, known := l.Met(); known && !met {
			report.Missed++
		}
		report.Lines = append(report.Lines, l)
	}
	report.Machine.LoadAfter = load()
	return report, nil
}

func (r *run) wants(section string) bool {
	return len(r.Sections) == 0 || slices.Contains(r.Sections, section)
}

func (r *run) add(section string, lines ...Line) {
	for _, l := range lines {
		l.Section = section
		r.lines = append(r.lines, l)
	}
}

func names() string {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	return strings.Join(all, ", ")
}

// machine describes the machine.
func machine() Machine {
	m := Machine{CPU: "unknown CPU", CPUs: runtime.NumCPU(), Go: runtime.Version(), Load: load()}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.SplitSeq(string(info), "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// load is the machine's load over the last minute.
func load() Average {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return Average(v)
}

// console is the file for a guest's console.
func (r *run) console(name string) (*os.File, error) {
	if r.Out == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err := os.MkdirAll(r.Out, 0o755); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(r.Out, cmp.Or(name, "guest")+".log"))
}
