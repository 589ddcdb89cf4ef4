package rulebook

import (
	"slices"
	"testing"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// situation is a driver beside an antagonist.
type situation struct {
	locked bool // the driver locks, as the series does
	policy string
}

// pairs has for each rule about results and standstill what trips it and what
// comes close and does not.
var pairs = []struct {
	id   string
	trip situation
	near situation
}{
	// The antagonist's own verdict. A gentle one is in Linux's way, but not the
	// other way round.
	{"EE-RESULT-001", situation{false, "between"}, situation{false, "between,gentle"}},
	{"EE-RESULT-002", situation{false, "between"}, situation{true, "between"}},
	// What each side asked for against what it got.
	{"EE-RESULT-003", situation{false, "between,gentle"}, situation{true, "between,gentle"}},
	{"EE-RESULT-004", situation{false, "between"}, situation{true, "between"}},
	{"EE-RESULT-005", situation{false, "between,mode=mmio"}, situation{false, "between,mode=mmio,gentle"}},
	// Who takes the lock and keeps it lets nobody on; who is in between keeps it
	// for a while.
	{"BLK-LOCK-001", situation{true, "every=50,mode=hold"}, situation{true, "every=50"}},
}

// found plays a situation and returns the rules that were broken.
func (s situation) found(t *testing.T, seed uint64) []string {
	t.Helper()
	policy, err := antagonist.ParsePolicy(s.policy)
	if err != nil {
		t.Fatal(err)
	}
	c := model.Config{SoC: cryptoblock.DefaultSoC, Seed: seed, Integrity: true, Check: &model.Check{}, Antagonists: []antagonist.Policy{policy}}
	m, err := model.New(c, model.Options{Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	linux := blocktest.New(m.Block, m.Profile)
	for n := range byte(6) {
		key := make([]byte, 32)
		key[0] = n
		for _, q := range []qcetest.Request{
			qcetest.Cipher{Mode: qcetest.CBCAES, Key: key, IV: key[:16], Encrypt: true, Data: make([]byte, 512)},
			qcetest.Digest{Hash: qcetest.SHA256, Data: make([]byte, 300+int(n))},
			qcetest.CCM{Key: key[:16], Nonce: key[:12], AAD: key[:20], Text: make([]byte, 300), TagLen: 16, Encrypt: true},
		} {
			do := linux.Stock
			if s.locked {
				do = linux.Series
			}
			if do(q).Hung {
				m.Block.Reset()
				linux.Init()
			}
		}
	}
	m.End()
	var ids []string
	for _, f := range m.Findings.Findings() {
		ids = append(ids, f.ID)
	}
	return ids
}

// TestPairs trips each rule with one of a few seeds, and with none of them where
// it must not be.
func TestPairs(t *testing.T) {
	const seeds = 8
	for _, p := range pairs {
		tripped := false
		for seed := range uint64(seeds) {
			tripped = tripped || slices.Contains(p.trip.found(t, seed), p.id) // one is enough
			if got := p.near.found(t, seed); slices.Contains(got, p.id) {
				t.Errorf("%s: %+v, seed %d, trips it", p.id, p.near, seed)
				break
			}
		}
		if !tripped {
			t.Errorf("%s: %+v does not trip it with any of %d seeds", p.id, p.trip, seeds)
		}
	}
}

// TestEveryRule: each rule is in the tests of its own package, which see to it
// that none is missing there, or in the table above.
func TestEveryRule(t *testing.T) {
	covered := map[string]bool{}
	for _, list := range [][]*trace.Rule{bam.Rules(), qce.Rules, checker.Rules()} {
		for _, r := range list {
			covered[r.ID] = true
		}
	}
	for _, p := range pairs {
		if covered[p.id] {
			t.Errorf("%s is there twice", p.id)
		}
		covered[p.id] = true
	}
	for _, r := range Rules() {
		if !covered[r.ID] {
			t.Errorf("%s: no test trips it, and none comes close", r.ID)
		}
	}
}
