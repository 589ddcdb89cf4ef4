package suites

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// scriptedKernel answers from tables. Loading a module appends to the log.
type scriptedKernel struct {
	Kernel
	release    string
	algorithms []Algorithm
	files      map[string]string
	log        []LogLine
	load       func(params []string) (output []string, err error)
	loads      []string
}

func (k *scriptedKernel) Release() string                  { return k.release }
func (k *scriptedKernel) Algorithms() ([]Algorithm, error) { return k.algorithms, nil }
func (k *scriptedKernel) Mark() (Mark, error)              { return Mark(len(k.log)), nil }
func (k *scriptedKernel) LogSince(m Mark) ([]LogLine, error) {
	return k.log[m:], nil
}
func (k *scriptedKernel) ReadFile(name string) ([]byte, error) {
	s, ok := k.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(s), nil
}
func (k *scriptedKernel) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range k.files {
		if strings.HasPrefix(name, "/sys/block/vd") && strings.HasSuffix(name, "/serial") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
func (k *scriptedKernel) LoadModule(name string, params ...string) error {
	k.loads = append(k.loads, strings.Join(append([]string{name}, params...), " "))
	out, err := k.load(params)
	for _, text := range out {
		k.log = append(k.log, LogLine{Seq: uint64(len(k.log)), Text: text})
	}
	return err
}
func (k *scriptedKernel) UnloadModule(string) error { return nil }

// outcomes runs a suite and returns the status of each case by name, and the
// cases themselves.
func outcomes(t *testing.T, s Suite, env *Env) (map[string]report.Status, map[string]report.Case) {
	t.Helper()
	status, cases := map[string]report.Status{}, map[string]report.Case{}
	env.Suite, env.Job, env.OutDir = s.Name(), &job.Job{}, t.TempDir()
	env.Emit = func(e job.Event) {
		if e.Case == nil {
			return
		}
		if _, ok := cases[e.Case.Name]; ok {
			t.Errorf("two cases of the name %q", e.Case.Name)
		}
		status[e.Case.Name], cases[e.Case.Name] = e.Case.Status, *e.Case
	}
	if err := s.Run(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	return status, cases
}

func pick(t *testing.T, drivers ...string) target {
	t.Helper()
	var out target
	for _, d := range drivers {
		a, ok := AlgorithmByDriver(d)
		if !ok {
			t.Fatalf("no algorithm %s", d)
		}
		out = append(out, a)
	}
	return out
}

func registeredOf(t target) []Algorithm {
	var out []Algorithm
	for _, a := range t {
		out = append(out, Algorithm{Name: a.Name, Driver: a.Driver, Type: string(a.Kind), Priority: 275, RefCount: 1})
	}
	return out
}

// param finds a module parameter.
func param(params []string, name string) string {
	for _, p := range params {
		if v, ok := strings.CutPrefix(p, name+"="); ok {
			return v
		}
	}
	return ""
}

// tcryptLike prints what tcrypt prints for the drivers it is told to measure.
func tcryptLike(drivers map[string]string) func(params []string) ([]string, error) {
	tables := func(form, asked string, keys ...int) []string {
		var out []string
		for _, dir := range []string{"encryption", "decryption"} {
			out = append(out, fmt.Sprintf("tcrypt: testing speed of %s%s (%s) %s", form, asked, drivers[asked], dir))
			for _, key := range keys {
				for i, block := range []int{16, 4096} {
					out = append(out, fmt.Sprintf("tcrypt: test %d (%d bit key, %d byte blocks): 1 operation in %d cycles (%d bytes)", i, key, block, 1000+block, block))
				}
			}
		}
		return out
	}
	return func(params []string) ([]string, error) {
		var out []string
		alg := param(params, "alg")
		switch param(params, "mode") {
		case "0":
			if drivers[alg] == "" {
				return nil, unix.ENOENT
			}
		case "10":
			return []string{
				"alg: skcipher: xts-aes-qce setkey failed on test vector 0; expected_error=0, actual_error=-126, flags=0x1",
				"alg: self-tests for xts(aes) using xts(aes) failed (rc=-126)",
				"alg: self-tests for xctr(aes) using xctr(aes) failed (rc=-2)",
				"tcrypt: one or more tests failed!",
			}, unix.ENOKEY
		case "212":
			out = tables("", "rfc4309(ccm(aes))", 152)
		case "216":
			out = tables("multibuffer ", "rfc4309(ccm(aes))", 152)
		case "400":
			out = []string{
				"tcrypt: testing speed of async " + alg + " (" + drivers[alg] + ")",
				"tcrypt: test  0 (   16 byte blocks,   16 bytes per update,   1 updates):  62500 cycles/operation, 3906 cycles/byte",
				"tcrypt: test  1 ( 8192 byte blocks,   16 bytes per update, 512 updates): 125000 cycles/operation,   15 cycles/byte",
			}
		case "500":
			for _, name := range []string{"cbc(aes)", "ctr(aes)"} {
				out = append(out, tables("async ", name, 128, 192, 256)...)
			}
			out = append(out, "tcrypt: testing speed of async xts(aes) (xts-aes-qce) encryption",
				"tcrypt: test 0 (256 bit key, 16 byte blocks): ", "tcrypt: setkey() failed flags=0",
				"tcrypt: testing speed of async xts(aes) (xts-aes-qce) decryption",
				"tcrypt: test 0 (256 bit key, 16 byte blocks): ", "tcrypt: setkey() failed flags=0")
		case "600":
			if alg == "xts-aes-qce" {
				out = []string{"tcrypt: testing speed of multibuffer xts-aes-qce (xts-aes-qce) encryption",
					"tcrypt: test 0 (256 bit key, 16 byte blocks): ", "tcrypt: setkey() failed flags=0",
					"tcrypt: testing speed of multibuffer xts-aes-qce (xts-aes-qce) decryption",
					"tcrypt: test 0 (256 bit key, 16 byte blocks): ", "tcrypt: setkey() failed flags=0"}
			} else {
				out = tables("multibuffer ", alg, 8*int(number(param(params, "klen"))))
			}
		}
		return out, unix.EAGAIN
	}
}

const timerLine = "arch_timer: cp15 timer(s) running at 62.50MHz (virt)."

func TestTcryptSuite(t *testing.T) {
	algs := pick(t, "cbc-aes-qce", "ctr-aes-qce", "xts-aes-qce", "sha256-qce", "authenc-hmac-sha256-cbc-aes-qce", "rfc4309-ccm-aes-qce")
	drivers := map[string]string{}
	for _, a := range algs {
		drivers[a.Name], drivers[a.Driver] = a.Driver, a.Driver
	}
	k := &scriptedKernel{
		release: "6.12.117", algorithms: registeredOf(algs), load: tcryptLike(drivers),
		files: map[string]string{paramNoTests: "Y\n", paramNoExtra: "N\n"},
		log:   []LogLine{{Text: timerLine}},
	}
	var writes []string
	s := tcrypt{target: algs, write: func(name, value string) error {
		writes = append(writes, name[strings.LastIndex(name, "/")+1:]+"="+value)
		return nil
	}}
	got, cases := outcomes(t, s, &Env{Kernel: k})

	want := map[string]report.Status{
		"selftest/xts-aes-qce": report.XFail, "selftest/authenc-hmac-sha256-cbc-aes-qce": report.Skip,
		"speed/authenc-hmac-sha256-cbc-aes-qce": report.Skip,
	}
	for _, a := range algs {
		want["present/"+a.Driver] = report.Pass
		if _, ok := want["selftest/"+a.Driver]; !ok {
			want["selftest/"+a.Driver] = report.Pass
		}
	}
	for _, kind := range []string{"speed", "concurrent"} {
		for _, dir := range []string{"encryption", "decryption"} {
			for _, key := range []string{"128", "192", "256"} {
				want[kind+"/cbc-aes-qce/"+dir+"/"+key] = report.Pass
				want[kind+"/ctr-aes-qce/"+dir+"/"+key] = report.Pass
			}
			want[kind+"/xts-aes-qce/"+dir+"/256"] = report.XFail
			want[kind+"/xts-aes-qce/"+dir+"/512"] = report.XFail
			want[kind+"/rfc4309-ccm-aes-qce/"+dir+"/128"] = report.Pass
		}
	}
	want["speed/sha256-qce"] = report.Pass
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cases (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"notests=N", "noextratests=Y", "noextratests=N", "notests=Y"}, writes); diff != "" {
		t.Errorf("self-tests switched (-want +got):\n%s", diff)
	}
	wantMetrics := map[string]float64{
		"cycles_per_op_16": 62500, "ops_per_second_16": 1000, "bytes_per_second_16": 16000,
		"cycles_per_op_8192_by_16": 125000, "ops_per_second_8192_by_16": 500, "bytes_per_second_8192_by_16": 4096000,
	}
	if diff := cmp.Diff(wantMetrics, cases["speed/sha256-qce"].Metrics); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if c := cases["speed/cbc-aes-qce/encryption/192"]; !strings.Contains(c.Detail, "fallback") {
		t.Errorf("a key size of the fallback: %q", c.Detail)
	}
	if c := cases["speed/cbc-aes-qce/encryption/128"]; c.Detail != "" || c.Metrics["cycles_per_op_4096"] != 5096 {
		t.Errorf("a key size of the engine: %+v", c)
	}
}

func TestTcryptMeasuresTheEngine(t *testing.T) {
	algs := pick(t, "cbc-aes-qce")
	for _, tt := range []struct {
		name       string
		registered []Algorithm
		measured   string
		want       map[string]report.Status // of some cases
		text       string                   // in the detail or reason of the first one
	}{
		{"another driver measured", registeredOf(algs), "cbc(aes-generic)",
			map[string]report.Status{"speed/cbc-aes-qce/encryption/128": report.Fail}, "measured cbc(aes-generic)"},
		{"another driver preferred", append(registeredOf(algs), Algorithm{Name: "cbc(aes)", Driver: "cbc-aes-ce", Priority: 300}), "cbc-aes-ce",
			map[string]report.Status{"speed/cbc-aes-qce": report.Skip, "selftest/cbc-aes-qce": report.Skip}, "prefers cbc-aes-ce (priority 300)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &scriptedKernel{release: "7.2.0", algorithms: tt.registered, files: map[string]string{paramNoTests: "Y"},
				load: tcryptLike(map[string]string{"cbc(aes)": tt.measured, "cbc-aes-qce": "cbc-aes-qce"})}
			got, cases := outcomes(t, tcrypt{target: algs, write: func(string, string) error { return nil }}, &Env{Kernel: k})
			for _, name := range slices.Sorted(maps.Keys(tt.want)) {
				if got[name] != tt.want[name] {
					t.Errorf("%s: %q, want %q", name, got[name], tt.want[name])
				}
				if c := cases[name]; !strings.Contains(c.Detail+c.Reason, tt.text) {
					t.Errorf("%s: %q does not say %q", name, c.Detail+c.Reason, tt.text)
				}
			}
		})
	}
}

