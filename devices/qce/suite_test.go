package qce_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

func random(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func one[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// requests makes a random request of each algorithm that a driver has ever
// had, and of those that only the engine has. size is about how long.
var requests = func() map[string]func(r *rand.Rand, size int) qcetest.Request {
	m := map[string]func(r *rand.Rand, size int) qcetest.Request{}
	for name, mode := range cipherModes {
		keys, block, iv := []int{16, 32}, 16, 16
		switch mode {
		case qcetest.ECBDES, qcetest.CBCDES:
			keys, block, iv = []int{8}, 8, 8
		case qcetest.ECB3DES, qcetest.CBC3DES:
			keys, block, iv = []int{16, 24}, 8, 8
		case qcetest.XTSAES:
			keys = []int{32, 64}
		case qcetest.CTRAES:
			block = 1
		}
		m[name] = func(r *rand.Rand, size int) qcetest.Request {
			n := (size + block - 1) / block * block
			return qcetest.Cipher{Mode: mode, Key: random(r, one(r, keys...)), IV: random(r, iv), Encrypt: one(r, true, false), Data: random(r, n)}
		}
	}
	for name, hash := range hashNames {
		m[name] = func(r *rand.Rand, size int) qcetest.Request { return qcetest.Digest{Hash: hash, Data: random(r, size)} }
		m["hmac-"+name] = func(r *rand.Rand, size int) qcetest.Request {
			return qcetest.Digest{Hash: hash, HMAC: true, Key: random(r, r.IntN(65)), Data: random(r, size)}
		}
	}
	for _, hash := range []string{"sha1", "sha256"} {
		for _, mode := range []string{"aes", "des", "des3_ede"} {
			key := map[string][]int{"aes": {16, 32}, "des": {8}, "des3_ede": {24}}[mode]
			block := map[string]int{"aes": 16, "des": 8, "des3_ede": 8}[mode]
			m["authenc-hmac-"+hash+"-cbc-"+mode] = func(r *rand.Rand, size int) qcetest.Request {
				a := qcetest.Authenc{Hash: hashNames[hash], Mode: cipherModes["cbc-"+mode], Key: random(r, one(r, key...)), IV: random(r, block), AuthKey: random(r, r.IntN(65)), Encrypt: one(r, true, false)}
				a.AAD, a.Len = r.IntN(40), (size+block-1)/block*block
				a.Data = random(r, a.AAD+a.Len)
				return a
			}
		}
	}
	m["cmac-aes"] = func(r *rand.Rand, size int) qcetest.Request {
		return qcetest.CMAC{Key: random(r, one(r, 16, 32)), Data: random(r, size)}
	}
	m["ccm-aes"] = func(r *rand.Rand, size int) qcetest.Request {
		c := qcetest.CCM{Key: random(r, one(r, 16, 32)), Nonce: random(r, 7+r.IntN(7)), AAD: random(r, r.IntN(50)), TagLen: 4 + 2*r.IntN(7), Encrypt: one(r, true, false), Dump: one(r, true, false)}
		c.Text = random(r, size)
		if !c.Encrypt {
			c.Text = random(r, size+c.TagLen)
		}
		return c
	}
	m["gcm-aes"] = func(r *rand.Rand, size int) qcetest.Request {
		g := qcetest.GCM{Key: random(r, one(r, 16, 32)), IV: random(r, 1+r.IntN(16)), AAD: random(r, r.IntN(50)), TagLen: 4 + r.IntN(13), Encrypt: one(r, true, false)}
		g.Text = random(r, size)
		if !g.Encrypt {
			g.Text = random(r, size+g.TagLen)
		}
		return g
	}
	return m
}()

// each runs a test for every algorithm.
func each(t *testing.T, test func(t *testing.T, r *rand.Rand, make func(r *rand.Rand, size int) qcetest.Request)) {
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		t.Run(name, func(t *testing.T) { test(t, rand.New(rand.NewPCG(7, 7)), requests[name]) })
	}
}

// TestPieces: data in random pieces, in any order of the three parties, through
// a buffer of any size, gives what it gives in one piece; and what it gives is
// what the oracle says.
func TestPieces(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, request func(*rand.Rand, int) qcetest.Request) {
		for i := range 25 {
			req := request(r, 1+r.IntN(700))
			whole := feeder(ideal, nil).Run(req)
			cfg := ideal
			checker := oracle.NewChecker(1 << 20)
			cfg.Observer = checker
			cfg.BufferSize = 64 + r.IntN(500)
			f := feeder(cfg, nil)
			f.Rand = r
			f.ByCommand = i%2 == 0
			pieces := f.Run(req)
			if d := cmp.Diff(whole, pieces); d != "" || !whole.Done {
				t.Fatalf("request %d: %s\n%+v", i, d, whole)
			}
			if c := checker.Counts(); c.Checked != 1 || c.Wrong != 0 {
				t.Fatalf("request %d: oracle: %+v %v", i, c, checker.Mismatches())
			}
		}
	})
}

