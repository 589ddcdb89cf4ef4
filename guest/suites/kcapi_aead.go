package suites

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/report"
)

// Failures of AEADs by the driver's own doing.
const (
	softKeyTwice = "the driver forgets after one request that a key of 192 bits needs its software fallback, " +
		"and gives the next one to the engine, which has no such keys (datasheet §28)"
	oddAuthKey = "the driver drops the bytes of an authentication key that do not fill a word (datasheet §28)"
)

func isAuthenc(a EngineAlgorithm) bool { return strings.HasPrefix(a.Name, "authenc(") }

// aeadSizes are the sizes of messages for an AEAD: fewer, as each is tried with
// its tag both ways.
var aeadSizes = []int{1, 15, 16, 17, 48, 64, 255, 512, 1000, 1024, 1420, 4080, 4096, 8192, 16384, 65536, 262144, 1 << 20}

// aead runs the cases of an AEAD, all with our own client: the kcapi tools
// leave associated data and tags to the caller.
func (r *kcapiRun) aead(a EngineAlgorithm) {
	if a.Name == "ccm(aes)" {
		r.check("known-answers", a, func(_ *report.Case, t *tally) { ccmKnownAnswers(a, t) })
	}
	tag := a.TagSizes[len(a.TagSizes)-1]
	for _, size := range a.KeySizes {
		r.check(fmt.Sprintf("sizes-%d", size*8), a, func(_ *report.Case, t *tally) {
			for _, n := range aeadSizes {
				if n%a.Block == 0 {
					aeadOnce(a, testAEADKeys(a, size), tag, testAssoc(a, testIV(a)), n, t)
				}
			}
		})
	}
	r.check("tag-sizes", a, func(_ *report.Case, t *tally) {
		for _, tag := range a.TagSizes {
			aeadOnce(a, testAEADKeys(a, a.KeySizes[0]), tag, testAssoc(a, testIV(a)), 64, t)
		}
	})
	r.check("associated-data", a, func(_ *report.Case, t *tally) {
		for _, assoc := range assocSizes(a) {
			aeadOnce(a, testAEADKeys(a, a.KeySizes[0]), tag, assoc, 64, t)
		}
	})
	r.check("tampered", a, func(_ *report.Case, t *tally) { tampered(a, tag, t) })
	r.check("empty", a, func(c *report.Case, t *tally) {
		aeadOnce(a, testAEADKeys(a, a.KeySizes[0]), tag, testAssoc(a, testIV(a)), 0, t)
		c.Detail = "an empty message goes to the driver's software fallback, except that CCM decrypts it in the engine"
	})
	if a.Salt > 0 {
		r.check("bad-associated-data", a, func(_ *report.Case, t *tally) { badAssoc(a, tag, t) })
	}
	if isAuthenc(a) {
		r.expect("odd-auth-key", a, oddAuthKey, func(_ *report.Case, t *tally) {
			k := testAEADKeys(a, a.KeySizes[0])
			k.Auth = pattern(4, 30)
			aeadOnce(a, k, tag, testAssoc(a, testIV(a)), 64, t)
		})
	}
	for _, size := range a.SoftKeySizes {
		r.check(fmt.Sprintf("sizes-%d", size*8), a, func(c *report.Case, t *tally) {
			// Each request with a transform of its own: see softKeyTwice.
			aeadFresh(a, size, tag, []int{16, 64, 1024}, t)
			c.Detail = "the engine has no keys of this size: the driver's software fallback did it"
		})
		r.expect(fmt.Sprintf("again-%d", size*8), a, softKeyTwice, func(_ *report.Case, t *tally) {
			aeadOnce(a, testAEADKeys(a, size), tag, testAssoc(a, testIV(a)), 64, t)
		})
	}
}

// assocSizes lists associated data that the algorithm takes.
func assocSizes(a EngineAlgorithm) [][]byte {
	iv := testIV(a)
	var out [][]byte
	if a.Salt > 0 { // what IPsec has: 8 or 12 bytes, and the IV
		for _, n := range []int{8, 12} {
			out = append(out, append(pattern(6, n), iv...))
		}
		return out
	}
	for _, n := range []int{0, 1, 2, 13, 14, 15, 16, 17, 32, 64, 300, 1000} {
		out = append(out, pattern(6, n))
	}
	return out
}

// sealed opens a transform and returns it with what a message has to become.
func sealed(a EngineAlgorithm, k aeadKeys, iv, assoc, plain []byte, tag int) (*afalg.AEAD, []byte, error) {
	want, err := refSeal(a.Name, k, iv, assoc, plain, tag)
	if err != nil {
		return nil, nil, err
	}
	c, err := afalg.NewAEAD(a.Driver, k.kernelKey(a.Name), tag)
	return c, want, err
}