func TestTcryptWithoutDriver(t *testing.T) {
	k := &scriptedKernel{release: "6.12.1", load: tcryptLike(nil), files: map[string]string{paramNoTests: "Y"}}
	got, _ := outcomes(t, tcrypt{target: pick(t, "cbc-aes-qce"), write: func(string, string) error { return nil }}, &Env{Kernel: k})
	if diff := cmp.Diff(map[string]report.Status{"present/cbc-aes-qce": report.Fail}, got); diff != "" {
		t.Errorf("cases (-want +got):\n%s", diff)
	}
}

func TestTcryptSelftestsStayOff(t *testing.T) {
	k := &scriptedKernel{release: "6.12.1", load: tcryptLike(map[string]string{"sha256-qce": "sha256-qce"}), files: map[string]string{}}
	got, _ := outcomes(t, tcrypt{target: pick(t, "sha256-qce")}, &Env{Kernel: k})
	if got["selftest/sha256-qce"] != report.Skip || got["speed/sha256-qce"] != report.Pass {
		t.Errorf("got %v", got)
	}
}

func TestTcryptStopsInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := &scriptedKernel{release: "6.12.1", files: map[string]string{paramNoTests: "Y"}}
	k.load = func([]string) ([]string, error) { cancel(); return nil, unix.EAGAIN }
	env := &Env{Kernel: k, Emit: func(job.Event) {}, OutDir: t.TempDir()}
	err := tcrypt{target: pick(t, "sha256-qce", "cbc-aes-qce"), write: func(string, string) error { return nil }}.Run(ctx, env)
	if !errors.Is(err, context.Canceled) || len(k.loads) != 1 {
		t.Errorf("%v after %v", err, k.loads)
	}
}

