package suites

import (
	"regexp"
	"slices"

	"github.com/qcemu/qcemu/report"
)

// expectation is a self-test that fails by the driver's or the engine's own
// doing on real hardware too.
type expectation struct {
	algorithms []string       // driver names
	driver     string         // job.Stock or job.Series; "": both
	since      Version        // first kernel version with the behaviour; zero: all
	until      Version        // first one without; zero: none
	message    *regexp.Regexp // the kernel's message of this very failure
	chance     bool           // random input finds it, most of the time: a pass tells nothing
	reason     string         // why it must fail, and how we know
}

// expectations is the list of self-tests that are known to fail. An entry is
// matched by its message as well: another failure of the same algorithm is a
// failure.
var expectations = []expectation{
	{
		algorithms: []string{"xts-aes-qce"},
		message:    regexp.MustCompile(`setkey failed on test vector .*actual_error=-126`),
		reason: "the driver refuses an XTS key of two equal halves with -ENOKEY (qce_skcipher_setkey); " +
			"the first test vector has such a key, and the kernel allows it outside of FIPS mode",
	},
	{
		algorithms: []string{"hmac-sha1-qce", "hmac-sha256-qce"},
		message:    regexp.MustCompile(`\(wrong result\) on test vector "random: psize=0 `),
		// 800 random lengths, of which about one in 200 is zero.
		chance: true,
		reason: "the driver returns no digest for the HMAC of an empty message: qce_ahash_digest and qce_ahash_final " +
			"copy a ready-made digest, which exists for the plain hash only, and never ask the engine, " +
			"which cannot do zero length (datasheet §16.5)",
	},
	{
		algorithms: []string{"ecb-3des-qce", "cbc-3des-qce"},
		message:    regexp.MustCompile(`setkey failed on test vector "random: .*actual_error=-126`),
		// The kernel's random keys repeat one byte now and then.
		chance: true,
		reason: "the driver refuses a triple DES key in which two of the three keys are equal with -ENOKEY " +
			"(qce_des3_setkey: the engine does not support it), which the generic driver takes",
	},
}

// expected looks for the entry that covers a failure.
func expected(algorithm, driver string, v Version, messages []LogLine) (expectation, bool) {
	for _, e := range expectations {
		if e.covers(algorithm, driver, v) && slices.ContainsFunc(messages, func(l LogLine) bool { return e.message.MatchString(l.Text) }) {
			return e, true
		}
	}
	return expectation{}, false
}

func (e *expectation) covers(algorithm, driver string, v Version) bool {
	return slices.Contains(e.algorithms, algorithm) &&
		(e.driver == "" || e.driver == driver) &&
		v.Compare(e.since) >= 0 && (e.until == Version{} || v.Compare(e.until) < 0)
}

// anyExpected says whether the algorithm's self-test is listed at all.
func anyExpected(algorithm, driver string, v Version) (expectation, bool) {
	for _, e := range expectations {
		if e.covers(algorithm, driver, v) {
			return e, true
		}
	}
	return expectation{}, false
}

// judge makes the outcome of a self-test a status: what was found against what
// is listed.
func judge(c *report.Case, failed bool, driver string, v Version, messages []LogLine) {
	switch {
	case failed:
		c.Status, c.Detail = report.Fail, joinTexts(messages)
		if e, ok := expected(c.Algorithm, driver, v, messages); ok {
			c.Status, c.Reason = report.XFail, e.reason
		}
	default:
		c.Status = report.Pass
		if e, ok := anyExpected(c.Algorithm, driver, v); ok && !e.chance {
			c.Status, c.Reason = report.XPass, e.reason
			c.Detail = "passed, though listed as an expected failure: take it off the list for this kernel"
		}
	}
}
