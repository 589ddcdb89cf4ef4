package qce_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// ideal has every algorithm.
var ideal = qce.Config{Version: 0x05090000, Engines: 0x02011073, GCM: true}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

func feeder(cfg qce.Config, sink trace.Sink) *qcetest.Feeder {
	return &qcetest.Feeder{Engine: qce.New(cfg, sink), Pair: 2}
}

// TestWorkedWords writes the words of datasheet §23 as they stand there.
func TestWorkedWords(t *testing.T) {
	words := func(off uint32, w ...uint32) (l []qcetest.Write) {
		for i, v := range w {
			l = append(l, qcetest.Write{Off: off + 4*uint32(i), Val: v})
		}
		return l
	}
	join := func(l ...[]qcetest.Write) (all []qcetest.Write) {
		for _, w := range l {
			all = append(all, w...)
		}
		return all
	}
	tests := []struct {
		name   string
		writes []qcetest.Write
		in     string
		out    string // payload
		authIV string // dump +0x00
		count  uint32 // dump +0x40
		iv     string // dump +0x50
	}{
		{
			name: "CBC-AES-128, SP 800-38A F.2.1",
			writes: join(words(qce.Status, 0), words(qce.ConfigReg, 0xe004b), words(qce.AuthSegCfg, 0),
				words(qce.EncrKey0, 0x2b7e1516, 0x28aed2a6, 0xabf71588, 0x09cf4f3c),
				words(qce.CntrIV0, 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f),
				words(qce.EncrSegCfg, 0x442), words(qce.EncrSegSize, 16), words(qce.EncrSegStart, 0), words(qce.SegSize, 16),
				words(qce.ConfigReg, 0xe024b), words(qce.GoProc, 5)),
			in:  "6bc1bee22e409f96e93d7e117393172a",
			out: "7649abac8119b246cee98e9b12e9197d", iv: "7649abac8119b246cee98e9b12e9197d",
		},
		{
			name: "CTR-AES-128, SP 800-38A F.5.1",
			writes: join(words(qce.Status, 0), words(qce.ConfigReg, 0xe004b), words(qce.AuthSegCfg, 0),
				words(qce.EncrKey0, 0x2b7e1516, 0x28aed2a6, 0xabf71588, 0x09cf4f3c),
				words(qce.CntrIV0, 0xf0f1f2f3, 0xf4f5f6f7, 0xf8f9fafb, 0xfcfdfeff),
				words(qce.EncrSegCfg, 0x482), words(qce.EncrSegSize, 16), words(qce.EncrSegStart, 0),
				words(qce.CntrMask, ^uint32(0)), words(qce.CntrMask0, ^uint32(0)), words(qce.CntrMask1, ^uint32(0)), words(qce.CntrMask2, ^uint32(0)),
				words(qce.SegSize, 16), words(qce.ConfigReg, 0xe024b), words(qce.GoProc, 5)),
			in:  "6bc1bee22e409f96e93d7e117393172a",
			out: "874d6191b620e3261bef6864990db6ce", iv: "f0f1f2f3f4f5f6f7f8f9fafbfcfdff00",
		},
		{
			name: `SHA-256("abc")`,
			writes: join(words(qce.Status, 0), words(qce.ConfigReg, 0xe004b),
				words(qce.AuthIV0, 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19),
				words(qce.AuthByteCnt0, 0, 0, 0, 0), words(qce.AuthSegCfg, 0x30201), words(qce.AuthSegSize, 3), words(qce.AuthSegStart, 0),
				words(qce.EncrSegCfg, 0), words(qce.SegSize, 3), words(qce.ConfigReg, 0xe024b), words(qce.GoProc, 5)),
			in:     "616263",
			authIV: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
			count:  3,
		},
	}
	for _, tt := range tests {
		for _, byCommand := range []bool{false, true} {
			f := feeder(ideal, nil)
			f.ByCommand = byCommand
			f.Set(tt.writes...)
			res := f.Move(unhex(tt.in))
			if !res.Done || !res.EOT || res.Left != 0 {
				t.Fatalf("%s: %+v", tt.name, res)
			}
			payload, dump := res.Split()
			if d := cmp.Diff(unhex(tt.out), payload, cmp.Comparer(bytes.Equal)); d != "" {
				t.Errorf("%s: output: %s", tt.name, d)
			}
			if want := unhex(tt.authIV); !bytes.HasPrefix(dump.AuthIV[:], want) {
				t.Errorf("%s: auth_iv %x, want %x", tt.name, dump.AuthIV, want)
			}
			if want := unhex(tt.iv); !bytes.HasPrefix(dump.IV[:], want) {
				t.Errorf("%s: encr_cntr_iv %x, want %x", tt.name, dump.IV, want)
			}
			if dump.ByteCnt[0] != tt.count {
				t.Errorf("%s: byte count %d, want %d", tt.name, dump.ByteCnt[0], tt.count)
			}
		}
	}
}

