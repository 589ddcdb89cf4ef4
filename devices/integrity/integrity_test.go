package integrity_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/integrity"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

type rig struct {
	tb       testing.TB
	profile  *cryptoblock.Profile
	block    *cryptoblock.Block
	linux    *blocktest.Linux
	schedule *antagonist.Schedule
	monitor  *integrity.Monitor
}

func newRig(tb testing.TB, seed uint64, policies ...string) *rig {
	tb.Helper()
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		tb.Fatal(err)
	}
	var parsed []antagonist.Policy
	for _, text := range policies {
		pol, err := antagonist.ParsePolicy(text)
		if err != nil {
			tb.Fatal(err)
		}
		parsed = append(parsed, pol)
	}
	r := &rig{tb: tb, profile: p}
	r.schedule, err = antagonist.NewSchedule(p, nil, 0, seed, parsed...)
	if err != nil {
		tb.Fatal(err)
	}
	engine, err := p.EngineConfig(nil)
	if err != nil {
		tb.Fatal(err)
	}
	clients := r.schedule.Clients()
	r.monitor = integrity.New(integrity.Config{Engine: engine, Owners: p.Owners(clients),
		Describe: func(e *trace.Event) string { return r.block.Describe(e) }})
	o := cryptoblock.Options{Manual: true, Clients: clients, Monitor: r.monitor, Sinks: []trace.Sink{r.monitor, r.schedule}}
	if len(clients) > 0 {
		o.Scheduler = r.schedule
	}
	if r.block, err = cryptoblock.New(*p, o); err != nil {
		tb.Fatal(err)
	}
	r.linux = blocktest.New(r.block, p)
	return r
}