// aeadOnce encrypts and decrypts one message with one transform, and compares
// both with the reference.
func aeadOnce(a EngineAlgorithm, k aeadKeys, tag int, assoc []byte, n int, t *tally) {
	iv, plain := testIV(a), pattern(uint32(n), n)
	c, want, err := sealed(a, k, iv, assoc, plain, tag)
	if err != nil {
		t.failf("%v", err)
		return
	}
	defer c.Close()
	what := fmt.Sprintf("%d bit key, %d bytes, tag of %d, %d associated", len(k.Enc)*8, n, tag, len(assoc))
	got, err := c.Seal(iv, assoc, plain)
	t.same("encrypt "+what, got, err, want)
	got, err = c.Open(iv, assoc, want)
	t.same("decrypt "+what, got, err, plain)
}

// aeadFresh is aeadOnce with a transform for each direction.
func aeadFresh(a EngineAlgorithm, keySize, tag int, sizes []int, t *tally) {
	k, iv := testAEADKeys(a, keySize), testIV(a)
	assoc := testAssoc(a, iv)
	for _, n := range sizes {
		plain := pattern(uint32(n), n)
		sealed, err := refSeal(a.Name, k, iv, assoc, plain, tag)
		if err != nil {
			t.failf("%v", err)
			return
		}
		for _, d := range directions {
			c, err := afalg.NewAEAD(a.Driver, k.kernelKey(a.Name), tag)
			if err != nil {
				t.failf("%v", err)
				return
			}
			var got []byte
			want := sealed
			if d == afalg.Encrypt {
				got, err = c.Seal(iv, assoc, plain)
			} else {
				want = plain
				got, err = c.Open(iv, assoc, sealed)
			}
			t.same(fmt.Sprintf("%d bit key, %v %d bytes", keySize*8, d, n), got, err, want)
			c.Close()
		}
	}
}

func ccmKnownAnswers(a EngineAlgorithm, t *tally) {
	for _, v := range ccmVectors {
		c, err := afalg.NewAEAD(a.Driver, unhex(v.Key), v.Tag)
		if err != nil {
			t.failf("%s: %v", v.Source, err)
			continue
		}
		got, err := c.Seal(v.kernelIV(), unhex(v.Assoc), unhex(v.Plain))
		t.same(v.Source+", encrypt", got, err, unhex(v.Sealed))
		got, err = c.Open(v.kernelIV(), unhex(v.Assoc), unhex(v.Sealed))
		t.same(v.Source+", decrypt", got, err, unhex(v.Plain))
		c.Close()
	}
}

// tampered changes one bit of each part of a sealed message: every time the
// answer has to be EBADMSG.
func tampered(a EngineAlgorithm, tag int, t *tally) {
	k, iv := testAEADKeys(a, a.KeySizes[0]), testIV(a)
	assoc, plain := testAssoc(a, iv), pattern(9, 128)
	c, sealed, err := sealed(a, k, iv, assoc, plain, tag)
	if err != nil {
		t.failf("%v", err)
		return
	}
	defer c.Close()
	flip := func(b []byte, at int) []byte {
		b = append([]byte{}, b...)
		b[at] ^= 0x10
		return b
	}
	for _, try := range []struct {
		what          string
		assoc, sealed []byte
	}{
		{"first byte of the tag", assoc, flip(sealed, len(plain))},
		{"last byte of the tag", assoc, flip(sealed, len(sealed)-1)},
		{"first byte of the text", assoc, flip(sealed, 0)},
		{"last byte of the text", assoc, flip(sealed, len(plain)-1)},
		{"associated data", flip(assoc, 0), sealed},
	} {
		t.requests++
		if _, err := c.Open(iv, try.assoc, try.sealed); !errors.Is(err, unix.EBADMSG) {
			t.failf("%s changed: %v instead of EBADMSG", try.what, err)
		}
	}
	// And the honest message still passes.
	got, err := c.Open(iv, assoc, sealed)
	t.same("the unchanged message", got, err, plain)
}

// badAssoc gives RFC 4309 associated data of a length that IPsec never has.
func badAssoc(a EngineAlgorithm, tag int, t *tally) {
	c, err := afalg.NewAEAD(a.Driver, testAEADKeys(a, a.KeySizes[0]).kernelKey(a.Name), tag)
	if err != nil {
		t.failf("%v", err)
		return
	}
	defer c.Close()
	for _, n := range []int{8, 15, 17, 24} {
		t.requests++
		if _, err := c.Seal(testIV(a), pattern(6, n), pattern(9, 64)); !errors.Is(err, unix.EINVAL) {
			t.failf("%d bytes of associated data: %v instead of EINVAL", n, err)
		}
	}
}
