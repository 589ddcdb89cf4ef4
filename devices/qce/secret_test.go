package qce_test

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// TestNoKeyInEvents writes recognisable keys in every way there is, and looks
// for their words in all events.
func TestNoKeyInEvents(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	key := func(n int) []byte { return random(r, n) }
	secrets := map[uint32]bool{}
	secret := func(p []byte) []byte {
		for i := 0; i+4 <= len(p); i += 4 {
			w := binary.BigEndian.Uint32(p[i:])
			secrets[w], secrets[bits.ReverseBytes32(w)] = true, true
		}
		return p
	}
	b := newBench(ideal)
	reqs := []qcetest.Request{
		qcetest.Cipher{Mode: qcetest.CBCAES, Key: secret(key(32)), IV: iv16, Data: data},
		qcetest.Cipher{Mode: qcetest.XTSAES, Key: secret(key(64)), IV: iv16, Data: data},
		qcetest.Cipher{Mode: qcetest.CBC3DES, Key: secret(key(24)), IV: iv16[:8], Data: data},
		qcetest.Digest{Hash: qcetest.SHA1, HMAC: true, Key: secret(key(64)), Data: data},
		qcetest.CMAC{Key: secret(key(16)), Data: data},
		qcetest.CCM{Key: secret(key(32)), Nonce: iv16[:12], Text: data, TagLen: 16},
		qcetest.GCM{Key: secret(key(32)), IV: iv16[:12], Text: data, TagLen: 16},
		qcetest.Authenc{Hash: qcetest.SHA256, Mode: qcetest.CBCAES, Key: secret(key(16)), IV: iv16, AuthKey: secret(key(64)), Len: 64, Data: data},
	}
	for _, req := range reqs {
		for _, byCommand := range []bool{false, true} {
			b.ByCommand = byCommand
			b.Run(req)
			b.Run(pio{req})
			b.Set(req.Writes(2)...)
			b.Set(req.Writes(2)...) // while busy
			b.Engine.Flush(4)
		}
	}
	// Keys beside their registers, in pieces, through the data port, read back.
	word := binary.BigEndian.Uint32(secret(key(4)))
	for _, off := range []uint32{qce.EncrKey0 + 2, 0x3080, 0x3ffc, 0x5ffc, 0x6000, 0xfffffffc, qce.DataIn0} {
		b.Engine.Write(cpu0, off, word)
		b.Engine.WriteReg(b.Master(), off, word, 0xffff)
	}
	b.Set(cbcReq.Writes(2)...)
	b.Engine.Write(cpu0, 0x3080, word)
	for off := uint32(0); off < qce.WindowSize; off += 4 {
		b.Engine.Read(cpu0, off)
	}
	b.Engine.SetLock(trace.Master{Via: trace.Command, EE: 2, Pipe: 2}, true)
	b.Engine.Write(cpu0, qce.EncrKey0, word)
	b.Engine.SetLock(trace.Master{Via: trace.Command, EE: 2, Pipe: 2}, false)
	b.Engine.Reset()
	if len(b.rec.events) < 500 || len(secrets) < 150 {
		t.Fatalf("%d events, %d words: the test looks at too little", len(b.rec.events), len(secrets))
	}
	for _, e := range b.rec.events {
		for _, v := range []uint64{e.Value, e.Value >> 32, e.Addr, uint64(e.Off), uint64(e.Size)} {
			if secrets[uint32(v)] {
				t.Errorf("a key word is in the event %v, offset %#x", e.Kind, e.Off)
			}
		}
	}
	for _, op := range b.rec.ops {
		for _, v := range []uint32{op.Bytes, op.ByCPU, op.ByCommand, op.Foreign, op.Status, op.Status2} {
			if secrets[v] {
				t.Errorf("a key word is in an operation's report: %s", op.Alg)
			}
		}
	}
}
