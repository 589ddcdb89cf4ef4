package suites

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/report"
)

// virtio shows the engine behind virtio-crypto, without any of its own drivers,
// and compares the ways to an engine that this guest has: the engine's own
// driver, virtio-crypto on the engine, and virtio-crypto on QEMU's built-in
// back-end.
type virtio struct {
	write func(name, value string) error // nil: os.WriteFile
}

// Virtio is the suite's name, VirtioAlgorithm the one algorithm that Linux's
// driver has, VirtioQueues the number of data queues by which the suite knows
// the device behind vhost-user; the built-in one has one.
const (
	Virtio          = "virtio-crypto"
	VirtioAlgorithm = "virtio_crypto_aes_cbc"
	VirtioQueues    = 2

	virtioModule = "virtio_crypto"
	virtioDriver = "/sys/bus/virtio/drivers/virtio_crypto"
)

// The ways, in the names of cases and metrics.
const (
	VirtioOurs    = "vhost-user"
	VirtioBuiltin = "built-in"
	VirtioQCE     = "qce"
)

func (virtio) Name() string { return Virtio }
func (virtio) About() string {
	return "the engine as a virtio-crypto device for any guest, beside QEMU's built-in back-end and the engine's own driver"
}
func (virtio) Boot() Boot { return BootVirtio }

// virtioRun is the state of a run.
type virtioRun struct {
	env     *Env
	write   func(name, value string) error
	devices map[string]string // by way: the device's name
	since   Mark              // of the kernel's log, when the algorithm came back
}

func newVirtioRun(env *Env, write func(name, value string) error) *virtioRun {
	if write == nil {
		write = func(name, value string) error { return os.WriteFile(name, []byte(value), 0) }
	}
	return &virtioRun{env: env, write: write}
}

