package suites

import (
	"fmt"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/report"
)

// hashKey is a key for a hash that takes one, else nil.
func hashKey(a EngineAlgorithm) []byte {
	if !a.Keyed {
		return nil
	}
	return testKey(32)
}

// emptyHMAC: the driver knows the digests of an empty message by heart, but not
// under a key.
const emptyHMAC = "the driver has no answer for an empty message under a key: it returns success and no digest (datasheet §20)"

// hash runs the cases of a hash.
func (r *kcapiRun) hash(a EngineAlgorithm) {
	r.check("known-answers", a, func(_ *report.Case, t *tally) {
		for _, v := range hashVectors {
			if v.Name == a.Name {
				var key []byte
				if a.Keyed {
					key = unhex(v.Key)
				}
				withHash(a, key, t, func(h *afalg.Hash) {
					got, err := h.Sum(v.message())
					t.same(v.Source, got, err, unhex(v.Digest))
				})
			}
		}
	})
	r.check("sizes", a, func(_ *report.Case, t *tally) {
		hashMessages(a, hashKey(a), messageSizes, t, func(h *afalg.Hash, m []byte) ([]byte, error) { return h.Sum(m) })
	})
	if a.Keyed {
		r.check("key-sizes", a, func(_ *report.Case, t *tally) {
			for _, size := range []int{1, 4, 20, 31, 32, 63, 64, 65, 100, 128, 131} {
				hashMessages(a, testKey(size), []int{1, 64, 1000}, t, func(h *afalg.Hash, m []byte) ([]byte, error) { return h.Sum(m) })
			}
		})
	}
	r.check("stream", a, func(_ *report.Case, t *tally) {
		for _, cut := range []struct {
			message int
			chunks  []int
		}{
			{300, []int{1}}, {1000, []int{7}}, {1024, []int{64}}, {1025, []int{64}}, {4096, []int{63, 2, 63}},
			{8192, []int{128, 64}}, {65536, []int{4096}}, {100000, []int{64, 32768, 1}}, {1 << 20, []int{65536}},
		} {
			hashMessages(a, hashKey(a), []int{cut.message}, t, func(h *afalg.Hash, m []byte) ([]byte, error) {
				return h.SumChunks(m, cut.chunks...)
			})
		}
	})
	r.check("splice", a, func(_ *report.Case, t *tally) {
		hashMessages(a, hashKey(a), []int{1, 1000, 4096, 65536, 200 * 1024}, t, func(h *afalg.Hash, m []byte) ([]byte, error) {
			f, err := memoryFile(m)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return h.Splice(f, len(m))
		})
	})
	empty := func(_ *report.Case, t *tally) {
		hashMessages(a, hashKey(a), []int{0}, t, func(h *afalg.Hash, m []byte) ([]byte, error) { return h.Sum(m) })
	}
	if a.Keyed {
		r.expect("empty", a, emptyHMAC, empty)
	} else {
		r.check("empty", a, empty)
	}
	r.hashTools(a)
}

func withHash(a EngineAlgorithm, key []byte, t *tally, f func(h *afalg.Hash)) {
	h, err := afalg.NewHash(a.Driver, key)
	if err != nil {
		t.failf("%v", err)
		return
	}
	defer h.Close()
	f(h)
}

// hashMessages compares the digests of messages of these sizes with Go's.
func hashMessages(a EngineAlgorithm, key []byte, sizes []int, t *tally, sum func(h *afalg.Hash, m []byte) ([]byte, error)) {
	withHash(a, key, t, func(h *afalg.Hash) {
		for _, n := range sizes {
			m := pattern(uint32(n), n)
			ref, err := refHash(a.Name, key)
			if err != nil {
				t.failf("%v", err)
				return
			}
			ref.Write(m)
			got, err := sum(h, m)
			what := fmt.Sprintf("%d bytes", n)
			if a.Keyed {
				what += fmt.Sprintf(" under a key of %d", len(key))
			}
			t.same(what, got, err, ref.Sum(nil))
			t.bytes += n - a.Digest // what counts is the message
		}
	})
}