// TestRepeat: one engine does the requests of all algorithms mixed; nothing of
// one shows in the next.
func TestRepeat(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	cfg := ideal
	checker := oracle.NewChecker(1 << 20)
	cfg.Observer = checker
	f := feeder(cfg, nil)
	f.Rand = r
	names := slices.Sorted(maps.Keys(requests))
	for i := range 400 {
		name := one(r, names...)
		req := requests[name](r, 1+r.IntN(300))
		got := f.Run(req)
		if d := cmp.Diff(feeder(ideal, nil).Run(req), got); d != "" {
			// Registers that a request does not write may show in its dump.
			if !bytes.Equal(head(got), head(feeder(ideal, nil).Run(req))) {
				t.Fatalf("request %d (%s): %s", i, name, d)
			}
		}
	}
	if c := checker.Counts(); c.Checked != 400 || c.Wrong != 0 {
		t.Errorf("oracle: %+v %v", c, checker.Mismatches())
	}
}

func head(r qcetest.Result) []byte {
	if len(r.Out) < qcetest.DumpSize {
		return r.Out
	}
	return r.Out[:len(r.Out)-qcetest.DumpSize]
}

// TestSurplus: input goes on after SEG_SIZE, as mainline has it (datasheet
// §16.3). The result is the same, the rest never reaches the next operation.
func TestSurplus(t *testing.T) {
	for _, surplus := range []string{"left", "drained"} {
		for _, reset := range []bool{false, true} {
			each(t, func(t *testing.T, r *rand.Rand, request func(*rand.Rand, int) qcetest.Request) {
				req, next := request(r, 200), request(r, 100)
				cfg := ideal
				cfg.Readings = resolve(t, "qce-surplus-input", surplus)
				f := feeder(cfg, nil)
				extra := random(r, 40)
				f.Set(req.Writes(f.Pair)...)
				got := f.Move(append(bytes.Clone(req.Input()), extra...))
				want := feeder(ideal, nil).Run(req)
				if got.Left != map[string]int{"left": 40, "drained": 0}[surplus] {
					t.Errorf("%s: %d bytes left", surplus, got.Left)
				}
				if !got.Done || !bytes.Equal(head(want), head(got)) {
					t.Errorf("%s: result differs", surplus)
				}
				if s2 := f.Engine.Read(f.Master(), qce.Status2); s2&qce.AxiExtra == 0 {
					t.Errorf("%s: STATUS2 %#x without AXI_EXTRA", surplus, s2)
				}
				in := next.Input()
				switch {
				case reset:
					f.Engine.Flush(2 * f.Pair)
				case surplus == "left":
					// The rest of the transfer is still first in the pipe.
					f.Set(next.Writes(f.Pair)...)
					if space := f.Engine.In(2 * f.Pair); len(space) < len(extra) {
						t.Fatalf("no space for the rest")
					}
					f.Engine.Fed(2*f.Pair, len(extra), true, true)
					if res := f.Move(in); !res.Done || !bytes.Equal(head(res), head(feeder(ideal, nil).Run(next))) {
						t.Errorf("%s: bytes of an earlier request reached the next", surplus)
					}
					return
				}
				if res := f.Run(next); !res.Done || !bytes.Equal(head(res), head(feeder(ideal, nil).Run(next))) {
					t.Errorf("%s, reset %v: next request differs", surplus, reset)
				}
			})
		}
	}
}

// TestShort: with less input than SEG_SIZE the engine waits, and goes on when
// the rest comes.
func TestShort(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, request func(*rand.Rand, int) qcetest.Request) {
		req := request(r, 300)
		f := feeder(ideal, nil)
		f.Set(req.Writes(f.Pair)...)
		in := req.Input()
		first := f.Move(in[:len(in)-7])
		if first.Done || first.EOT || !f.Engine.Busy() {
			t.Fatalf("done with 7 bytes missing: %+v", first)
		}
		rest := f.Move(in[len(in)-7:])
		got := append(first.Out, rest.Out...)
		if want := feeder(ideal, nil).Run(req); !rest.Done || !bytes.Equal(want.Out, got) {
			t.Errorf("output\n%x, want\n%x", got, want.Out)
		}
	})
}