func (s virtio) Run(ctx context.Context, env *Env) error {
	r := newVirtioRun(env, s.write)
	if !r.probe() {
		return ctx.Err()
	}
	for _, way := range []string{VirtioOurs, VirtioBuiltin} {
		if r.devices[way] == "" {
			continue
		}
		if err := r.only(ctx, way); err != nil {
			return err
		}
		env.Case(report.Case{Name: "selftest/" + way, Algorithm: VirtioAlgorithm}, func(c *report.Case) { r.tested(ctx, way, c) })
		if c := r.usable(way); c != nil {
			env.Report(*c)
			continue
		}
		env.Case(report.Case{Name: "correct/" + way, Algorithm: VirtioAlgorithm}, func(c *report.Case) { r.correct(ctx, c) })
		env.Case(report.Case{Name: "parallel/" + way, Algorithm: VirtioAlgorithm}, func(c *report.Case) { r.parallel(ctx, c) })
		if way == VirtioOurs {
			r.together(ctx)
		}
		r.tcrypt(ctx, way)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.speed(ctx)
	return ctx.Err()
}

// deviceLine is what the driver says of a device.
var deviceLine = regexp.MustCompile(`^virtio_crypto (virtio\d+): max_queues: (\d+),`)

// probe loads the driver and finds out which device is which.
func (r *virtioRun) probe() (ok bool) {
	r.env.Case(report.Case{Name: "probe", Algorithm: VirtioAlgorithm}, func(c *report.Case) {
		mark, err := r.env.Kernel.Mark()
		if err == nil {
			err = r.env.Kernel.LoadModule(virtioModule)
		}
		if errors.Is(err, os.ErrNotExist) {
			c.Status, c.Reason = report.Skip, "the kernel has no virtio_crypto: CONFIG_CRYPTO_DEV_VIRTIO is not set"
			return
		}
		var lines []LogLine
		if err == nil {
			lines, err = r.env.Kernel.LogSince(mark)
		}
		if err != nil {
			failf(c, "%v", err)
			return
		}
		r.devices = map[string]string{}
		for _, l := range lines {
			if m := deviceLine.FindStringSubmatch(l.Text); m != nil {
				way := VirtioBuiltin
				if m[2] == strconv.Itoa(VirtioQueues) {
					way = VirtioOurs
				}
				r.devices[way] = m[1]
			}
		}
		if r.devices[VirtioOurs] == "" {
			failf(c, "the driver has found no device behind vhost-user\n%s", joinTexts(lines))
			return
		}
		c.Detail = fmt.Sprintf("%d devices", len(r.devices))
		ok = true
	})
	return ok
}

// only lets the driver have the device of one way and no other. The algorithm
// goes with the last device and is tested when it comes back.
func (r *virtioRun) only(ctx context.Context, way string) error {
	if err := r.idle(ctx); err != nil {
		return err
	}
	for _, other := range r.devices {
		if r.bound(other) {
			if err := r.write(path.Join(virtioDriver, "unbind"), other); err != nil {
				return fmt.Errorf("unbinding %s: %w", other, err)
			}
		}
	}
	var err error
	if r.since, err = r.env.Kernel.Mark(); err != nil {
		return err
	}
	if err := r.write(path.Join(virtioDriver, "bind"), r.devices[way]); err != nil {
		return fmt.Errorf("binding %s: %w", r.devices[way], err)
	}
	return nil
}

// idle waits until nobody uses the algorithm, the kernel's own test included:
// Linux's driver takes it away from under its users, with a warning, and cannot
// bring it back.
func (r *virtioRun) idle(ctx context.Context) error {
	for deadline := time.Now().Add(virtioTestLimit); ; {
		found, err := r.entries()
		if err != nil {
			return err
		}
		if len(found) == 0 || len(found) == 1 && found[0].RefCount == 1 && found[0].Type != "larval" {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("%s is in use and does not become free", VirtioAlgorithm)
		}
		time.Sleep(pollEvery)
	}
}

// entries are the algorithm's in /proc/crypto: one, and another while it is
// tested.
func (r *virtioRun) entries() (found []Algorithm, err error) {
	algs, err := r.env.Kernel.Algorithms()
	for _, a := range algs {
		if a.Driver == VirtioAlgorithm {
			found = append(found, a)
		}
	}
	return found, err
}

func (r *virtioRun) bound(device string) bool {
	found, err := r.env.Kernel.Glob(path.Join(virtioDriver, device))
	return err == nil && len(found) > 0
}

// tested is selftest, with as many tries as the engine's own driver has on a machine
// that is too slow for the kernel's limit.
func (r *virtioRun) tested(ctx context.Context, way string, c *report.Case) {
	fresh := *c
	for try := 0; ; try++ {
		r.selftest(ctx, c)
		if c.Status != report.Fail || try == maxTries || !r.gaveUp() {
			return
		}
		r.env.Progress("the kernel gave up to wait for a test: again")
		err := fewerTests(r.env.Kernel, r.write)
		if err == nil {
			err = r.only(ctx, way)
		}
		if err != nil {
			failf(c, "%v", err)
			return
		}
		*c = fresh
		c.Detail = fmt.Sprintf("tested %d times, with fewer random tests each time: before, the kernel had given up to wait for an algorithm", try+2)
	}
}

// gaveUp reports whether the test has failed by a limit of the kernel's.
func (r *virtioRun) gaveUp() bool {
	lines, err := r.env.Kernel.LogSince(r.since)
	return err == nil && slices.ContainsFunc(testMessages(lines, VirtioAlgorithm), func(l LogLine) bool { return timedOut.MatchString(l.Text) })
}

// selftest waits for the kernel's own self-test.
func (r *virtioRun) selftest(ctx context.Context, c *report.Case) {
	if reason := testsOff(r.env.Kernel); reason != "" {
		c.Status, c.Reason = report.Skip, reason
		return
	}
	for deadline := time.Now().Add(virtioTestLimit); ; {
		found, err := r.entries()
		if err != nil {
			failf(c, "%v", err)
			return
		}
		if len(found) == 1 && found[0].Type == "skcipher" && found[0].Selftest == "passed" {
			return
		}
		lines, err := r.env.Kernel.LogSince(r.since)
		if err == nil && failedIn(lines) {
			failf(c, "%s", joinTexts(testMessages(lines, VirtioAlgorithm)))
			return
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			c.Status, c.Detail = report.Timeout, fmt.Sprintf("its self-test has not come to an end within %v", virtioTestLimit)
			return
		}
		time.Sleep(pollEvery)
	}
}

const virtioTestLimit = 10 * time.Minute

func failedIn(lines []LogLine) bool {
	return slices.ContainsFunc(lines, func(l LogLine) bool {
		return strings.Contains(l.Text, VirtioAlgorithm) && strings.Contains(l.Text, "failed")
	})
}

// usable says why the algorithm cannot be used by AF_ALG, nil if it can.
func (r *virtioRun) usable(way string) *report.Case {
	c, err := afalg.NewCipher(VirtioAlgorithm, make([]byte, 16))
	if err == nil {
		c.Close()
		return nil
	}
	skip := &report.Case{Name: "correct/" + way, Algorithm: VirtioAlgorithm, Status: report.Fail, Detail: err.Error()}
	if v, verr := ParseVersion(r.env.Kernel.Release()); verr == nil && v.Compare(Version{7, 2}) >= 0 && errors.Is(err, unix.ENOENT) {
		skip.Status, skip.Reason, skip.Detail = report.Skip, "AF_ALG hides asynchronous drivers since 7.2", ""
	}
	return skip
}

// sizes of texts: a block, odd numbers of them, around a page, and what takes
// many pages.
var virtioSizes = []int{16, 32, 48, 512, 4080, 4096, 4112, 16384, 65536}

// correct compares with Go's own AES, for each size of key and text and both
// directions.
func (r *virtioRun) correct(ctx context.Context, c *report.Case) {
	n := 0
	for _, keyLen := range []int{16, 24, 32} {
		key := pattern(1, keyLen)
		block, err := aes.NewCipher(key)
		if err != nil {
			failf(c, "%v", err)
			return
		}
		alg, err := afalg.NewCipher(VirtioAlgorithm, key)
		if err != nil {
			failf(c, "key of %d bits: %v", 8*keyLen, err)
			return
		}
		defer alg.Close()
		for _, size := range virtioSizes {
			if ctx.Err() != nil {
				return
			}
			text, iv := pattern(uint32(size), size), pattern(uint32(keyLen), 16)
			want := make([]byte, size)
			cipher.NewCBCEncrypter(block, iv).CryptBlocks(want, text)
			got, err := alg.Crypt(afalg.Encrypt, iv, text)
			if err != nil || !bytes.Equal(got, want) {
				failf(c, "encryption of %d bytes with %d bits: %v", size, 8*keyLen, wrongOr(err))
				return
			}
			if got, err = alg.Crypt(afalg.Decrypt, iv, want); err != nil || !bytes.Equal(got, text) {
				failf(c, "decryption of %d bytes with %d bits: %v", size, 8*keyLen, wrongOr(err))
				return
			}
			n += 2
		}
	}
	c.Metrics = map[string]float64{"requests": float64(n)}
}

var errWrong = errors.New("wrong result")

func wrongOr(err error) error {
	if err != nil {
		return err
	}
	return errWrong
}

// parallel has several users at a time, each with a key of his own.
func (r *virtioRun) parallel(ctx context.Context, c *report.Case) {
	const users, requests = 4, 40
	errs := make([]error, users)
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			user, err := newVirtioUser(VirtioAlgorithm, uint32(u))
			if err == nil {
				defer user.close()
				err = user.do(ctx, 0, requests)
			}
			errs[u] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		failf(c, "%v", err)
		return
	}
	c.Metrics = map[string]float64{"requests": users * requests}
}

