package qce_test

import (
	"crypto/aes"
	"crypto/sha256"
	"testing"

	"golang.org/x/crypto/xts"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// loop is a request whose pieces are made once, so that running it again and
// again shows what the engine itself costs.
type loop struct {
	e      *qce.Engine
	by     trace.Master
	writes []qcetest.Write
	in     []byte
	out    []byte
}

func newLoop(cfg qce.Config, r qcetest.Request) *loop {
	const pair = 2
	return &loop{
		e:      qce.New(cfg, nil),
		by:     trace.Master{Via: trace.Command, Pipe: 2 * pair},
		writes: r.Writes(pair), in: r.Input(), out: make([]byte, len(r.Input())+256),
	}
}

// run does the request once and returns the size of its output.
func (l *loop) run() int {
	for _, w := range l.writes {
		l.e.WriteReg(l.by, w.Off, w.Val, ^uint32(0))
	}
	in, n := l.in, 0
	for {
		if space := l.e.In(4); len(space) > 0 && len(in) > 0 {
			k := copy(space, in)
			in = in[k:]
			l.e.Fed(4, k, len(in) == 0, len(in) == 0)
		}
		if l.e.Runnable() {
			l.e.Step()
		}
		if p, eot := l.e.Out(5); len(p) > 0 {
			n += copy(l.out[n:], p)
			l.e.Drained(5, len(p), eot)
			continue
		}
		if !l.e.Busy() {
			return n
		}
	}
}

func xtsRequest(size int) qcetest.Request {
	key := make([]byte, 64)
	for i := range key {
		key[i] = byte(i)
	}
	return qcetest.Cipher{Mode: qcetest.XTSAES, Key: key, IV: make([]byte, 16), Encrypt: true, Data: make([]byte, size)}
}

// TestNoAllocation repeats requests whose key is known already.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	k := make([]byte, 64)
	data := make([]byte, 4096)
	tests := map[string]qcetest.Request{
		"xts-aes-256":     xtsRequest(4096),
		"cbc-aes-128":     qcetest.Cipher{Mode: qcetest.CBCAES, Key: k[:16], IV: k[:16], Encrypt: true, Data: data},
		"ctr-aes-256":     qcetest.Cipher{Mode: qcetest.CTRAES, Key: k[:32], IV: k[:16], Data: data},
		"ecb-des":         qcetest.Cipher{Mode: qcetest.ECBDES, Key: k[:8], Data: data},
		"cbc-des3_ede":    qcetest.Cipher{Mode: qcetest.CBC3DES, Key: k[:24], IV: k[:8], Data: data},
		"sha256":          qcetest.Digest{Hash: qcetest.SHA256, Data: data},
		"hmac-sha1":       qcetest.Digest{Hash: qcetest.SHA1, HMAC: true, Data: data},
		"hmac-sha512":     qcetest.Digest{Hash: qcetest.SHA512, HMAC: true, Data: data},
		"ccm-aes":         qcetest.CCM{Key: k[:16], Nonce: k[:12], Text: data, TagLen: 16, Encrypt: true},
		"gcm-aes":         qcetest.GCM{Key: k[:16], IV: k[:12], Text: data, TagLen: 16, Encrypt: true},
		"cmac-aes":        qcetest.CMAC{Key: k[:16], Data: data},
		"authenc-sha1":    qcetest.Authenc{Hash: qcetest.SHA1, Mode: qcetest.CBCAES, Key: k[:16], IV: k[:16], AuthKey: k[:20], Encrypt: true, AAD: 32, Len: 4064, Data: data},
		"authenc-sha256d": qcetest.Authenc{Hash: qcetest.SHA256, Mode: qcetest.CBC3DES, Key: k[:24], IV: k[:8], AuthKey: k[:32], AAD: 32, Len: 4064, Data: data},
	}
	for name, r := range tests {
		l := newLoop(ideal, r)
		l.run()
		if n := testing.AllocsPerRun(20, func() { l.run() }); n != 0 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
	}
}

// The benchmarks of one name beginning are meant to be compared: the engine,
// and the cipher alone on the same bytes.

func BenchmarkXTS4KEngine(b *testing.B) {
	l := newLoop(ideal, xtsRequest(4096))
	l.run()
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		l.run()
	}
}

func BenchmarkXTS4KAlone(b *testing.B) {
	key := make([]byte, 64)
	for i := range key {
		key[i] = byte(i)
	}
	c, err := xts.NewCipher(aes.NewCipher, key)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4096)
	b.SetBytes(4096)
	for b.Loop() {
		c.Encrypt(buf, buf, 0)
	}
}

func BenchmarkSHA2564KEngine(b *testing.B) {
	l := newLoop(ideal, qcetest.Digest{Hash: qcetest.SHA256, Data: make([]byte, 4096)})
	l.run()
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		l.run()
	}
}

func BenchmarkSHA2564KAlone(b *testing.B) {
	buf := make([]byte, 4096)
	b.SetBytes(4096)
	for b.Loop() {
		sha256.Sum256(buf)
	}
}

func BenchmarkCTR4KEngine(b *testing.B) {
	l := newLoop(ideal, qcetest.Cipher{Mode: qcetest.CTRAES, Key: make([]byte, 16), IV: make([]byte, 16), Data: make([]byte, 4096)})
	l.run()
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		l.run()
	}
}
