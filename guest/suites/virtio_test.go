package suites

import (
	"errors"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// virtioGuest is a guest with two virtio-crypto devices, as far as files show
// it.
type virtioGuest struct {
	fakeGuest
	module string // what the kernel says when the driver is loaded
	loaded error
	wrote  []string
}

func (k *virtioGuest) LoadModule(name string, _ ...string) error {
	if name != virtioModule || k.loaded != nil {
		return k.loaded
	}
	k.log = append(k.log, logLines(k.module)...)
	return nil
}

// write binds and unbinds.
func (k *virtioGuest) write(name, device string) error {
	k.wrote = append(k.wrote, path.Base(name)+" "+device)
	if path.Base(name) == "bind" {
		k.files[path.Join(virtioDriver, device)] = ""
	} else {
		delete(k.files, path.Join(virtioDriver, device))
	}
	return nil
}

func newVirtioGuest() *virtioGuest {
	k := &virtioGuest{fakeGuest: fakeGuest{scriptedKernel{
		release: "6.12.117", files: map[string]string{managerParams + "notests": "N\n"},
		algorithms: []Algorithm{{Name: "cbc(aes)", Driver: VirtioAlgorithm, Type: "skcipher", Selftest: "passed", RefCount: 1}},
	}}}
	k.module = "virtio_crypto virtio2: max_queues: 1, max_cipher_key_len: 64, max_auth_key_len: 512, max_size 0x7fffffffffffffff\n" +
		"virtio_crypto virtio1: max_queues: 2, max_cipher_key_len: 64, max_auth_key_len: 512, max_size 0xffffffffffffffff\n"
	for _, d := range []string{"virtio1", "virtio2"} {
		k.files[path.Join(virtioDriver, d)] = ""
	}
	return k
}

func TestVirtioProbe(t *testing.T) {
	k := newVirtioGuest()
	r := &virtioRun{env: envOf(Virtio, k), write: k.write}
	var c report.Case
	r.env.Emit = func(e job.Event) { c = *e.Case }
	if ok := r.probe(); !ok || c.Status != report.Pass {
		t.Fatalf("probe: %+v", c)
	}
	if diff := cmp.Diff(map[string]string{VirtioOurs: "virtio1", VirtioBuiltin: "virtio2"}, r.devices); diff != "" {
		t.Error(diff)
	}
	if err := r.only(t.Context(), VirtioBuiltin); err != nil {
		t.Fatal(err)
	}
	if r.bound("virtio1") || !r.bound("virtio2") {
		t.Errorf("not the built-in device alone: %v", k.wrote)
	}
}

func TestVirtioProbeFailures(t *testing.T) {
	for name, c := range map[string]struct {
		change func(k *virtioGuest)
		want   report.Status
	}{
		"no driver":          {func(k *virtioGuest) { k.loaded = os.ErrNotExist }, report.Skip},
		"driver broken":      {func(k *virtioGuest) { k.loaded = errors.New("exec format error") }, report.Fail},
		"no device":          {func(k *virtioGuest) { k.module = "" }, report.Fail},
		"built-in one alone": {func(k *virtioGuest) { k.module = strings.SplitAfter(k.module, "\n")[0] }, report.Fail},
	} {
		k := newVirtioGuest()
		c.change(k)
		got, cases := results(t, virtio{write: k.write}, envOf(Virtio, k))
		if got["probe"] != c.want || len(got) != 1 {
			t.Errorf("%s: %v %+v", name, got, cases["probe"])
		}
	}
}

func TestVirtioSelftest(t *testing.T) {
	for name, c := range map[string]struct {
		change func(k *virtioGuest)
		want   report.Status
	}{
		"passed":    {func(*virtioGuest) {}, report.Pass},
		"tests off": {func(k *virtioGuest) { k.files[managerParams+"notests"] = "Y\n" }, report.Skip},
		"failed": {func(k *virtioGuest) {
			k.algorithms[0].Selftest = "unknown"
			k.log = logLines("alg: skcipher: virtio_crypto_aes_cbc encryption test failed (wrong result) on test vector 0\n")
		}, report.Fail},
	} {
		k := newVirtioGuest()
		c.change(k)
		r := &virtioRun{env: envOf(Virtio, k), write: k.write}
		got := report.Case{Status: report.Pass}
		r.selftest(t.Context(), &got)
		if got.Status != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestVirtioSelftestOnSlowMachine has the kernel give up to wait for an algorithm until
// the device was bound again often enough.
func TestVirtioSelftestOnSlowMachine(t *testing.T) {
	const late = "alg: skcipher: error allocating cbc(aes-generic) (generic impl of cbc(aes)): -110\n" +
		"alg: self-tests for cbc(aes) using virtio_crypto_aes_cbc failed (rc=-110)\n"
	for name, tt := range map[string]struct {
		bad   int // tests that end late
		want  report.Status
		tests string // random ones in the end
	}{"never": {0, report.Pass, "100"}, "once": {1, report.Pass, "25"}, "always": {9, report.Fail, "6"}} {
		k := newVirtioGuest()
		k.files[fuzzIterations] = "100"
		runs := 0
		test := func() {
			k.algorithms[0].Selftest = "passed"
			if runs++; runs <= tt.bad {
				k.algorithms[0].Selftest = "unknown"
				k.log = append(k.log, logLines(late)...)
			}
		}
		test()
		r := &virtioRun{env: envOf(Virtio, k), devices: map[string]string{VirtioOurs: "virtio1"}, write: func(name, value string) error {
			if name == fuzzIterations {
				k.files[name] = value
				return nil
			}
			err := k.write(name, value)
			if path.Base(name) == "bind" {
				test()
			}
			return err
		}}
		r.env.Emit = func(job.Event) {}
		got := report.Case{Status: report.Pass}
		r.tested(t.Context(), VirtioOurs, &got)
		if got.Status != tt.want || k.files[fuzzIterations] != tt.tests || runs > 1+maxTries {
			t.Errorf("%s: %+v, %s random tests, %d runs", name, got, k.files[fuzzIterations], runs)
		}
	}
}