// virtioUser has a key, and knows what comes out.
type virtioUser struct {
	algorithm string
	seed      uint32
	block     cipher.Block
	alg       *afalg.Cipher
}

func newVirtioUser(algorithm string, seed uint32) (*virtioUser, error) {
	key := pattern(seed, 16)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	alg, err := afalg.NewCipher(algorithm, key)
	if err != nil {
		return nil, err
	}
	return &virtioUser{algorithm, seed, block, alg}, nil
}

func (u *virtioUser) close() { u.alg.Close() }

// do does requests, the first of which has a number.
func (u *virtioUser) do(ctx context.Context, first, requests int) error {
	for i := first; i < first+requests && ctx.Err() == nil; i++ {
		text, iv := pattern(uint32(i), 2048), pattern(u.seed+uint32(i)<<8, 16)
		want := make([]byte, len(text))
		cipher.NewCBCEncrypter(u.block, iv).CryptBlocks(want, text)
		if got, err := u.alg.Crypt(afalg.Encrypt, iv, text); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%s, user %d, request %d: %w", u.algorithm, u.seed, i, wrongOr(err))
		}
	}
	return nil
}

// tcrypt lets the kernel measure, several requests at a time.
func (r *virtioRun) tcrypt(ctx context.Context, way string) {
	lines, _ := r.env.Kernel.LogSince(0)
	runs := &tcryptRuns{env: r.env, hz: counterHz(lines)}
	alg := EngineAlgorithm{Name: "cbc(aes)", Driver: VirtioAlgorithm, Kind: Skcipher}
	for _, bits := range []int{128, 256} {
		log, err := runs.load(ctx, "mode="+strconv.Itoa(tcryptManyDriver), "alg="+VirtioAlgorithm,
			"klen="+strconv.Itoa(bits/8), "sec=0", "num_mb="+strconv.Itoa(tcryptRequests))
		for _, direction := range []string{"encryption", "decryption"} {
			s := speedCase{alg: alg, direction: direction, keyBits: bits, concurrent: true}
			c := report.Case{Name: fmt.Sprintf("tcrypt/%s/%s-%d", way, direction, bits), Algorithm: VirtioAlgorithm}
			c.Status, c.Detail, c.Metrics = judgeSpeed(s, VirtioAlgorithm, tcryptResult{log, err}, runs.hz)
			r.env.Report(c)
		}
	}
}
