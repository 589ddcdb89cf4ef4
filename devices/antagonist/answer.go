package antagonist

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/reading"
)

// answer is a request whose result is known: from the oracle, which computes it
// with Go's library and knows nothing of the engine.
type answer struct {
	alg     string
	writes  []qcetest.Write
	input   []byte
	payload []byte
	dump    []byte                 // nil: not asked for
	mask    [qcetest.DumpSize]byte // which of its bytes the request determines
}

// sizes are the lengths of the data of a request: one block up to more than
// what the engine holds at a time.
var sizes = []int{16, 64, 208, 512, 1024, 4096}

// answers makes a few requests of every algorithm that the chip's engine has.
func answers(p *cryptoblock.Profile, c reading.Choice, pair int, algs []string, seed uint64) ([]answer, error) {
	cfg, err := p.EngineConfig(c)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 0x616e73776572))
	shadow := qce.NewShadow(cfg)
	var all []answer
	var names []string
	for _, req := range requests(p, r) {
		a := answer{writes: req.Writes(pair), input: req.Input()}
		want, err := a.expect(shadow)
		if err != nil {
			return nil, fmt.Errorf("antagonist: %s: %w", a.alg, err)
		}
		names = append(names, a.alg)
		if len(algs) > 0 && !slices.Contains(algs, a.alg) {
			continue
		}
		a.payload, a.dump = want.Payload, want.Dump
		all = append(all, a)
	}
	for _, alg := range algs {
		if !slices.Contains(names, alg) {
			slices.Sort(names)
			return nil, fmt.Errorf("the engine of %s has no %q; it has: %s", p.Name, alg, strings.Join(slices.Compact(names), ", "))
		}
	}
	return all, nil
}

// expect computes the result, and finds the name of the algorithm.
func (a *answer) expect(shadow *qce.Shadow) (*oracle.Result, error) {
	shadow.Reset()
	for _, w := range a.writes {
		shadow.Write(w.Off, w.Val, ^uint32(0))
	}
	last := a.writes[len(a.writes)-1]
	c, ok := shadow.Latch(last.Off, last.Val)
	a.alg = shadow.Algorithm()
	if !ok {
		return nil, fmt.Errorf("the engine refuses the request")
	}
	a.mask = oracle.DumpMask(&c)
	return oracle.Expect(&c, a.input)
}

// dumpStatus is where STATUS is in the result dump (datasheet §17).
const dumpStatus = 0x60

// difference is where a result is not what it must be.
type difference struct {
	part string // "payload", "dump" or "status"
	at   int    // first wrong byte; of the status, its value
}

// compare finds the first difference.
func (a *answer) compare(payload, dump []byte) (difference, bool) {
	if i := firstDifference(payload, a.payload, nil); i >= 0 {
		return difference{"payload", i}, true
	}
	if a.dump != nil {
		if i := firstDifference(dump, a.dump, a.mask[:]); i >= 0 {
			return difference{"dump", i}, true
		}
	}
	return difference{}, false
}

func firstDifference(got, want, mask []byte) int {
	for i := range want {
		if got[i] != want[i] && (mask == nil || i < len(mask) && mask[i] != 0) {
			return i
		}
	}
	return -1
}

// requests makes requests with keys and data by chance.
func requests(p *cryptoblock.Profile, r *rand.Rand) []qcetest.Request {
	some := func(n int) []byte {
		b := make([]byte, (n+7)&^7)
		for i := 0; i < len(b); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], r.Uint64())
		}
		return b[:n]
	}
	var all []qcetest.Request
	has := func(bit int) bool { return p.Engines>>bit&1 == 1 }
	for i, size := range sizes {
		encrypt := i%2 == 0
		add := func(q qcetest.Request) { all = append(all, q) }
		if has(engineAES) {
			for _, k := range []int{16, 32} {
				add(qcetest.Cipher{Mode: qcetest.ECBAES, Key: some(k), Encrypt: encrypt, Data: some(size)})
				add(qcetest.Cipher{Mode: qcetest.CBCAES, Key: some(k), IV: some(16), Encrypt: encrypt, Data: some(size)})
				add(qcetest.Cipher{Mode: qcetest.CTRAES, Key: some(k), IV: some(16), Encrypt: encrypt, Data: some(size - i)})
				add(qcetest.Cipher{Mode: qcetest.XTSAES, Key: some(2 * k), IV: some(16), Encrypt: encrypt, Data: some(size)})
			}
		}
		if has(engineDES) {
			add(qcetest.Cipher{Mode: qcetest.ECBDES, Key: some(8), Encrypt: encrypt, Data: some(size)})
			add(qcetest.Cipher{Mode: qcetest.CBCDES, Key: some(8), IV: some(8), Encrypt: encrypt, Data: some(size)})
			add(qcetest.Cipher{Mode: qcetest.ECB3DES, Key: some(24), Encrypt: encrypt, Data: some(size)})
			add(qcetest.Cipher{Mode: qcetest.CBC3DES, Key: some(24), IV: some(8), Encrypt: encrypt, Data: some(size)})
		}
		hashes := []qcetest.Hash{}
		if has(engineSHA) {
			hashes = append(hashes, qcetest.SHA1, qcetest.SHA256)
		}
		for _, h := range hashes {
			add(qcetest.Digest{Hash: h, Data: some(size + i)})
			add(qcetest.Digest{Hash: h, HMAC: true, Key: some(20 + i), Data: some(size - i)})
			if has(engineAES) && size > 32 {
				add(qcetest.Authenc{Hash: h, Mode: qcetest.CBCAES, Key: some(16), IV: some(16), AuthKey: some(20),
					Encrypt: encrypt, AAD: 16, Len: size - 16, Data: some(size)})
			}
		}
		if has(engineAuthAES) {
			for _, k := range []int{16, 32} {
				add(qcetest.CMAC{Key: some(k), Data: some(size - i)})
				if has(engineAES) {
					add(qcetest.CCM{Key: some(k), Nonce: some(12), AAD: some(8 * i), Text: some(size), TagLen: 16, Encrypt: true})
				}
			}
		}
	}
	return all
}

// Bits of ENGINES_AVAIL (datasheet §12).
const (
	engineAES     = 0
	engineDES     = 1
	engineSHA     = 4
	engineAuthAES = 6
)
