package antagonist_test

import (
	"bytes"
	"testing"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// rig is a block with Linux's drivers on one side and antagonists on the other.
type rig struct {
	tb       testing.TB
	linux    *blocktest.Linux
	block    *cryptoblock.Block
	schedule *antagonist.Schedule
	shadow   *qce.Shadow
	pair     int
}

// options of a rig.
type options struct {
	soc      string
	policies []string
	timing   string
	seed     uint64
	sinks    []trace.Sink
}

func newRig(tb testing.TB, o options) *rig {
	tb.Helper()
	if o.soc == "" {
		o.soc = cryptoblock.DefaultSoC
	}
	p, err := cryptoblock.ProfileByName(o.soc)
	if err != nil {
		tb.Fatal(err)
	}
	var policies []antagonist.Policy
	for _, text := range o.policies {
		policy, err := antagonist.ParsePolicy(text)
		if err != nil {
			tb.Fatal(err)
		}
		policies = append(policies, policy)
	}
	s, err := antagonist.NewSchedule(p, nil, 0, o.seed, policies...)
	if err != nil {
		tb.Fatal(err)
	}
	opts := cryptoblock.Options{Manual: true, Sinks: o.sinks, Clients: s.Clients()}
	opts.Scheduler = s
	opts.Sinks = append(opts.Sinks, s)
	if o.timing != "" {
		if opts.Timing, err = cryptoblock.TimingByName(o.timing); err != nil {
			tb.Fatal(err)
		}
	}
	b, err := cryptoblock.New(*p, opts)
	if err != nil {
		tb.Fatal(err)
	}
	cfg, err := p.EngineConfig(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &rig{tb: tb, linux: blocktest.New(b, p), block: b, schedule: s, shadow: qce.NewShadow(cfg), pair: p.PipePair}
}

// expect computes what a request must give.
func (r *rig) expect(q qcetest.Request) *oracle.Result {
	r.tb.Helper()
	r.shadow.Reset()
	writes := q.Writes(r.pair)
	for _, w := range writes {
		r.shadow.Write(w.Off, w.Val, ^uint32(0))
	}
	last := writes[len(writes)-1]
	c, _ := r.shadow.Latch(last.Off, last.Val)
	want, err := oracle.Expect(&c, q.Input()[:c.SegSize])
	if err != nil {
		r.tb.Fatal(err)
	}
	return want
}

// ok reports whether a result is right: payload, and what the driver takes from
// the dump.
func ok(got blocktest.Result, want *oracle.Result, digest int) bool {
	return !got.Failed() && bytes.Equal(got.Out, want.Payload) && (digest == 0 || bytes.Equal(got.Dump[:digest], want.Dump[:digest]))
}

// request is one of Linux's, by the algorithm's name.
type request struct {
	alg    string
	digest int // bytes of the dump that count
	req    qcetest.Request
}

func requests(n byte) []request {
	k := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i) + n*7
		}
		return b
	}
	cipher := func(m qcetest.Mode, key, iv, size int) qcetest.Request {
		return qcetest.Cipher{Mode: m, Key: k(key), IV: k(iv), Encrypt: n%2 == 0, Data: k(size)}
	}
	return []request{
		{"ecb-aes", 0, cipher(qcetest.ECBAES, 16, 0, 512)},
		{"cbc-aes", 0, cipher(qcetest.CBCAES, 32, 16, 512)},
		{"ctr-aes", 0, cipher(qcetest.CTRAES, 16, 16, 500)},
		{"xts-aes", 0, cipher(qcetest.XTSAES, 64, 16, 1024)},
		{"ecb-des", 0, cipher(qcetest.ECBDES, 8, 0, 256)},
		{"cbc-des", 0, cipher(qcetest.CBCDES, 8, 8, 256)},
		{"ecb-des3_ede", 0, cipher(qcetest.ECB3DES, 24, 0, 256)},
		{"cbc-des3_ede", 0, cipher(qcetest.CBC3DES, 24, 8, 256)},
		{"sha1", 20, qcetest.Digest{Hash: qcetest.SHA1, Data: k(333)}},
		{"sha256", 32, qcetest.Digest{Hash: qcetest.SHA256, Data: k(444)}},
		{"hmac-sha1", 20, qcetest.Digest{Hash: qcetest.SHA1, HMAC: true, Key: k(20), Data: k(333)}},
		{"hmac-sha256", 32, qcetest.Digest{Hash: qcetest.SHA256, HMAC: true, Key: k(32), Data: k(444)}},
		{"authenc-hmac-sha256-cbc-aes", 32, qcetest.Authenc{Hash: qcetest.SHA256, Mode: qcetest.CBCAES, Key: k(16), IV: k(16), AuthKey: k(32), Encrypt: true, AAD: 16, Len: 240, Data: k(256)}},
		{"ccm-aes", 0, qcetest.CCM{Key: k(16), Nonce: k(12), AAD: k(20), Text: k(300), TagLen: 16, Encrypt: true}},
	}
}

// outcome counts what happened to one algorithm of Linux's.
type outcome struct{ requests, wrong, hung int }

