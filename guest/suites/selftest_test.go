package suites

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// messages the kernel logged on the model, with Linux 6.12.117.
const (
	xtsEqualKeys = "alg: skcipher: xts-aes-qce setkey failed on test vector 0; expected_error=0, actual_error=-126, flags=0x1\n" +
		"alg: self-tests for xts(aes) using xts-aes-qce failed (rc=-126)\n"
	hmacEmpty = "alg: ahash: hmac-sha256-qce test failed (wrong result) on test vector \"random: psize=0 ksize=80\", cfg=\"random: use_digest\"\n" +
		"alg: self-tests for hmac(sha256) using hmac-sha256-qce failed (rc=-22)\n"
	cbcWrong = "alg: skcipher: cbc-aes-qce encryption test failed (wrong result) on test vector 3, cfg=\"in-place\"\n" +
		"alg: self-tests for cbc(aes) using cbc-aes-qce failed (rc=-22)\n"
)

func TestSelftest(t *testing.T) {
	type outcome struct {
		Status report.Status
		Detail string // what it must contain
	}
	alg := func(driver, kind, selftest string) Algorithm {
		return Algorithm{Driver: driver, Type: kind, Selftest: selftest}
	}
	for name, c := range map[string]struct {
		algorithms []Algorithm
		log        string
		want       map[string]outcome
	}{
		"as expected": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "passed"), alg("xts-aes-qce", "skcipher", "unknown")}, xtsEqualKeys,
			map[string]outcome{"cbc-aes-qce": {report.Pass, ""}, "xts-aes-qce": {report.XFail, "actual_error=-126"}},
		},
		"fails otherwise": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "unknown"), alg("xts-aes-qce", "skcipher", "unknown")},
			cbcWrong + strings.ReplaceAll(cbcWrong, "cbc", "xts"),
			map[string]outcome{"cbc-aes-qce": {report.Fail, "wrong result"}, "xts-aes-qce": {report.Fail, "wrong result"}},
		},
		"passes unexpectedly": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "passed"), alg("xts-aes-qce", "skcipher", "passed")}, "",
			map[string]outcome{"cbc-aes-qce": {report.Pass, ""}, "xts-aes-qce": {report.XPass, "off the list"}},
		},
		"by chance, failed": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "passed"), alg("hmac-sha256-qce", "ahash", "unknown"), alg("sha256-qce", "ahash", "passed"), alg("xts-aes-qce", "skcipher", "unknown")},
			xtsEqualKeys + hmacEmpty,
			map[string]outcome{"cbc-aes-qce": {report.Pass, ""}, "xts-aes-qce": {report.XFail, ""}, "hmac-sha256-qce": {report.XFail, "psize=0"}, "sha256-qce": {report.Pass, ""}},
		},
		"by chance, passed": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "passed"), alg("hmac-sha256-qce", "ahash", "passed"), alg("xts-aes-qce", "skcipher", "unknown")},
			xtsEqualKeys,
			map[string]outcome{"cbc-aes-qce": {report.Pass, ""}, "xts-aes-qce": {report.XFail, ""}, "hmac-sha256-qce": {report.Pass, ""}},
		},
		"not empty": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "passed"), alg("hmac-sha256-qce", "ahash", "unknown"), alg("xts-aes-qce", "skcipher", "unknown")},
			xtsEqualKeys + strings.ReplaceAll(hmacEmpty, "psize=0", "psize=10"),
			map[string]outcome{"cbc-aes-qce": {report.Pass, ""}, "xts-aes-qce": {report.XFail, ""}, "hmac-sha256-qce": {report.Fail, "psize=10"}},
		},
		"gone": {
			[]Algorithm{alg("xts-aes-qce", "skcipher", "unknown")}, xtsEqualKeys,
			map[string]outcome{"cbc-aes-qce": {report.Fail, "not in /proc/crypto"}, "xts-aes-qce": {report.XFail, ""}},
		},
		"silent failure": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "unknown"), alg("xts-aes-qce", "skcipher", "unknown")}, "",
			map[string]outcome{"cbc-aes-qce": {report.Fail, "does not say why"}, "xts-aes-qce": {report.Fail, "does not say why"}},
		},
		"no test": {
			[]Algorithm{alg("cbc-aes-qce", "skcipher", "passed"), alg("xts-aes-qce", "skcipher", "unknown")},
			xtsEqualKeys + "alg: No test for cbc(aes) (cbc-aes-qce)\n",
			map[string]outcome{"cbc-aes-qce": {report.Skip, ""}, "xts-aes-qce": {report.XFail, ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := healthy()
			k.algorithms, k.log = c.algorithms, logLines(c.log)
			status, cases := results(t, selftest{}, envOf("selftest", k))
			want := map[string]report.Status{}
			for name, o := range c.want {
				want[name] = o.Status
				if !strings.Contains(cases[name].Detail, o.Detail) {
					t.Errorf("%s: detail %q, want %q in it", name, cases[name].Detail, o.Detail)
				}
				if (o.Status == report.XFail || o.Status == report.Skip) && cases[name].Reason == "" {
					t.Errorf("%s: no reason given", name)
				}
			}
			if diff := cmp.Diff(want, status); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// slowMachine fails tests by the kernel's limit until the driver was bound again
// often enough.
func TestSelftestOnSlowMachine(t *testing.T) {
	const late = "alg: skcipher: error allocating cbc(aes-generic) (generic impl of cbc(aes)): -110\n" +
		"alg: self-tests for cbc(aes) using cbc-aes-qce failed (rc=-110)\n"
	for name, tt := range map[string]struct {
		bad  int // runs of the tests that end late
		want report.Status
	}{"once": {1, report.Pass}, "twice": {2, report.Pass}, "always": {9, report.Timeout}} {
		t.Run(name, func(t *testing.T) {
			k := healthy()
			runs := 0
			test := func() {
				runs++
				k.algorithms[0].Selftest = "passed"
				if runs <= tt.bad {
					k.algorithms[0].Selftest = "unknown"
					k.log = append(k.log, logLines(late)...)
				}
				k.log = append(k.log, logLines(xtsEqualKeys)...)
			}
			k.log = nil
			test()
			k.files[fuzzIterations] = "100\n"
			s := selftest{write: func(name, value string) error {
				if strings.HasSuffix(name, "/bind") {
					test()
				} else {
					k.files[name] = value
				}
				return nil
			}}
			status, cases := results(t, s, envOf("selftest", k))
			if diff := cmp.Diff(map[string]report.Status{"cbc-aes-qce": tt.want, "xts-aes-qce": report.XFail}, status); diff != "" {
				t.Error(diff)
			}
			if d := cases["cbc-aes-qce"].Detail; !strings.Contains(d, "wait") {
				t.Errorf("detail %q does not say that there was a wait", d)
			}
			if runs > 1+maxTries {
				t.Errorf("%d runs", runs)
			}
			if got, want := k.files[fuzzIterations], []string{"100\n", "25", "6"}[runs-1]; got != want {
				t.Errorf("after %d runs there are %q random tests, want %q", runs, got, want)
			}
		})
	}
	// Another error is not tried again.
	k := healthy()
	k.algorithms[0].Selftest, k.log = "unknown", logLines(cbcWrong+xtsEqualKeys)
	s := selftest{write: func(string, string) error { t.Error("tested again"); return nil }}
	if status, _ := results(t, s, envOf("selftest", k)); status["cbc-aes-qce"] != report.Fail {
		t.Errorf("%v", status)
	}
}

func TestSelftestOff(t *testing.T) {
	for name, change := range map[string]func(*fakeGuest){
		"notests":   func(k *fakeGuest) { k.files[managerParams+"notests"] = "Y\n" },
		"not built": func(k *fakeGuest) { delete(k.files, managerParams+"notests") },
	} {
		k := healthy()
		change(k)
		status, _ := results(t, selftest{}, envOf("selftest", k))
		if diff := cmp.Diff(map[string]report.Status{"self-tests": report.Skip}, status); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	k := healthy()
	delete(k.files, managerParams+"fuzz_iterations")
	if status, _ := results(t, selftest{}, envOf("selftest", k)); status["full"] != report.Skip || status["cbc-aes-qce"] != report.Pass {
		t.Errorf("with the short tests: %v", status)
	}
}

// TestSelftestHangs gives up on a test that does not end.
func TestSelftestHangs(t *testing.T) {
	k := healthy()
	k.algorithms = append(k.algorithms, Algorithm{Name: "ctr(aes)", Driver: "ctr-aes-qce", Type: larval})
	env := envOf("selftest", k)
	status := map[string]report.Status{}
	var progress string
	env.Emit = func(e job.Event) {
		if e.Case != nil {
			status[e.Case.Name] = e.Case.Status
		}
		progress += e.Text
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (selftest{}).Run(ctx, env); err == nil || !strings.Contains(err.Error(), "ctr-aes-qce") {
		t.Errorf("error %v, want one that names ctr-aes-qce", err)
	}
	want := map[string]report.Status{"cbc-aes-qce": report.Pass, "xts-aes-qce": report.XFail, "ctr-aes-qce": report.Timeout}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(progress, "waiting for ctr-aes-qce") {
		t.Errorf("progress %q does not say what it waits for", progress)
	}
}

// TestExpectations checks the form of the list.
func TestExpectations(t *testing.T) {
	for _, e := range expectations {
		if e.reason == "" || e.message == nil || len(e.algorithms) == 0 {
			t.Errorf("%v: reason, message or algorithm is missing", e.algorithms)
		}
		for _, name := range e.algorithms {
			if _, ok := AlgorithmByDriver(name); !ok {
				t.Errorf("%s: no such algorithm", name)
			}
		}
	}
}

func TestExpectationCovers(t *testing.T) {
	e := expectation{algorithms: []string{"a"}, driver: job.Series, since: Version{6, 12}, until: Version{7, 2}}
	for _, c := range []struct {
		algorithm, driver string
		version           Version
		want              bool
	}{
		{"a", job.Series, Version{6, 12}, true},
		{"a", job.Series, Version{7, 1}, true},
		{"a", job.Series, Version{6, 11}, false},
		{"a", job.Series, Version{7, 2}, false},
		{"a", job.Stock, Version{7, 1}, false},
		{"b", job.Series, Version{7, 1}, false},
	} {
		if got := e.covers(c.algorithm, c.driver, c.version); got != c.want {
			t.Errorf("covers(%s, %s, %v) = %v", c.algorithm, c.driver, c.version, got)
		}
	}
}
