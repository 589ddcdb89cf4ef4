package suites

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/report"
)

// tcrypt drives the kernel's own test module, tcrypt: its correctness modes,
// with the plain test vectors (the suite selftest runs the full ones), and its
// speed modes, counted in cycles: 4 warm-up and 8 measured operations for each
// size, where a run by the clock would take a second.
type tcrypt struct {
	target target
	// write sets a parameter of a module; nil: in sysfs.
	write func(name, value string) error
}

func (tcrypt) Name() string { return "tcrypt" }
func (tcrypt) About() string {
	return "the kernel's tcrypt module: correctness and speed of each algorithm of the engine"
}
func (tcrypt) Boot() Boot { return BootNoTests }

// tcryptTest is the correctness mode of each generic name. tcrypt has none for
// authenc(hmac(sha256),cbc(aes)).
var tcryptTest = map[string]int{
	"sha1": 2, "ecb(des)": 3, "cbc(des)": 3, "ecb(des3_ede)": 4, "cbc(des3_ede)": 4, "sha256": 6,
	"ecb(aes)": 10, "cbc(aes)": 10, "ctr(aes)": 10, "xts(aes)": 10,
	"ccm(aes)": 37, "rfc4309(ccm(aes))": 45, "hmac(sha1)": 101, "hmac(sha256)": 102,
	"authenc(hmac(sha1),cbc(des))": 181, "authenc(hmac(sha1),cbc(des3_ede))": 182,
	"authenc(hmac(sha256),cbc(des))": 185, "authenc(hmac(sha256),cbc(des3_ede))": 186,
}

// tcryptSpeed is the speed mode that measures a generic name, and tcryptMany
// the one that does so with several requests at a time.
var (
	tcryptSpeed = map[string]int{
		"ecb(aes)": 500, "cbc(aes)": 500, "ctr(aes)": 500, "xts(aes)": 500,
		"ecb(des3_ede)": 501, "cbc(des3_ede)": 501, "ecb(des)": 502, "cbc(des)": 502,
		"rfc4309(ccm(aes))": 212,
	}
	tcryptMany = map[string]int{"ecb(des3_ede)": 601, "cbc(des3_ede)": 601, "rfc4309(ccm(aes))": 216}
)

// Modes that measure a driver by its name.
const (
	tcryptPresent    = 0   // nothing but whether it exists
	tcryptHashDriver = 400 // a hash
	tcryptManyDriver = 600 // a cipher, several requests at a time
	tcryptRequests   = 4   // at a time
)

// noKey and noSetkey are what the kernel says when the driver refuses a key.
const (
	noKey    = "(rc=-126)"
	noSetkey = "setkey() failed"
)

// tcryptEqualHalves: tcrypt's keys are all ones wherever it has no vector.
const tcryptEqualHalves = "the two halves of the XTS key are equal, which the driver refuses with ENOKEY (datasheet §28)"

// Run runs the suite.
func (s tcrypt) Run(ctx context.Context, env *Env) error {
	algs, registered, err := s.target.find(env.Kernel)
	if err != nil {
		return err
	}
	if s.write == nil {
		s.write = func(name, value string) error { return os.WriteFile(name, []byte(value), 0) }
	}
	r := &tcryptRuns{env: env, registered: registered, hz: s.hz(env)}
	var present []EngineAlgorithm
	for _, a := range algs {
		if r.present(ctx, a) {
			present = append(present, a)
		}
	}
	if err := s.correctness(ctx, r, present); err != nil {
		return err
	}
	r.speed(ctx, present)
	if err := ctx.Err(); err != nil {
		return err
	}
	return env.Artifact("tcrypt.log", []byte(r.raw.String()))
}

// hz finds the counter's frequency in the kernel log; 0 if it is lost.
func (tcrypt) hz(env *Env) float64 {
	lines, err := env.Kernel.LogSince(0)
	if err != nil {
		return 0
	}
	return counterHz(lines)
}

// Parameters of the kernel's test manager.
const (
	paramNoTests = "/sys/module/cryptomgr/parameters/notests"
	paramNoSlow  = "/sys/module/cryptomgr/parameters/noslowtests"
	paramNoExtra = "/sys/module/cryptomgr/parameters/noextratests" // its name before 6.17
)

