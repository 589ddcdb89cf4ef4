package suites

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/report"
)

var directions = []afalg.Direction{afalg.Encrypt, afalg.Decrypt}

// cipher runs the cases of a symmetric cipher.
func (r *kcapiRun) cipher(a EngineAlgorithm) {
	r.check("known-answers", a, func(c *report.Case, t *tally) { r.cipherKnownAnswers(a, c, t) })
	for _, size := range a.KeySizes {
		r.check(fmt.Sprintf("sizes-%d", size*8), a, func(c *report.Case, t *tally) {
			cipherSizes(a, size, sizesFor(a), t)
			if isXTS(a) {
				c.Detail = "the engine sees lengths above the driver's threshold (512) that are multiples of 512, the others its software fallback"
			}
		})
	}
	for _, size := range a.SoftKeySizes {
		r.check(fmt.Sprintf("sizes-%d", size*8), a, func(c *report.Case, t *tally) {
			cipherSizes(a, size, []int{16, 64, 512, 1024, 4096}, t)
			c.Detail = "the engine has no keys of this size: the driver's software fallback did it"
		})
	}
	if isXTS(a) {
		r.check("equal-halves", a, func(c *report.Case, t *tally) { equalHalves(a, c, t) })
		r.check("long-data-unit", a, func(c *report.Case, t *tally) {
			cipherSizes(a, a.KeySizes[0], []int{maxDataUnit + 512}, t)
			c.Detail = "the driver does not check that the length fits the engine's register for the data unit (20 bits): a finding is due"
		})
	} else {
		r.check("stream", a, func(_ *report.Case, t *tally) { cipherStream(a, t) })
	}
	r.check("splice", a, func(_ *report.Case, t *tally) { cipherSplice(a, t) })
	r.check("empty", a, func(_ *report.Case, t *tally) { cipherEmpty(a, t) })
	if isCBC(a) {
		r.check("bad-length", a, func(_ *report.Case, t *tally) { badLength(a, t) })
	}
	r.cipherTools(a)
}

// eachDirection opens the cipher and runs f both ways.
func eachDirection(a EngineAlgorithm, key []byte, t *tally, f func(c *afalg.Cipher, d afalg.Direction)) {
	c, err := afalg.NewCipher(a.Driver, key)
	if err != nil {
		t.failf("%v", err)
		return
	}
	defer c.Close()
	for _, d := range directions {
		f(c, d)
	}
}

// swThreshold is the driver's parameter below which AES goes to software, on
// kernels of today XTS only.
const swThreshold = "/sys/module/qcrypto/parameters/aes_sw_max_len"

// cipherKnownAnswers tries the vectors of the standards. Those of XTS are
// shorter than what the driver gives to the engine: its threshold is lowered
// for them.
func (r *kcapiRun) cipherKnownAnswers(a EngineAlgorithm, c *report.Case, t *tally) {
	if isXTS(a) {
		restore, err := lowerThreshold(r.env.Kernel)
		if err != nil {
			c.Detail = "done by the driver's software fallback, whose threshold cannot be lowered: " + err.Error()
		} else {
			defer restore()
		}
	}
	for _, v := range cipherVectors {
		if v.Name != a.Name {
			continue
		}
		eachDirection(a, unhex(v.Key), t, func(c *afalg.Cipher, d afalg.Direction) {
			src, want := unhex(v.Plain), unhex(v.Cipher)
			if d == afalg.Decrypt {
				src, want = want, src
			}
			got, err := c.Crypt(d, unhex(v.IV), src)
			t.same(fmt.Sprintf("%s, %v", v.Source, d), got, err, want)
		})
	}
	if t.requests == 0 { // no standard has one: 3DES in CBC
		cipherSizes(a, a.KeySizes[0], []int{a.Block, 3 * a.Block}, t)
		c.Detail = "no published vector at hand: compared with Go's library"
	}
}

func lowerThreshold(k Kernel) (restore func(), err error) {
	was, err := k.ReadFile(swThreshold)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(swThreshold, []byte("0"), 0); err != nil {
		return nil, err
	}
	return func() { os.WriteFile(swThreshold, []byte(strings.TrimSpace(string(was))), 0) }, nil
}

// cipherSizes tries messages of many sizes, each as one request.
func cipherSizes(a EngineAlgorithm, keySize int, sizes []int, t *tally) {
	key, iv := testKey(keySize), testIV(a)
	eachDirection(a, key, t, func(c *afalg.Cipher, d afalg.Direction) {
		for _, n := range sizes {
			src := pattern(uint32(n), n)
			want, err := refCipher(a.Name, d, key, iv, src)
			if err != nil {
				t.failf("%v", err)
				return
			}
			got, err := c.Crypt(d, iv, src)
			t.same(fmt.Sprintf("%d bit key, %v %d bytes", keySize*8, d, n), got, err, want)
		}
	})
}