// TestPartialHash: a message in parts, state and count taken from the dump of
// the part before, gives what it gives in one.
func TestPartialHash(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, reading := range []string{"with-key", "data"} {
		for name, hash := range hashNames {
			for _, hmac := range []bool{false, true} {
				cfg := ideal
				cfg.Readings = resolve(t, "qce-hmac-byte-count", reading)
				checker := oracle.NewChecker(1 << 20)
				cfg.Observer = checker
				f := feeder(cfg, nil)
				key, msg := random(r, 40), random(r, 128*5+r.IntN(200))
				_, want := f.Run(qcetest.Digest{Hash: hash, HMAC: hmac, Key: key, Data: msg}).Split()
				part := qcetest.Digest{Hash: hash, HMAC: hmac, Key: key, Part: true, First: true}
				var dump qcetest.Dump
				for rest := msg; !part.Last; part.First = false {
					n := min(128*(1+r.IntN(3)), len(rest))
					part.Data, rest = rest[:n], rest[n:]
					part.Last = len(rest) == 0
					part.State, part.Count = dump.AuthIV[:], [2]uint32{dump.ByteCnt[0], dump.ByteCnt[1]}
					_, dump = f.Run(part).Split()
				}
				if d := cmp.Diff(want.AuthIV, dump.AuthIV); d != "" {
					t.Errorf("%s hmac %v count %s: %s", name, hmac, reading, d)
				}
				if c := checker.Counts(); c.Wrong != 0 || c.NotJudged != 0 {
					t.Errorf("%s hmac %v: oracle %+v %v", name, hmac, c, checker.Mismatches())
				}
			}
		}
	}
}

// TestDataUnits: XTS over several data units counts the tweak number up.
func TestDataUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	for _, unit := range []int{16, 32, 48, 512, 520, 24, 17} {
		for _, encrypt := range []bool{true, false} {
			key, data := random(r, 64), random(r, 3*unit+(unit+16)/2)
			iv := make([]byte, 16)
			iv[0] = 0xfe // 254, 255, 256, 257
			var want []byte
			for i := 0; i < len(data); i += unit {
				piece := data[i:min(i+unit, len(data))]
				res := feeder(ideal, nil).Run(qcetest.Cipher{Mode: qcetest.XTSAES, Key: key, IV: iv, Encrypt: encrypt, Data: piece})
				want = append(want, head(res)...)
				if iv[0]++; iv[0] == 0 {
					iv[1]++
				}
			}
			iv[0], iv[1] = 0xfe, 0
			cfg := ideal
			checker := oracle.NewChecker(1 << 20)
			cfg.Observer = checker
			f := feeder(cfg, nil)
			f.Rand = r
			got := f.Run(qcetest.Cipher{Mode: qcetest.XTSAES, Key: key, IV: iv, Encrypt: encrypt, Data: data, Unit: unit})
			if d := cmp.Diff(want, head(got)); d != "" {
				t.Errorf("unit %d, encrypt %v: %s", unit, encrypt, d)
			}
			if c := checker.Counts(); c.Wrong != 0 || c.Checked != 1 {
				t.Errorf("unit %d: oracle %+v %v", unit, c, checker.Mismatches())
			}
		}
	}
}

// TestContinue: the IV of the dump goes on with the message (datasheet §17).
func TestContinue(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	for _, mode := range []qcetest.Mode{qcetest.CBCAES, qcetest.CTRAES, qcetest.CBCDES, qcetest.CBC3DES} {
		for _, encrypt := range []bool{true, false} {
			n := 16
			if mode == qcetest.CBCDES {
				n = 8
			} else if mode == qcetest.CBC3DES {
				n = 24
			}
			c := qcetest.Cipher{Mode: mode, Key: random(r, n), IV: random(r, 16), Encrypt: encrypt, Data: random(r, 96)}
			if mode != qcetest.CBCAES && mode != qcetest.CTRAES {
				c.IV = c.IV[:8]
			}
			f := feeder(ideal, nil)
			want, _ := f.Run(c).Split()
			first, second := c, c
			first.Data, second.Data = c.Data[:32], c.Data[32:]
			a, dump := f.Run(first).Split()
			second.IV = dump.IV[:len(c.IV)]
			b, _ := f.Run(second).Split()
			if d := cmp.Diff(want, append(bytes.Clone(a), b...)); d != "" {
				t.Errorf("mode %#x, encrypt %v: %s", mode, encrypt, d)
			}
		}
	}
	// A partial last block moves the counter on by a whole one.
	f := feeder(ideal, nil)
	_, dump := f.Run(qcetest.Cipher{Mode: qcetest.CTRAES, Key: make([]byte, 16), IV: make([]byte, 16), Data: make([]byte, 17)}).Split()
	if want := [16]byte{15: 2}; dump.IV != want {
		t.Errorf("counter after 17 bytes: %x", dump.IV)
	}
}

func resolve(t testing.TB, name, value string) []uint8 {
	s, err := qce.Readings.Resolve(map[string]string{name: value})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ExampleName() {
	fmt.Println(qce.Name(qce.EncrKey0+8), qce.Name(qce.GoProc), qce.Name(0x2f0))
	// Output: ENCR_KEY2 GOPROC 0x2f0
}
