package suites

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/job"
	"github.com/qcemu/qcemu/report"
)

// testedKernel has a tcrypt whose modes say what is given for them.
type testedKernel struct {
	*fakeGuest
	said  map[string]string // by parameters
	runs  int
	asked map[string]int
}

func (k *testedKernel) LoadModule(name string, params ...string) error {
	if name != "tcrypt" {
		return unix.ENOENT
	}
	k.runs++
	k.asked[strings.Join(params, " ")]++
	k.log = append(k.log, logLines(k.said[strings.Join(params, " ")])...)
	return unix.EAGAIN
}

// TestByTcrypt: where AF_ALG is closed, a phase's requests are runs of tcrypt,
// one after the other, and each counts for its algorithm alone.
func TestByTcrypt(t *testing.T) {
	k := &testedKernel{fakeGuest: healthy(), said: map[string]string{}, asked: map[string]int{}}
	k.algorithms = append(k.algorithms,
		Algorithm{Name: "ctr(aes)", Driver: "ctr-aes-qce", Type: "skcipher"},
		Algorithm{Name: "ctr(aes)", Driver: "ctr-aes-ce", Type: "skcipher", Priority: 900},
		Algorithm{Name: "sha256", Driver: "sha256-lib", Type: "ahash", Priority: 300})
	k.said["mode=10"] = "alg: self-tests for ctr(aes) using ctr-aes-ce failed (rc=-22)\n"
	p, cases := loadOf(t, job.Phase{Requests: 700, Threads: 4, Beside: job.BesideTcrypt}, k, nil)
	p.algs = nil
	written := map[string]string{}
	p.write = func(name, value string) error { written[name] = value; return nil }
	sha, _ := AlgorithmByDriver("sha256-qce")
	restore, err := p.byTcrypt(slices.Concat(EngineAlgorithms()[:4], []EngineAlgorithm{sha}), k.algorithms)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(p.algs, []string{"ecb-aes-qce", "cbc-aes-qce"}, func(a EngineAlgorithm, name string) bool { return a.Driver == name }) {
		t.Errorf("XTS, or something that the kernel does not prefer: %v", p.algs)
	}
	if p.phase.Threads != 1 || p.phase.Beside != "" || p.hang <= time.Second {
		t.Errorf("%+v", p.phase)
	}
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k.runs != 4 || k.asked["mode=10"] != 4 {
		t.Errorf("%d runs: %v", k.runs, k.asked)
	}
	if c := cases["requests/cbc-aes-qce"]; c.Status != report.Pass || c.Metrics[job.MetricTcrypt] != 1 {
		t.Errorf("%+v", c)
	}
	restore()
	if written[paramNoTests] != "Y" {
		t.Errorf("written: %v", written)
	}

	// A self-test that fails is a wrong result, told in the kernel's words.
	k.said["mode=10"] = "alg: self-tests for cbc(aes) using cbc-aes-qce failed (rc=-22)\n"
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := cases["requests/cbc-aes-qce"]; c.Status != report.Fail || c.Metrics[job.MetricCorrupted] == 0 || !strings.Contains(c.Detail, "rc=-22") {
		t.Errorf("%+v", c)
	}
	if c := cases["requests/ecb-aes-qce"]; c.Status != report.Pass {
		t.Errorf("%+v", c)
	}
}
