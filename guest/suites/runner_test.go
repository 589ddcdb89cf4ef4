package suites

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// suiteFunc is a suite made of a function.
type suiteFunc struct {
	name string
	run  func(ctx context.Context, env *Env) error
}

func (s suiteFunc) Name() string                            { return s.name }
func (suiteFunc) About() string                             { return "a suite of the tests" }
func (suiteFunc) Boot() Boot                                { return BootNoTests }
func (s suiteFunc) Run(ctx context.Context, env *Env) error { return s.run(ctx, env) }

// runnerOutput runs suites of the test's own, and returns the events in short form.
func runnerOutput(t *testing.T, k Kernel, timeout int, list ...suiteFunc) (events []string, cases map[string]report.Case, r *Runner) {
	t.Helper()
	before := all
	t.Cleanup(func() { all = before })
	all = nil
	j := &job.Job{SuiteTimeout: timeout}
	for _, s := range list {
		j.Suites = append(j.Suites, s.name)
		if s.run != nil { // else: a name that no suite has
			all = append(all, s)
		}
	}
	cases = map[string]report.Case{}
	r = &Runner{
		Job: j, Kernel: k, OutDir: t.TempDir(), Grace: 20 * time.Millisecond,
		Say: t.Logf, Blocked: func() { events = append(events, "blocked tasks") },
		Emit: func(e job.Event) {
			line := e.Type + " " + e.Suite
			if e.Case != nil {
				line += " " + e.Case.Name + " " + string(e.Case.Status)
				cases[e.Suite+" "+e.Case.Name] = *e.Case
			}
			events = append(events, line)
		},
	}
	r.Run(t.Context())
	return events, cases, r
}

func TestRunner(t *testing.T) {
	k := healthy()
	pass := suiteFunc{"good", func(_ context.Context, env *Env) error {
		env.Case(report.Case{Name: "one"}, func(*report.Case) {})
		env.Case(report.Case{Name: "two"}, func(*report.Case) { panic("two broke") })
		k.log = append(k.log, LogLine{Seq: 99, Text: "BUG: scheduling while atomic"})
		return env.Artifact("note", []byte("text"))
	}}
	fail := suiteFunc{"bad", func(context.Context, *Env) error { return errors.New("no disk") }}
	crash := suiteFunc{"crash", func(context.Context, *Env) error { panic("out of order") }}
	unknown := suiteFunc{name: "unknown"}

	events, cases, r := runnerOutput(t, k, 60, pass, fail, unknown, crash)
	want := []string{
		"suite-begin good",
		"case good one pass", "case good two fail", "case good complete pass", "case good kernel-log fail",
		"suite-end good",
		"suite-begin bad", "case bad complete fail", "case bad kernel-log pass", "suite-end bad",
		"case unknown complete fail",
		"suite-begin crash", "case crash complete fail", "case crash kernel-log pass", "suite-end crash",
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
	for name, detail := range map[string]string{
		"good two": "two broke", "good kernel-log": "scheduling while atomic", "bad complete": "no disk",
		"unknown complete": "unknown", "crash complete": "out of order",
	} {
		if !strings.Contains(cases[name].Detail, detail) {
			t.Errorf("%s: %q, want %q in it", name, cases[name].Detail, detail)
		}
	}
	log, err := os.ReadFile(filepath.Join(r.OutDir, "good", "kernel.log"))
	if err != nil || !strings.Contains(string(log), "scheduling while atomic") {
		t.Errorf("kernel.log: %q, %v", log, err)
	}
	if note, err := os.ReadFile(filepath.Join(r.OutDir, "good", "note")); err != nil || string(note) != "text" {
		t.Errorf("note: %q, %v", note, err)
	}
}

// TestRunnerTimeout has one suite that stops when it is told, and one that
// cannot: the rest is given up.
func TestRunnerTimeout(t *testing.T) { synctest.Test(t, testRunnerTimeout) }

func testRunnerTimeout(t *testing.T) {
	obeys := suiteFunc{"obeys", func(ctx context.Context, _ *Env) error { <-ctx.Done(); return ctx.Err() }}
	release := make(chan bool)
	defer close(release)
	hangs := suiteFunc{"hangs", func(context.Context, *Env) error { <-release; return nil }}
	never := suiteFunc{"never", func(context.Context, *Env) error { t.Error("a suite ran after one that hung"); return nil }}

	events, _, _ := runnerOutput(t, healthy(), 1, obeys, hangs, never)
	want := []string{
		"suite-begin obeys", "blocked tasks", "case obeys complete timeout", "case obeys kernel-log pass", "suite-end obeys",
		"suite-begin hangs", "blocked tasks", "case hangs complete timeout", "case hangs kernel-log pass", "suite-end hangs",
		"case never complete skip",
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
}

func TestArtifactName(t *testing.T) {
	env := &Env{OutDir: t.TempDir()}
	for _, name := range []string{"../x", "a/b", "/x"} {
		if err := env.Artifact(name, nil); err == nil {
			t.Errorf("%q was taken for a file name", name)
		}
	}
}

func TestSuites(t *testing.T) {
	var names []string
	for _, s := range All() {
		if s.About() == "" || !slices.Contains([]Boot{BootSelftest, BootNoTests, BootVirtio, BootPhases}, s.Boot()) {
			t.Errorf("%s: about %q, boot %q", s.Name(), s.About(), s.Boot())
		}
		if got, ok := ByName(s.Name()); !ok || got.Name() != s.Name() {
			t.Errorf("%s is not found by its name", s.Name())
		}
		names = append(names, s.Name())
	}
	for _, want := range []string{"probe", "selftest", "tcrypt", "kcapi", "cryptsetup"} {
		if !slices.Contains(names, want) {
			t.Errorf("no suite %s in %v", want, names)
		}
	}
	if _, ok := ByName("fantasy"); ok {
		t.Error("a suite was found that does not exist")
	}
	if got := BootNoTests.KernelArgs(); !slices.Equal(got, []string{"cryptomgr.notests=1"}) || len(BootSelftest.KernelArgs()) != 0 {
		t.Errorf("kernel arguments %v and %v", got, BootSelftest.KernelArgs())
	}
}

func TestRunCommand(t *testing.T) {
	r, err := RunCommand(t.Context(), Command{Args: []string{"/bin/sh", "-c", "cat; echo err >&2; echo $X; exit 3"}, Stdin: []byte("in "), Env: []string{"X=y"}})
	if err != nil || string(r.Stdout) != "in y\n" || string(r.Stderr) != "err\n" || r.Code != 3 || r.TimedOut {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = RunCommand(t.Context(), Command{Args: []string{"/bin/sh", "-c", "echo x; exec sleep 600"}, Timeout: 3 * time.Second})
	if err != nil || !r.TimedOut || r.Code != -1 || string(r.Stdout) != "x\n" {
		t.Errorf("timeout: %+v, %v", r, err)
	}
	if _, err := RunCommand(t.Context(), Command{Args: []string{"/nonexistent"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	if _, err := RunCommand(t.Context(), Command{}); err == nil {
		t.Error("an empty command ran")
	}
	r, err = RunCommand(t.Context(), Command{Args: []string{"head", "-c", "5000000", "/dev/zero"}})
	if err != nil || len(r.Stdout) != maxOutput {
		t.Errorf("%d bytes kept of a flood, %v", len(r.Stdout), err)
	}
}