func (o *outcome) add(p outcome) {
	o.requests += p.requests
	o.wrong += p.wrong
	o.hung += p.hung
}

type driver bool

const (
	stock  driver = false
	series driver = true
)

// run makes rounds of all requests, in one of the drivers' ways.
func (r *rig) run(d driver, rounds int) map[string]*outcome {
	r.tb.Helper()
	all := map[string]*outcome{}
	for n := range rounds {
		for _, q := range requests(byte(n)) {
			o := all[q.alg]
			if o == nil {
				o = &outcome{}
				all[q.alg] = o
			}
			want := r.expect(q.req)
			var got blocktest.Result
			if d == series {
				got = r.linux.Series(q.req)
			} else {
				got = r.linux.Stock(q.req)
			}
			o.requests++
			switch {
			case got.Hung:
				o.hung++
				r.block.Reset()
				r.linux.Init()
			case !ok(got, want, q.digest):
				o.wrong++
			}
		}
	}
	r.block.Settle()
	return all
}

// total adds up all algorithms.
func total(all map[string]*outcome) (sum outcome) {
	for _, o := range all {
		sum.add(*o)
	}
	return sum
}

// bad says whether anything of an antagonist's went wrong.
func bad(c antagonist.Counts) bool { return c.Corrupted+c.Hung > 0 }

// Without the lock each of these gives wrong results on one side at least, in
// every algorithm.
func TestStockDriverIsCorrupted(t *testing.T) {
	for _, policy := range []string{"between", "between,gentle", "between,mode=mmio", "every=5", "random=0.1", "burst,rate=0.1"} {
		t.Run(policy, func(t *testing.T) {
			sum := map[string]*outcome{}
			var other uint64
			for seed := range uint64(4) {
				r := newRig(t, options{policies: []string{policy}, seed: seed})
				for alg, o := range r.run(stock, 4) {
					if sum[alg] == nil {
						sum[alg] = &outcome{}
					}
					sum[alg].add(*o)
				}
				c := r.schedule.Counts()[0]
				other += c.Corrupted
				if c.Requests == 0 {
					t.Errorf("seed %d: the antagonist did nothing", seed)
				}
			}
			for alg, o := range sum {
				if o.wrong == 0 {
					t.Errorf("%s: %+v: nothing of Linux's is corrupted", alg, *o)
				}
			}
			if gentle := policy == "between,gentle"; gentle == (other > 0) {
				t.Errorf("%d requests of the antagonist are corrupted", other)
			}
			if hung := total(sum).hung; policy == "between,gentle" && hung != 0 {
				t.Errorf("%d requests hung beside a gentle antagonist", hung)
			}
		})
	}
}

// lockedPolicies are those of well-behaved users of the engine.
var lockedPolicies = [][]string{
	{"between"}, {"between,group=3"}, {"every=1"}, {"every=7"}, {"random=0.02"}, {"random=0.5"}, {"burst"}, {"burst,rate=0.2"}, {"during-unlock"},
	{"between", "random=0.1,group=2"}, {"burst", "during-unlock,group=2"},
}

// Under the lock neither side sees anything of the other.
func TestLockedRequestsAreNot(t *testing.T) {
	want, rounds := 20000, 4
	if testing.Short() {
		want, rounds = 2000, 1
	}
	requests := 0
	for seed := uint64(0); requests < want; seed++ {
		for _, policies := range lockedPolicies {
			timing := cryptoblock.Timings()[seed%uint64(len(cryptoblock.Timings()))]
			r := newRig(t, options{policies: policies, timing: timing, seed: seed})
			sum := total(r.run(series, rounds))
			requests += sum.requests
			if sum.wrong+sum.hung > 0 {
				t.Fatalf("%v, timing %s, seed %d: of Linux's %d requests %d are wrong, %d hung", policies, timing, seed, sum.requests, sum.wrong, sum.hung)
			}
			for _, c := range r.schedule.Counts() {
				requests += int(c.Requests)
				if bad(c) || c.Requests == 0 {
					t.Fatalf("%v, timing %s, seed %d: of the antagonist's %d requests %d are corrupted, %d hung", policies, timing, seed, c.Requests, c.Corrupted, c.Hung)
				}
			}
		}
	}
}

// The same holds on every chip.
func TestChips(t *testing.T) {
	for _, soc := range cryptoblock.Profiles() {
		r := newRig(t, options{soc: soc, policies: []string{"between"}, seed: 3})
		if sum := total(r.run(series, 2)); sum.wrong+sum.hung > 0 {
			t.Errorf("%s: locked: %+v", soc, sum)
		}
		if c := r.schedule.Counts()[0]; bad(c) || c.Requests == 0 {
			t.Errorf("%s: locked: antagonist: %d requests, %d corrupted, %d hung", soc, c.Requests, c.Corrupted, c.Hung)
		}
		r = newRig(t, options{soc: soc, policies: []string{"between"}, seed: 3})
		if sum := total(r.run(stock, 2)); sum.wrong == 0 {
			t.Errorf("%s: without lock: %+v", soc, sum)
		}
	}
}
