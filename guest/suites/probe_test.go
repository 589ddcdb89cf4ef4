package suites

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// healthy is a kernel on which both drivers have found their devices: the
// contents of the files are those of a guest.
func healthy() *fakeGuest {
	return &fakeGuest{scriptedKernel{
		release: "6.12.117",
		files: map[string]string{
			"/proc/iomem": "10004000-10027fff : 10004000.dma-controller dma-controller@10004000\n" +
				"1003a000-1003ffff : 1003a000.crypto crypto@1003a000\n40000000-5fffffff : System RAM\n",
			"/proc/interrupts": "           CPU0       CPU1\n 11:       1200        900     GIC-0  27 Level     arch_timer\n" +
				" 16:        300         41     GIC-0  35 Level     bam_dma\nIPI0:        10          20       Rescheduling interrupts\n",
			"/sys/bus/platform/drivers/bam-dma-engine/10004000.dma-controller": "",
			"/sys/bus/platform/drivers/qcrypto/1003a000.crypto":                "",
			"/lib/modules-stock/qcrypto.ko":                                    "\x7fELF\x00cbc-aes-qce\x00xts-aes-qce\x00qcom-qce\x00cbc-aes-qce\x00not-known-qce\x00",
			managerParams + "notests":                                          "N\n",
			managerParams + "fuzz_iterations":                                  "100\n",
		},
		algorithms: []Algorithm{
			{Name: "cbc(aes)", Driver: "cbc-aes-qce", Type: "skcipher", Selftest: "passed"},
			{Name: "xts(aes)", Driver: "xts-aes-qce", Type: "skcipher", Selftest: "unknown"},
			{Name: "cbc(aes)", Driver: "cbc(aes-generic)", Type: "skcipher", Selftest: "passed"},
		},
		log: logLines("qcrypto 1003a000.crypto: Crypto device found, version 5.5.0\n" +
			"alg: skcipher: xts-aes-qce setkey failed on test vector 0; expected_error=0, actual_error=-126, flags=0x1\n" +
			"alg: self-tests for xts(aes) using xts-aes-qce failed (rc=-126)\n" +
			"WARNING: CPU: 1 PID: 61 at crypto/testmgr.c:5928 alg_test+0x4e8/0x5f8\n"),
	}}
}

// fakeGuest is a scriptedKernel whose files can be listed.
type fakeGuest struct{ scriptedKernel }

func (k *fakeGuest) Glob(pattern string) ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(k.files)) {
		if ok, err := path.Match(pattern, name); err != nil {
			return nil, err
		} else if ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// results runs a suite and returns its cases, and their statuses, by name.
func results(t *testing.T, s Suite, env *Env) (map[string]report.Status, map[string]report.Case) {
	t.Helper()
	status, cases := map[string]report.Status{}, map[string]report.Case{}
	env.Emit = func(e job.Event) {
		if e.Case != nil {
			status[e.Case.Name], cases[e.Case.Name] = e.Case.Status, *e.Case
		}
	}
	if err := s.Run(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	return status, cases
}

func envOf(name string, k Kernel) *Env {
	return &Env{
		Suite: name, Kernel: k,
		Job: &job.Job{Driver: job.Stock, ModuleDirs: map[string]string{job.Stock: "/lib/modules-stock"}},
	}
}

func TestProbe(t *testing.T) {
	got, cases := results(t, probe{}, envOf("probe", healthy()))
	want := map[string]report.Status{
		"bam-bound": report.Pass, "qce-bound": report.Pass, "interrupt": report.Pass, "version": report.Pass,
		"kernel-log-since-boot": report.Pass, "registered-cbc-aes-qce": report.Pass, "registered-xts-aes-qce": report.Pass,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := cases["interrupt"].Metrics["interrupts"]; n != 341 {
		t.Errorf("%v interrupts, want 341", n)
	}
	if d := cases["version"].Detail; !strings.Contains(d, "5.5.0") {
		t.Errorf("version: %q", d)
	}
}

// TestProbeFailures breaks one thing at a time.
func TestProbeFailures(t *testing.T) {
	for name, c := range map[string]struct {
		change func(k *fakeGuest)
		fails  string
		detail string
	}{
		"not bound":         {func(k *fakeGuest) { delete(k.files, "/sys/bus/platform/drivers/qcrypto/1003a000.crypto") }, "qce-bound", "no device"},
		"bound twice":       {func(k *fakeGuest) { k.files["/sys/bus/platform/drivers/qcrypto/2003a000.crypto"] = "" }, "qce-bound", "2 devices"},
		"window not held":   {func(k *fakeGuest) { k.files["/proc/iomem"] = "10004000-10027fff : reserved\n" }, "bam-bound", "/proc/iomem"},
		"no interrupt":      {func(k *fakeGuest) { k.files["/proc/interrupts"] = "" }, "interrupt", "no line"},
		"edge interrupt":    {func(k *fakeGuest) { k.files["/proc/interrupts"] = "16: 3 GIC-0 35 Edge bam_dma\n" }, "interrupt", "not level"},
		"unreadable":        {func(k *fakeGuest) { delete(k.files, "/proc/interrupts") }, "interrupt", "/proc/interrupts"},
		"oops":              {func(k *fakeGuest) { k.log = append(k.log, logLines("Internal error: Oops: 96000004\n")...) }, "kernel-log-since-boot", "Internal error"},
		"not registered":    {func(k *fakeGuest) { k.algorithms = k.algorithms[1:] }, "registered-cbc-aes-qce", "/proc/crypto"},
		"only being tested": {func(k *fakeGuest) { k.algorithms[0].Type = larval }, "registered-cbc-aes-qce", "/proc/crypto"},
	} {
		t.Run(name, func(t *testing.T) {
			k := healthy()
			c.change(k)
			got, cases := results(t, probe{}, envOf("probe", k))
			if got[c.fails] != report.Fail || !strings.Contains(cases[c.fails].Detail, c.detail) {
				t.Errorf("%s: %+v; want a failure with %q", c.fails, cases[c.fails], c.detail)
			}
		})
	}
}

func TestProbeWithoutVersion(t *testing.T) {
	k := healthy()
	k.log = nil
	got, _ := results(t, probe{}, envOf("probe", k))
	if got["version"] != report.Skip {
		t.Errorf("version: %s, want skip", got["version"])
	}
}

// TestOfferedAlgorithms falls back to the required list where there is no module
// to look into.
func TestOfferedAlgorithms(t *testing.T) {
	env := envOf("probe", healthy())
	if diff := cmp.Diff([]string{"cbc-aes-qce", "xts-aes-qce"}, offeredAlgorithms(env)); diff != "" {
		t.Error(diff)
	}
	env.Kernel = &scriptedKernel{}
	if n := len(offeredAlgorithms(env)); n != len(RequiredAlgorithms()) {
		t.Errorf("%d algorithms without a module, want %d", n, len(RequiredAlgorithms()))
	}
}