// TestRequestWords compares the words of whole requests with the table of
// datasheet §23.
func TestRequestWords(t *testing.T) {
	k := func(n int) []byte { return make([]byte, n) }
	data := k(64)
	tests := []struct {
		name       string
		req        qcetest.Request
		writes     int
		encr, auth uint32
		goproc     uint32
	}{
		{"CBC-128", qcetest.Cipher{Mode: qcetest.CBCAES, Key: k(16), IV: k(16), Encrypt: true, Data: data}, 17, 0x442, 0, 5},
		{"CBC-256", qcetest.Cipher{Mode: qcetest.CBCAES, Key: k(32), IV: k(16), Data: data}, 21, 0x052, 0, 5},
		{"CTR-128", qcetest.Cipher{Mode: qcetest.CTRAES, Key: k(16), IV: k(16), Encrypt: true, Data: data}, 21, 0x482, 0, 5},
		{"CTR-256", qcetest.Cipher{Mode: qcetest.CTRAES, Key: k(32), IV: k(16), Data: data}, 25, 0x092, 0, 5},
		{"XTS-128", qcetest.Cipher{Mode: qcetest.XTSAES, Key: k(32), IV: k(16), Encrypt: true, Data: data}, 22, 0x4c2, 0, 5},
		{"XTS-256", qcetest.Cipher{Mode: qcetest.XTSAES, Key: k(64), IV: k(16), Data: data}, 30, 0x0d2, 0, 5},
		{"SHA-256", qcetest.Digest{Hash: qcetest.SHA256, Data: data}, 21, 0, 0x30201, 5},
		{"SHA-256 first", qcetest.Digest{Hash: qcetest.SHA256, Part: true, First: true, Data: data}, 21, 0, 0x20201, 5},
		{"SHA-256 middle", qcetest.Digest{Hash: qcetest.SHA256, Part: true, State: k(32), Data: data}, 19, 0, 0x00201, 5},
		{"HMAC-SHA256", qcetest.Digest{Hash: qcetest.SHA256, HMAC: true, Data: data}, 37, 0, 0x30241, 5},
		{"HMAC-SHA256 last", qcetest.Digest{Hash: qcetest.SHA256, HMAC: true, Part: true, Last: true, State: k(32), Data: data}, 35, 0, 0x10241, 5},
		{"authenc enc", qcetest.Authenc{Hash: qcetest.SHA256, Mode: qcetest.CBCAES, Key: k(16), IV: k(16), AuthKey: k(32), Encrypt: true, AAD: 16, Len: 48, Data: data}, 71, 0x442, 0x34241, 5},
		{"authenc dec", qcetest.Authenc{Hash: qcetest.SHA256, Mode: qcetest.CBCAES, Key: k(32), IV: k(16), AuthKey: k(64), AAD: 16, Len: 48, Data: data}, 83, 0x052, 0x30241, 5},
		{"CCM-128 enc", qcetest.CCM{Key: k(16), Nonce: k(11), Text: data, TagLen: 16, Encrypt: true}, 72, 0x2502, 0x431e02, 1},
		{"CCM-256 dec", qcetest.CCM{Key: k(32), Nonce: k(11), Text: data, TagLen: 16}, 80, 0x2112, 0x435e12, 1},
	}
	for _, tt := range tests {
		w := tt.req.Writes(3)
		if len(w) != tt.writes {
			t.Errorf("%s: %d writes, want %d", tt.name, len(w), tt.writes)
		}
		got := map[uint32]uint32{}
		for _, x := range w {
			got[x.Off] = x.Val
		}
		want := map[uint32]uint32{qce.EncrSegCfg: tt.encr, qce.AuthSegCfg: tt.auth, qce.GoProc: tt.goproc, qce.ConfigReg: 0xe026b}
		for off, v := range want {
			if got[off] != v {
				t.Errorf("%s: %s = %#x, want %#x", tt.name, qce.Name(off), got[off], v)
			}
		}
	}
}