// correctness runs the correctness modes, with the self-tests switched on for
// as long, but not the slow ones.
func (s tcrypt) correctness(ctx context.Context, r *tcryptRuns, algs []EngineAlgorithm) error {
	was, err := r.env.Kernel.ReadFile(paramNoTests)
	if err == nil {
		err = s.write(paramNoTests, "N")
	}
	if err != nil {
		for _, a := range algs {
			r.env.Report(report.Case{Name: "selftest/" + a.Driver, Algorithm: a.Driver, Status: report.Skip,
				Reason: "the kernel's self-tests are off and cannot be switched on: " + err.Error()})
		}
		return nil
	}
	defer s.write(paramNoTests, strings.TrimSpace(string(was)))
	for _, name := range []string{paramNoSlow, paramNoExtra} {
		if was, err := r.env.Kernel.ReadFile(name); err == nil && s.write(name, "Y") == nil {
			defer s.write(name, strings.TrimSpace(string(was)))
		}
	}

	logs := map[int]tcryptLog{}
	errs := map[int]error{}
	for _, a := range algs {
		mode, ok := tcryptTest[a.Name]
		c := report.Case{Name: "selftest/" + a.Driver, Algorithm: a.Driver}
		if !ok {
			c.Status, c.Reason = report.Skip, "tcrypt has no correctness mode for it; the suite selftest covers it"
			r.env.Report(c)
			continue
		}
		if why := notPreferred(r.registered, a); why != "" {
			c.Status, c.Reason = report.Skip, why
			r.env.Report(c)
			continue
		}
		r.env.Case(c, func(c *report.Case) {
			if _, done := logs[mode]; !done {
				logs[mode], errs[mode] = r.load(ctx, "mode="+strconv.Itoa(mode))
			}
			judgeSelftest(c, a, logs[mode], errs[mode])
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// judgeSelftest fills in the outcome of a correctness mode for one algorithm.
// A mode covers several names: only this one's failure counts.
func judgeSelftest(c *report.Case, a EngineAlgorithm, log tcryptLog, err error) {
	complaint, failed := log.Failed[a.Name]
	c.Status = report.Pass
	switch {
	case failed:
		c.Status, c.Detail = report.Fail, complaint
	case err != nil && len(log.Failed) == 0:
		c.Status, c.Detail = report.Fail, err.Error()
	}
	expectIf(c, isXTS(a) && (!failed || strings.Contains(complaint, noKey)), "the kernel's test vectors have keys in which "+tcryptEqualHalves)
}

// expectIf turns the outcome of a case that has to fail into an expected
// failure, or an unexpected pass.
func expectIf(c *report.Case, expected bool, reason string) {
	if !expected {
		return
	}
	switch c.Status {
	case report.Fail:
		c.Status, c.Reason = report.XFail, reason
	case report.Pass:
		c.Status, c.Reason = report.XPass, reason
	}
}

// tcryptRuns runs tcrypt and keeps what it said.
type tcryptRuns struct {
	env        *Env
	registered []Algorithm
	hz         float64 // of the cycle counter, 0 if unknown
	raw        strings.Builder
}

// load loads the module once. All its work is done by its initialisation, which
// ends with EAGAIN when all went well, so that it need not be unloaded.
func (r *tcryptRuns) load(ctx context.Context, params ...string) (tcryptLog, error) {
	if err := ctx.Err(); err != nil {
		return tcryptLog{}, err
	}
	r.env.Progress("tcrypt %s", strings.Join(params, " "))
	mark, err := r.env.Kernel.Mark()
	if err != nil {
		return tcryptLog{}, err
	}
	loadErr := r.env.Kernel.LoadModule("tcrypt", params...)
	lines, err := r.env.Kernel.LogSince(mark)
	fmt.Fprintf(&r.raw, "# tcrypt %s\n", strings.Join(params, " "))
	for _, l := range lines {
		r.raw.WriteString(l.Text + "\n")
	}
	if err != nil {
		return tcryptLog{}, err
	}
	log := parseTcrypt(lines)
	switch {
	case loadErr == nil: // it stays loaded in FIPS mode only
		return log, r.env.Kernel.UnloadModule("tcrypt")
	case errors.Is(loadErr, unix.EAGAIN):
		return log, nil
	}
	return log, fmt.Errorf("loading tcrypt with %s: %w", strings.Join(params, " "), loadErr)
}

// typeOfKind is how the kernel looks for each kind: the type in an algorithm's
// flags, and the bits that count (CRYPTO_ALG_TYPE_* of linux/crypto.h). Without
// them tcrypt looks for type 0, which nothing has.
var typeOfKind = map[Kind][]string{
	Skcipher: {"type=0x5", "mask=0xe"},
	Hash:     {"type=0xf", "mask=0xe"},
	AEAD:     {"type=0x3", "mask=0xf"},
}

// present reports whether the driver is there at all.
func (r *tcryptRuns) present(ctx context.Context, a EngineAlgorithm) bool {
	_, err := r.load(ctx, append(typeOfKind[a.Kind], "mode="+strconv.Itoa(tcryptPresent), "alg="+a.Driver)...)
	c := report.Case{Name: "present/" + a.Driver, Algorithm: a.Driver, Status: report.Pass}
	if err != nil {
		c.Status, c.Detail = report.Fail, err.Error()
		if errors.Is(err, unix.ENOENT) {
			c.Detail = fmt.Sprintf("the kernel has no usable algorithm %s", a.Driver)
		}
	}
	r.env.Report(c)
	return err == nil
}

// speedCase is one case of a speed run: a driver in one direction with one key
// size.
type speedCase struct {
	alg        EngineAlgorithm
	direction  string
	keyBits    int // with a salt, as tcrypt counts; 0 for hashes
	concurrent bool
}

func (s speedCase) name() string {
	parts := []string{"speed", s.alg.Driver}
	if s.concurrent {
		parts[0] = "concurrent"
	}
	if s.direction != "" {
		parts = append(parts, s.direction, strconv.Itoa(s.keyBits-s.alg.Salt*8))
	}
	return strings.Join(parts, "/")
}

// speed runs the speed modes and reports a case for each row of what they have
// to measure.
func (r *tcryptRuns) speed(ctx context.Context, algs []EngineAlgorithm) {
	byMode := map[int]*tcryptResult{}
	mode := func(n int) *tcryptResult {
		if byMode[n] == nil {
			log, err := r.load(ctx, "mode="+strconv.Itoa(n), "sec=0", "num_mb="+strconv.Itoa(tcryptRequests))
			byMode[n] = &tcryptResult{log, err}
		}
		return byMode[n]
	}
	for _, a := range algs {
		switch a.Kind {
		case Hash:
			if why := r.hashCrash(); why != "" {
				r.env.Report(report.Case{Name: speedCase{alg: a}.name(), Algorithm: a.Driver, Status: report.Skip, Reason: why})
				continue
			}
			params := []string{"mode=" + strconv.Itoa(tcryptHashDriver), "alg=" + a.Driver, "sec=0"}
			if a.Keyed {
				params = append(params, "klen=64")
			}
			log, err := r.load(ctx, params...)
			r.judge(speedCase{alg: a}, a.Driver, tcryptResult{log, err})
			continue
		case Skcipher:
			r.concurrentByDriver(ctx, a)
		}
		single, one := tcryptSpeed[a.Name]
		many, several := tcryptMany[a.Name]
		if !one && !several {
			r.env.Report(report.Case{Name: "speed/" + a.Driver, Algorithm: a.Driver, Status: report.Skip,
				Reason: "tcrypt has no speed mode for it"})
			continue
		}
		if why := notPreferred(r.registered, a); why != "" {
			r.env.Report(report.Case{Name: "speed/" + a.Driver, Algorithm: a.Driver, Status: report.Skip, Reason: why})
			continue
		}
		for _, c := range speedCases(a) {
			if one {
				r.judge(c, a.Name, *mode(single))
			}
			if several {
				c.concurrent = true
				r.judge(c, a.Name, *mode(many))
			}
		}
	}
}

// hashCrash is why the speed of hashes is not to be measured on this kernel, ""
// if it can be.
func (r *tcryptRuns) hashCrash() string {
	v, err := ParseVersion(r.env.Kernel.Release())
	if err != nil || v.Compare(Version{7, 2}) < 0 {
		return ""
	}
	return "tcrypt's hash speed test crashes the kernel, whatever driver it measures (seen on 7.2): it takes the callback's data for its own, which the crypto interface has replaced (do_one_ahash_op)"
}

// concurrentByDriver measures a cipher by its driver name with several requests
// at a time: more than the driver's queue holds, so that its backlog works too.
func (r *tcryptRuns) concurrentByDriver(ctx context.Context, a EngineAlgorithm) {
	if _, ok := tcryptMany[a.Name]; ok {
		return // 3DES: the key of this mode has equal parts, which the driver refuses
	}
	results := map[int]tcryptResult{}
	for _, c := range speedCases(a) {
		c.concurrent = true
		if _, ok := results[c.keyBits]; !ok {
			log, err := r.load(ctx, "mode="+strconv.Itoa(tcryptManyDriver), "alg="+a.Driver,
				"klen="+strconv.Itoa(c.keyBits/8), "sec=0", "num_mb="+strconv.Itoa(tcryptRequests))
			results[c.keyBits] = tcryptResult{log, err}
		}
		r.judge(c, a.Driver, results[c.keyBits])
	}
}

// speedCases lists what tcrypt measures of an algorithm that has directions.
func speedCases(a EngineAlgorithm) []speedCase {
	var sizes []int
	switch {
	case a.Kind == AEAD: // mode 212 has one key size: 128 bits, with the salt
		sizes = []int{16 + a.Salt}
	case isXTS(a): // no mode tries the size in between
		sizes = a.KeySizes
	default:
		sizes = slices.Sorted(slices.Values(append(slices.Clone(a.KeySizes), a.SoftKeySizes...)))
	}
	var cases []speedCase
	for _, size := range sizes {
		for _, d := range []string{"encryption", "decryption"} {
			cases = append(cases, speedCase{alg: a, direction: d, keyBits: size * 8})
		}
	}
	return cases
}

// tcryptResult is what one run of the module came to.
type tcryptResult struct {
	log tcryptLog
	err error
}

// judge reports one case out of a run in which tcrypt was asked for a name.
func (r *tcryptRuns) judge(s speedCase, asked string, res tcryptResult) {
	c := report.Case{Name: s.name(), Algorithm: s.alg.Driver}
	c.Status, c.Detail, c.Metrics = judgeSpeed(s, asked, res, r.hz)
	if c.Status == report.Pass && slices.Contains(s.alg.SoftKeySizes, s.keyBits/8) {
		c.Detail = "the driver hands this key size to its software fallback: not a figure of the engine"
	}
	expectIf(&c, isXTS(s.alg) && (c.Status == report.Pass || strings.Contains(c.Detail, noSetkey)),
		"in tcrypt's key "+tcryptEqualHalves+"; cryptsetup's benchmark measures it")
	r.env.Report(c)
}

func judgeSpeed(s speedCase, asked string, res tcryptResult, hz float64) (report.Status, string, map[string]float64) {
	fail := func(format string, args ...any) (report.Status, string, map[string]float64) {
		return report.Fail, fmt.Sprintf(format, args...), nil
	}
	if res.err != nil {
		return fail("%v", res.err)
	}
	i := slices.IndexFunc(res.log.Tables, func(t speedTable) bool {
		return t.Name == asked && t.Direction == s.direction && t.Concurrent == s.concurrent
	})
	if i < 0 {
		return fail("tcrypt printed no table for %s %s: %s", asked, s.direction, strings.Join(res.log.Errors, "; "))
	}
	table := res.log.Tables[i]
	if table.Driver != s.alg.Driver {
		return fail("tcrypt measured %s, not %s", table.Driver, s.alg.Driver)
	}
	if len(table.Errors) > 0 {
		return fail("%s", strings.Join(table.Errors, "; "))
	}
	metrics := map[string]float64{}
	rows := 0
	for _, row := range table.Rows {
		if row.KeyBits != s.keyBits {
			continue
		}
		rows++
		size := strconv.Itoa(row.Block)
		if row.PerUpdate != row.Block {
			size += "_by_" + strconv.Itoa(row.PerUpdate)
		}
		ops := float64(row.Ops)
		if row.Cycles > 0 {
			metrics["cycles_per_op_"+size] = float64(row.Cycles)
			ops = hz / float64(row.Cycles)
		}
		if ops > 0 {
			metrics["ops_per_second_"+size] = ops
			metrics["bytes_per_second_"+size] = ops * float64(row.Block)
		}
	}
	if rows == 0 {
		return fail("the table of %s %s has no row for a key of %d bits", asked, s.direction, s.keyBits)
	}
	return report.Pass, "", metrics
}