func TestJudgeSelftest(t *testing.T) {
	xts, _ := AlgorithmByDriver("xts-aes-qce")
	cbc, _ := AlgorithmByDriver("cbc-aes-qce")
	failed := func(name, rc string) tcryptLog {
		return tcryptLog{Failed: map[string]string{name: "alg: self-tests for " + name + " using x failed (rc=" + rc + ")"}}
	}
	for _, tt := range []struct {
		name string
		alg  EngineAlgorithm
		log  tcryptLog
		err  error
		want report.Status
	}{
		{"passed", cbc, tcryptLog{}, nil, report.Pass},
		{"failed", cbc, failed("cbc(aes)", "-22"), unix.EINVAL, report.Fail},
		{"another of the mode failed", cbc, failed("xctr(aes)", "-2"), unix.ENOENT, report.Pass},
		{"the module could not be loaded", cbc, tcryptLog{}, unix.ENOEXEC, report.Fail},
		{"known to fail", xts, failed("xts(aes)", "-126"), unix.ENOKEY, report.XFail},
		{"fails otherwise", xts, failed("xts(aes)", "-22"), unix.EINVAL, report.Fail},
		{"known to fail, but passed", xts, tcryptLog{}, nil, report.XPass},
	} {
		var c report.Case
		judgeSelftest(&c, tt.alg, tt.log, tt.err)
		if c.Status != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.name, c.Status, c.Detail, tt.want)
		}
	}
}

// TestTcryptHashCrash: the test that brings newer kernels down is not run there.
func TestTcryptHashCrash(t *testing.T) {
	for release, want := range map[string]report.Status{"6.12.1": report.Pass, "7.1.9": report.Pass, "7.2.12-qcemu": report.Skip, "7.3.0-rc1": report.Skip} {
		k := &scriptedKernel{release: release, load: tcryptLike(map[string]string{"sha256-qce": "sha256-qce"}), files: map[string]string{}}
		got, _ := outcomes(t, tcrypt{target: pick(t, "sha256-qce")}, &Env{Kernel: k})
		if got["speed/sha256-qce"] != want {
			t.Errorf("%s: %v, want %s", release, got, want)
		}
	}
}
