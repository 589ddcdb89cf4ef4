package testbench

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/guest/vm"
	"github.com/qcemu/qcemu/progress"
	"github.com/qcemu/qcemu/report"
)

// qemuScript is a shell script in QEMU's place.
func qemuScript(t *testing.T, script string) *vm.QEMU {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu-system-aarch64")
	syscall.ForkLock.RLock() // a program started now would keep it open for writing, and it could not be run
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return &vm.QEMU{Argv: []string{path}}
}

// TestDeaths: however a guest ends before it is through, each suite of its boot
// is in the report as one that failed, with what the console and QEMU said.
func TestDeaths(t *testing.T) {
	began := []job.Event{{Type: job.Booted, Kernel: "6.12.0"}, {Type: job.SuiteBegin, Suite: "probe"},
		{Type: job.CaseDone, Suite: "probe", Case: &report.Case{Suite: "probe", Name: "bound", Status: report.Pass}}}
	for _, test := range []struct {
		name   string
		script string
		events []job.Event
		cancel bool
		why    string   // in the error of the suite that ran, and among the problems
		says   []string // in its last case
		err    string   // of the run, "" for none
	}{
		{"segmentation fault", "echo last line; echo 'QEMU: assertion' >&2; kill -SEGV $$", began, false,
			"QEMU ended with signal: segmentation fault: QEMU: assertion", []string{"QEMU said:\nQEMU: assertion", "last line"}, "segmentation fault"},
		{"abort", "echo 'ERROR: one'; echo 'two: aborts' >&2; kill -ABRT $$", began, false,
			"QEMU ended with signal: aborted", []string{"two: aborts", "ERROR: one"}, "aborted"},
		{"exit code", "echo 'no such option' >&2; exit 1", nil, false,
			"QEMU ended with exit status 1: no such option", []string{"no such option"}, "exit status 1"},
		{"switched off", "printf 'reboot: Power down'", began, false,
			"the guest ended before its suites were through", []string{"reboot: Power down"}, ""},
		{"panic", "echo '[ 1.0] Kernel panic - not syncing: Oops'; echo after", began, false,
			"the guest's kernel panicked", []string{"Kernel panic - not syncing: Oops\nafter"}, ""},
		{"hang", "echo standing still; exec sleep 1000", began, false,
			"the guest hangs", []string{"standing still"}, ""},
		{"init's failure", "echo '[init] gives up'", []job.Event{{Type: job.Failed, Text: "no driver"}}, false,
			"the guest ended before its suites were through: no driver", []string{"gives up"}, ""},
		{"interrupted", "echo running; exec sleep 1000", began, true, "interrupted", []string{"running"}, "canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			col := newCollector(func(string) {}, progress.New(&bytes.Buffer{}))
			for _, e := range test.events {
				col.Event(e)
			}
			con := &console{w: &bytes.Buffer{}, alive: col.alive}
			m, err := vm.Start(qemuScript(t, test.script), &vm.Config{}, con)
			if err != nil {
				t.Fatal(err)
			}
			patience := time.Hour
			if test.cancel || test.name == "hang" {
				for len(con.tail()) == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			if test.cancel {
				cancel()
			}
			if test.name == "hang" {
				patience = time.Second
			}
			why, err := watch(ctx, m, col, patience, nil)
			m.Stop()
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			r := &run{}
			r.judge(bootPlan{suites: []string{"probe", "selftest"}}, col, con, why, m.Stderr())
			r.missing([]bootPlan{{suites: []string{"selftest", "tcrypt"}}}, test.why)

			var names []string
			for _, s := range r.report.Suites {
				names = append(names, s.Name)
				if s.Ended || !s.Failed() || !strings.Contains(s.Error, test.why) {
					t.Errorf("suite %s: %+v", s.Name, s)
				}
			}
			if strings.Join(names, " ") != "probe selftest tcrypt" {
				t.Errorf("suites in the report: %q", names)
			}
			first := r.report.Suites[0]
			last := first.Cases[len(first.Cases)-1]
			if len(first.Cases) != max(len(test.events)-1, 1) && test.events[0].Type == job.Booted {
				t.Errorf("cases: %+v", first.Cases)
			}
			for _, words := range append(test.says, test.why) {
				if last.Name != caseEnd || last.Status != report.Fail || !strings.Contains(last.Detail, words) {
					t.Errorf("last case %+v does not say %q", last, words)
				}
			}
			if !r.report.Failed() || !strings.Contains(strings.Join(r.report.Problems, "\n"), test.why) {
				t.Errorf("problems: %q", r.report.Problems)
			}
		})
	}
}

// TestConsoleTail keeps the last lines, the one without an end too.
func TestConsoleTail(t *testing.T) {
	con := &console{w: &bytes.Buffer{}, alive: func() {}}
	for range tailLines {
		con.Write([]byte("early\r\n"))
	}
	con.Write([]byte("la\x1b\xff\x00st\r\nhalf\r"))
	got := con.tail()
	if len(got) != tailLines+1 || got[0] != "early" || got[tailLines-1] != "last" || got[tailLines] != "half" {
		t.Errorf("%q", got)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

// TestConsoleFull: a console that cannot be written is still read, or QEMU would
// stand still, and the failure is told at the end.
func TestConsoleFull(t *testing.T) {
	con := &console{w: full{}, alive: func() {}}
	if n, err := con.Write([]byte("Kernel panic - not syncing: x\n")); n == 0 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if _, fatal := con.complaints(); !fatal {
		t.Error("the panic was not seen")
	}
	if con.failure() == nil {
		t.Error("the failure is lost")
	}
}
