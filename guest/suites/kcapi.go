package suites

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/report"
)

// kcapi reaches each algorithm of the engine by its driver name through AF_ALG,
// with Debian's kcapi tools and with a client of our own, and compares what
// comes back with published vectors and with Go's library.
type kcapi struct{ target target }

func (kcapi) Name() string { return "kcapi" }
func (kcapi) About() string {
	return "the engine from user space, through AF_ALG: known answers, streams, files, sizes to 1 MiB, tampering"
}
func (kcapi) Boot() Boot { return BootNoTests }

// Run runs the suite.
func (s kcapi) Run(ctx context.Context, env *Env) error {
	algs, registered, err := s.target.find(env.Kernel)
	if err != nil {
		return err
	}
	version, err := ParseVersion(env.Kernel.Release())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kcapi-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &kcapiRun{env: env, ctx: ctx, dir: dir}
	for _, a := range algs {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, present := byDriver(registered, a.Driver)
		if !r.reachable(a, present, version) {
			continue
		}
		env.Progress("%s", a.Driver)
		switch a.Kind {
		case Skcipher:
			r.cipher(a)
		case Hash:
			r.hash(a)
		case AEAD:
			r.aead(a)
		}
	}
	return ctx.Err()
}

// kcapiRun is one run of the suite.
type kcapiRun struct {
	env *Env
	ctx context.Context
	dir string // for files in memory
}

// check runs a case of an algorithm that tallies requests. Cases are not begun
// after the suite's time is over.
func (r *kcapiRun) check(kind string, a EngineAlgorithm, f func(c *report.Case, t *tally)) {
	if r.ctx.Err() != nil {
		return
	}
	r.env.Case(report.Case{Name: kind + "/" + a.Driver, Algorithm: a.Driver}, func(c *report.Case) {
		var t tally
		f(c, &t)
		t.report(c)
	})
}

// expect is check for what is known to fail by the driver's own doing.
func (r *kcapiRun) expect(kind string, a EngineAlgorithm, reason string, f func(c *report.Case, t *tally)) {
	if r.ctx.Err() != nil {
		return
	}
	r.env.Case(report.Case{Name: kind + "/" + a.Driver, Algorithm: a.Driver}, func(c *report.Case) {
		var t tally
		f(c, &t)
		t.report(c)
		if c.Status == "" {
			c.Status = report.Pass
		}
		expectIf(c, true, reason)
	})
}

// reachable reports whether user space gets at the algorithm.
func (r *kcapiRun) reachable(a EngineAlgorithm, present bool, v Version) bool {
	c := report.Case{Name: "open/" + a.Driver, Algorithm: a.Driver}
	judgeOpen(&c, openOnce(a), present, v)
	r.env.Report(c)
	return c.Status == report.Pass
}

// judgeOpen fills in the outcome of opening an algorithm. The kernel says ENOENT
// both for one that it does not have and for one that it hides.
func judgeOpen(c *report.Case, err error, present bool, v Version) {
	switch {
	case err == nil:
		c.Status = report.Pass
	case errors.Is(err, unix.ENOENT) && present && v.Compare(afAlgMasked) >= 0:
		c.Status = report.Skip
		c.Reason = "AF_ALG of kernel " + v.String() + " masks drivers that are asynchronous or for the kernel only (since " + afAlgMasked.String() + ")"
	case errors.Is(err, unix.ENOENT) && !present:
		c.Status, c.Detail = report.Fail, "the driver has not registered it"
	default:
		c.Status, c.Detail = report.Fail, err.Error()
	}
}

// openOnce opens an algorithm with a key that it has to take.
func openOnce(a EngineAlgorithm) error {
	switch a.Kind {
	case Skcipher:
		c, err := afalg.NewCipher(a.Driver, testKey(a.KeySizes[0]))
		if err != nil {
			return err
		}
		return c.Close()
	case Hash:
		h, err := afalg.NewHash(a.Driver, hashKey(a))
		if err != nil {
			return err
		}
		return h.Close()
	case AEAD:
		k := testAEADKeys(a, a.KeySizes[0])
		c, err := afalg.NewAEAD(a.Driver, k.kernelKey(a.Name), a.TagSizes[0])
		if err != nil {
			return err
		}
		return c.Close()
	}
	return fmt.Errorf("%s: unknown kind %q", a.Driver, a.Kind)
}

// Sizes that a case tries: around the block sizes, the driver's and the page's
// limits, and up to 1 MiB.
var messageSizes = []int{
	1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 511, 512, 513, 528, 1000, 1024, 1420, 1536,
	4080, 4095, 4096, 4097, 8191, 8192, 10240, 16384, 32767, 65536, 131072, 262144, 1 << 20,
}

// maxDataUnit is the longest XTS message whose length fits the engine's register
// for the data unit, of 20 bits, and that the driver does not give to software.
const maxDataUnit = 1<<20 - 512

// sizesFor picks the sizes that the algorithm takes.
func sizesFor(a EngineAlgorithm) []int {
	if a.Kind == Hash || a.Block <= 1 {
		return messageSizes
	}
	var out []int
	for _, n := range messageSizes {
		if isXTS(a) {
			n = min(n, maxDataUnit)
		}
		if n%a.Block == 0 {
			out = append(out, n)
		}
	}
	return out
}

// isXTS and isCBC tell modes by the generic name.
func isXTS(a EngineAlgorithm) bool { return strings.HasPrefix(a.Name, "xts(") }
func isCBC(a EngineAlgorithm) bool { return strings.HasPrefix(a.Name, "cbc(") }

// memoryFile returns an open file in memory with that content.
func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("message", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "message")
	if _, err := f.WriteAt(content, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
