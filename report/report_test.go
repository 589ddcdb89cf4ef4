package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample has one case of each outcome, a suite that died, a finding and a
// problem.
func sample() *Run {
	return &Run{
		Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Seconds: 61.25,
		Driver: "series", SoC: "sdm845", Kernel: "6.12.1", QEMU: "11.1.3", Seed: 7,
		Suites: []Suite{
			{Name: "kcapi", Seconds: 12.5, Ended: true, Cases: []Case{
				{Suite: "kcapi", Name: "cbc one-shot #1", Algorithm: "cbc-aes-qce", Status: Pass, Seconds: 0.5},
				{Suite: "kcapi", Name: "ctr partial", Algorithm: "ctr-aes-qce", Status: XFail, Reason: "output IV of a partial block", Detail: "got 1\nwant 2"},
				{Suite: "kcapi", Name: "xts", Algorithm: "xts-aes-qce", Status: Fail, Detail: "digest <differs> & \"more\""},
				{Suite: "kcapi", Name: "ccm", Algorithm: "ccm-aes-qce", Status: Skip, Reason: "AF_ALG masks the driver"},
				{Suite: "kcapi", Name: "sha", Algorithm: "sha256-qce", Status: XPass, Reason: "was said to fail"},
				{Suite: "kcapi", Name: "slow", Status: Timeout, Detail: "60 s"},
			}},
			{Name: "cryptsetup", Seconds: 3, Error: "the guest's kernel panicked"},
		},
		Attestation: []attest.Row{
			{Suite: "kcapi", Algorithm: "cbc-aes", Direction: "encrypt", KeyBits: 128, Requests: 3, Bytes: 4096, ByCommand: 3, Locked: 2},
			{Suite: "kcapi", Algorithm: "cbc-aes", Direction: "decrypt", KeyBits: 256, Requests: 1, Bytes: 16, ByCPU: 1},
		},
		Findings: []finding.Finding{{ID: "BAM-LOCK-003", Title: "LOCK while the pipe held the lock already.", Severity: "warning", Source: "§8", Count: 2, First: "x", History: []string{"y"}}},
		Phases: []Phase{
			{Suite: "contention", Name: "between", Hardware: "secure side between", Expected: "nothing corrupted", Outcome: "of 12 requests 1 with a wrong result, 1 without an end",
				Boots: 1, Seconds: 4, Linux: []Side{
					{Algorithm: "xts-aes-qce", Requests: 10, Corrupted: 1, Hung: 1, First: "encrypt, 16 bytes: 1 of 16 bytes differ, the first at 3"}, {Algorithm: "sha256-qce", Requests: 1}},
				Others: []antagonist.Counts{{Name: "secure", Policy: "between", EE: 1, Pair: 1, Requests: 7, Corrupted: 1, Hung: 1,
					Algs:  []antagonist.AlgCount{{Alg: "cbc-aes", Requests: 4, Corrupted: 1}, {Alg: "sha1", Requests: 3, Hung: 1}},
					First: []antagonist.Corruption{{Alg: "cbc-aes", Bytes: 32, Part: "payload", At: 5}}}},
				Locks:    []LockUse{{EE: 0, Held: 11, Waited: 2, Longest: 500, Steps: 60}, {EE: 1, Held: 7, Steps: 80, Forced: 1}},
				Findings: map[string]uint64{"BAM-LOCK-003": 2}},
			{Suite: "faults", Name: "lost-interrupt", Hardware: "1 of 50 interrupts is lost", Expected: "a hang: no timeouts", Outcome: "3 requests, all right",
				Boots: 1, Seconds: 2, Linux: []Side{{Algorithm: "cbc-aes-qce", Requests: 3}}, Faults: map[string]uint64{"lost-interrupt": 1}},
		},
		Ways: []Way{
			{Name: "vhost-user", Users: 1, Requests: 100, PerSecond: 4500.4, P50: 200e3, P99: 900e3, Engine: 100, Attested: true,
				Wall: 222e3, Guest: 150e3, QEMU: 30e3, Qcemu: 25e3, Model: 12e3, Queue: 7e3, Interrupts: 1, Kicks: 1, Calls: 1},
			{Name: WayBuiltin, Users: 1, Requests: 100, PerSecond: 5000, P50: 170e3, P99: 800e3, Attested: true, Wall: 200e3, Guest: 150e3, QEMU: 40e3, Interrupts: 1},
			{Name: "qce", Users: 8, Requests: 100, PerSecond: 1200, P50: 1700e3, P99: 9e6, Engine: 99, Wall: 800e3, Guest: 500e3, QEMU: 100e3, Qcemu: 150e3, Model: 40e3, Interrupts: 1, Reads: 5, Writes: 4},
		},
		Problems: []string{"xts-aes: the engine did 0 requests,\n100 are required"},
	}
}

func engineName(driver string) string { return strings.TrimSuffix(driver, "-qce") }

func TestGolden(t *testing.T) {
	dir := t.TempDir()
	r := sample()
	if err := r.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table, engineName); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "table.txt"), table.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{JSONFile, KTAPFile, JUnitFile, AttestationFile, FindingsFile, "table.txt"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The machine-readable forms have to be read back by other programs.
func TestReadBack(t *testing.T) {
	r := sample()
	var b bytes.Buffer
	if err := writeJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var back Run
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &back, cmpopts.IgnoreUnexported(antagonist.Counts{})); diff != "" {
		t.Errorf("JSON (-written +read):\n%s", diff)
	}
	b.Reset()
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var x junitSuites
	if err := xml.Unmarshal(b.Bytes(), &x); err != nil {
		t.Fatal(err)
	}
	if got, want := [3]int{x.Tests, x.Failures, x.Errors}, [3]int{8, 2, 3}; got != want {
		t.Errorf("JUnit tests, failures, errors: got %v, want %v", got, want)
	}
}

func TestFailed(t *testing.T) {
	pass := []Case{{Status: Pass}}
	for _, tt := range []struct {
		name string
		run  Run
		want bool
	}{
		{"passed", Run{Suites: []Suite{{Ended: true, Cases: pass}}}, false},
		{"expected failure", Run{Suites: []Suite{{Ended: true, Cases: []Case{{Status: XFail}}}}}, false},
		{"no suite", Run{}, true},
		{"no case", Run{Suites: []Suite{{Ended: true}}}, true},
		{"only skipped", Run{Suites: []Suite{{Ended: true, Cases: []Case{{Status: Skip}}}}}, true},
		{"failure", Run{Suites: []Suite{{Ended: true, Cases: []Case{{Status: Pass}, {Status: Fail}}}}}, true},
		{"unexpected pass", Run{Suites: []Suite{{Ended: true, Cases: []Case{{Status: XPass}}}}}, true},
		{"timeout", Run{Suites: []Suite{{Ended: true, Cases: []Case{{Status: Timeout}}}}}, true},
		{"not ended", Run{Suites: []Suite{{Cases: pass}}}, true},
		{"suite error", Run{Suites: []Suite{{Ended: true, Error: "x", Cases: pass}}}, true},
		{"problem", Run{Suites: []Suite{{Ended: true, Cases: pass}}, Problems: []string{"x"}}, true},
	} {
		if got := tt.run.Failed(); got != tt.want {
			t.Errorf("%s: Failed() = %v, want %v", tt.name, got, tt.want)
		}
	}
}