// expect is what a request must give, by its register writes.
func (r *rig) expect(q qcetest.Request) (*oracle.Result, [104]byte) {
	r.tb.Helper()
	cfg, err := r.profile.EngineConfig(nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	shadow := qce.NewShadow(cfg)
	writes := q.Writes(r.profile.PipePair)
	for _, w := range writes {
		shadow.Write(w.Off, w.Val, ^uint32(0))
	}
	last := writes[len(writes)-1]
	c, _ := shadow.Latch(last.Off, last.Val)
	want, err := oracle.Expect(&c, q.Input()[:c.SegSize])
	if err != nil {
		r.tb.Fatal(err)
	}
	return want, oracle.DumpMask(&c)
}

// right reports whether a result is what was asked for.
func right(got blocktest.Result, want *oracle.Result, mask [104]byte) bool {
	if got.Failed() || !bytes.Equal(got.Out, want.Payload) {
		return false
	}
	for i := range got.Dump {
		if (got.Dump[i]^want.Dump[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}

func data(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i)*3 + seed
	}
	return p
}

func requests(n byte) []qcetest.Request {
	k := func(size int) []byte { return data(size, n) }
	return []qcetest.Request{
		qcetest.Cipher{Mode: qcetest.CBCAES, Key: k(16), IV: k(16), Encrypt: true, Data: k(512)},
		qcetest.Cipher{Mode: qcetest.CTRAES, Key: k(32), IV: k(16), Data: k(333)},
		qcetest.Cipher{Mode: qcetest.XTSAES, Key: k(64), IV: k(16), Encrypt: true, Data: k(1024)},
		qcetest.Cipher{Mode: qcetest.ECB3DES, Key: k(24), Data: k(64)},
		qcetest.Digest{Hash: qcetest.SHA256, Data: k(100)},
		qcetest.Digest{Hash: qcetest.SHA1, HMAC: true, Key: k(20), Data: k(300)},
		qcetest.CCM{Key: k(16), Nonce: k(12), AAD: k(20), Text: k(100), TagLen: 16, Encrypt: true},
		qcetest.Authenc{Hash: qcetest.SHA1, Mode: qcetest.CBCAES, Key: k(16), IV: k(16), AuthKey: k(20), Encrypt: true, AAD: 16, Len: 240, Data: k(256)},
	}
}

// bookOf finds the book of an EE.
func (r *rig) bookOf(ee int) integrity.Book {
	for _, b := range r.monitor.Books() {
		if b.EE == ee {
			return b
		}
	}
	return integrity.Book{EE: ee}
}

// What the monitor finds is what the two sides find themselves when they check
// their results.
func TestAgreesWithBothSides(t *testing.T) {
	for _, policy := range []string{"off", "between,gentle", "between", "random=0.05,mode=mmio", "burst,rate=0.05"} {
		var wrong, hung, found, lost, stray uint64
		for seed := range uint64(6) {
			r := newRig(t, seed, policy)
			for n := range byte(6) {
				for _, q := range requests(n) {
					want, mask := r.expect(q)
					switch got := r.linux.Stock(q); {
					case got.Hung:
						hung++
						r.block.Reset()
						r.linux.Init()
					case !right(got, want, mask):
						wrong++
					}
				}
			}
			b := r.bookOf(r.profile.EE)
			found, lost, stray = found+b.Corrupted, lost+b.Lost, stray+b.Stray
			if policy == "off" {
				continue
			}
			c := r.schedule.Counts()[0]
			if o := r.bookOf(c.EE); o.Corrupted+o.Lost+o.Stray < c.Corrupted {
				t.Errorf("%s, seed %d: the antagonist finds %d corrupted, the monitor %d, %d lost, %d stray", policy, seed, c.Corrupted, o.Corrupted, o.Lost, o.Stray)
			}
		}
		t.Logf("%s: Linux sees %d wrong, %d hung; the monitor %d corrupted, %d lost, %d stray", policy, wrong, hung, found, lost, stray)
		if policy == "off" && wrong+hung+found+lost+stray != 0 {
			t.Errorf("something went wrong without an antagonist")
		}
		if policy == "between,gentle" && (wrong != found || wrong == 0 || hung+lost+stray != 0) {
			t.Errorf("%s: Linux sees %d wrong, %d hung; the monitor %d corrupted, %d lost, %d stray", policy, wrong, hung, found, lost, stray)
		}
		if found+lost+stray < wrong {
			t.Errorf("%s: Linux sees %d wrong, the monitor only %d corrupted, %d lost, %d stray", policy, wrong, found, lost, stray)
		}
	}
}

// Nothing is found where both sides lock.
func TestNothingToFindUnderLock(t *testing.T) {
	for _, policy := range []string{"between", "burst", "during-unlock"} {
		r := newRig(t, 1, policy)
		for n := range byte(10) {
			for _, q := range requests(n) {
				r.linux.Series(q)
			}
		}
		r.block.Settle()
		for _, b := range r.monitor.Books() {
			if b.Corrupted+b.Lost+b.Stray+b.Unjudged != 0 || b.Requests == 0 {
				t.Errorf("%s: %+v", policy, b)
			}
		}
	}
}

// A find says where, what both sides did, and no secret.
func TestFindIsExplained(t *testing.T) {
	r := newRig(t, 1, "between,gentle")
	key := bytes.Repeat([]byte{0xA7}, 16)
	for range 10 {
		r.linux.Stock(qcetest.Cipher{Mode: qcetest.CBCAES, Key: key, IV: make([]byte, 16), Encrypt: true, Data: make([]byte, 256)})
	}
	b := r.bookOf(r.profile.EE)
	if len(b.First) == 0 {
		t.Fatal("nothing is found")
	}
	f := b.First[0]
	if f.Alg != "cbc-aes" || f.Bytes != 256 || f.Part != "payload" || f.At >= 16 || f.Got != 256+104 || f.Want != f.Got {
		t.Errorf("%+v", f)
	}
	text := strings.Join(f.History, "\n")
	for _, want := range []string{"EE0 cpu reg-write GOPROC", "EE1 pipe"} {
		if !strings.Contains(text, want) {
			t.Errorf("the history has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "a7a7a7a7") {
		t.Errorf("the history shows the key")
	}
}
