package suites

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/qcemu/qcemu/guest/job"
)

// tcryptHang is hangAfter for runs of tcrypt, each of which is many requests.
const tcryptHang = 3 * time.Minute

// byTcrypt makes tcrypt's correctness modes the load of a phase, on kernels whose
// AF_ALG does not let anybody at the engine: one run after the other, for there
// is one module. What the kernel does not compare, the host does: it knows what
// each side asked the engine for. restore undoes what it set.
func (p *phaseRun) byTcrypt(algs []EngineAlgorithm, registered []Algorithm) (restore func(), err error) {
	params := map[string][]string{}
	for _, a := range algs {
		if params[a.Driver] = tcryptParams(a, registered); params[a.Driver] != nil {
			p.algs = append(p.algs, a)
		}
	}
	if len(p.algs) == 0 {
		return func() {}, nil
	}
	if restore, err = p.plainTests(); err != nil {
		return nil, err
	}
	runs := &tcryptRuns{env: p.env, registered: registered}
	var one sync.Mutex
	p.open = func(a EngineAlgorithm, _ *draws) (client, error) {
		return &tcryptClient{runs: runs, one: &one, alg: a, params: params[a.Driver]}, nil
	}
	p.tcrypt, p.hang, p.perOpen = true, tcryptHang, 1
	p.phase.Threads = 1
	p.phase.Requests = max(2*len(p.algs), p.phase.Requests/200)
	if p.phase.Beside == job.BesideTcrypt {
		p.phase.Beside = ""
	}
	return restore, nil
}

// plainTests switches on the self-tests that tcrypt runs, without the slow ones.
func (p *phaseRun) plainTests() (restore func(), err error) {
	if err := p.write(paramNoTests, "N"); err != nil {
		return nil, err
	}
	changed := [][2]string{{paramNoTests, "Y"}}
	for _, name := range []string{paramNoSlow, paramNoExtra} {
		if _, err := p.env.Kernel.ReadFile(name); err == nil && p.write(name, "Y") == nil {
			changed = append(changed, [2]string{name, "N"})
		}
	}
	return func() {
		for _, c := range slices.Backward(changed) {
			p.write(c[0], c[1])
		}
	}, nil
}

// tcryptClient has runs of the correctness mode of an algorithm for requests.
type tcryptClient struct {
	runs *tcryptRuns
	one  *sync.Mutex // the module can be loaded once at a time
	alg  EngineAlgorithm

	params []string
}

// tcryptParams are the parameters with which tcrypt uses an algorithm of the
// engine; nil if there are none. Its speed modes, which could have any hash by the
// driver's name, are no way: on the kernels that need this, tcrypt looks for its
// completion in a request that the crypto interface has borrowed meanwhile
// (do_one_ahash_op, ahash_save_req), and brings the kernel down.
func tcryptParams(a EngineAlgorithm, registered []Algorithm) []string {
	mode, ok := tcryptTest[a.Name]
	switch {
	case isXTS(a): // the driver refuses the key of the first test vector
		return nil
	case ok && notPreferred(registered, a) == "":
		return []string{"mode=" + strconv.Itoa(mode)}
	}
	return nil
}

func (c *tcryptClient) Close() error { return nil }

func (c *tcryptClient) draw(*draws) (request, error) {
	q := request{what: "tcrypt " + strings.Join(c.params, " ")}
	q.do = func() ([]byte, error) {
		c.one.Lock()
		defer c.one.Unlock()
		log, err := c.runs.load(context.Background(), c.params...)
		if len(log.Failed) > 0 {
			err = nil // whether or not it is this algorithm of the mode
		}
		return []byte(log.Failed[c.alg.Name]), err
	}
	q.differs = func(got []byte) string { return string(got) }
	return q, nil
}