// cipherChunks are the ways in which a stream is cut. Small chunks come with
// short messages.
var cipherChunks = []struct {
	message int
	chunks  []int
}{
	{256, []int{1}}, {512, []int{7}}, {1024, []int{16}}, {2048, []int{48, 1, 100}},
	{8192, []int{512}}, {16384, []int{1000, 24}}, {65536, []int{4096}}, {131072, []int{16, 32768, 5000}},
}

// cipherStream passes a message through in chunks. It shows that the driver
// returns the chaining value: each chunk is a request of its own.
func cipherStream(a EngineAlgorithm, t *tally) {
	key, iv := testKey(a.KeySizes[0]), testIV(a)
	unit := max(a.Block, a.IV) // for CTR the counter's block
	eachDirection(a, key, t, func(c *afalg.Cipher, d afalg.Direction) {
		for _, cut := range cipherChunks {
			src := pattern(uint32(cut.message), cut.message)
			want, err := refCipher(a.Name, d, key, iv, src)
			if err != nil {
				t.failf("%v", err)
				return
			}
			got, err := streamOnce(c, d, iv, src, unit, cut.chunks)
			t.same(fmt.Sprintf("%v %d bytes in chunks of %v", d, cut.message, cut.chunks), got, err, want)
		}
	})
}

func streamOnce(c *afalg.Cipher, d afalg.Direction, iv, src []byte, unit int, chunks []int) ([]byte, error) {
	s, err := c.Stream(d, iv, unit)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var out []byte
	for i := 0; len(src) > 0; i++ {
		n := min(len(src), chunks[i%len(chunks)])
		ready, err := s.Next(src[:n], n == len(src))
		if err != nil {
			return out, err
		}
		out, src = append(out, ready...), src[n:]
	}
	return out, nil
}

// cipherSplice feeds the cipher from a file without copying.
func cipherSplice(a EngineAlgorithm, t *tally) {
	key, iv := testKey(a.KeySizes[len(a.KeySizes)-1]), testIV(a)
	eachDirection(a, key, t, func(c *afalg.Cipher, d afalg.Direction) {
		for _, n := range []int{1024, 4096, 65536, 200 * 1024} {
			src := pattern(uint32(n), n)
			want, err := refCipher(a.Name, d, key, iv, src)
			if err != nil {
				t.failf("%v", err)
				return
			}
			f, err := memoryFile(src)
			if err != nil {
				t.failf("%v", err)
				return
			}
			got, err := c.Splice(d, iv, f, n)
			f.Close()
			t.same(fmt.Sprintf("%v %d bytes from a file", d, n), got, err, want)
		}
	})
}

// cipherEmpty asks for nothing: the driver answers without the engine, which
// cannot take an empty request (datasheet §20).
func cipherEmpty(a EngineAlgorithm, t *tally) {
	eachDirection(a, testKey(a.KeySizes[0]), t, func(c *afalg.Cipher, d afalg.Direction) {
		got, err := c.Crypt(d, testIV(a), nil)
		t.same(fmt.Sprintf("%v nothing", d), got, err, nil)
	})
}

// badLength gives CBC what is not whole blocks: the driver has to refuse it.
func badLength(a EngineAlgorithm, t *tally) {
	eachDirection(a, testKey(a.KeySizes[0]), t, func(c *afalg.Cipher, d afalg.Direction) {
		for _, n := range []int{1, a.Block - 1, a.Block + 1} {
			t.requests++
			if _, err := c.Crypt(d, testIV(a), pattern(1, n)); !errors.Is(err, unix.EINVAL) {
				t.failf("%v %d bytes: %v instead of EINVAL", d, n, err)
			}
		}
	})
}

// equalHalves tries the one kind of key that the driver refuses.
func equalHalves(a EngineAlgorithm, rc *report.Case, t *tally) {
	t.requests++
	half := testKey(a.KeySizes[0] / 2)
	c, err := afalg.NewCipher(a.Driver, append(half, half...))
	switch {
	case errors.Is(err, unix.ENOKEY):
		rc.Detail = "refused with ENOKEY, as the engine does not take such a key (datasheet §28)"
	case err != nil:
		t.failf("a key of equal halves: %v instead of ENOKEY", err)
	default:
		rc.Detail = "this driver takes a key of equal halves"
		c.Close()
	}
}
