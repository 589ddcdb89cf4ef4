package qce_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// vector is a block of testdata/vectors.txt.
type vector struct {
	alg, from string
	line      int
	v         map[string][]byte
}

func (v vector) String() string { return fmt.Sprintf("vectors.txt:%d %s (%s)", v.line, v.alg, v.from) }

func readVectors(t *testing.T) []vector {
	f, err := os.Open("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []vector
	cur := vector{v: map[string][]byte{}}
	end := func() {
		if cur.v["ct"] != nil || cur.v["mac"] != nil {
			list = append(list, cur)
		}
		cur = vector{alg: cur.alg, from: cur.from, v: map[string][]byte{}}
	}
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSpace(s.Text())
		name, val, _ := strings.Cut(text, "=")
		name, val = strings.TrimSpace(name), strings.TrimSpace(val)
		switch {
		case text == "":
			end()
		case text[0] == '#':
		case name == "alg":
			cur.alg = val
		case name == "from":
			cur.from = val
		default:
			cur.v[name] = append([]byte{}, unhex(val)...)
			cur.line = n
		}
	}
	end()
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

var cipherModes = map[string]qcetest.Mode{
	"ecb-aes": qcetest.ECBAES, "cbc-aes": qcetest.CBCAES, "ctr-aes": qcetest.CTRAES, "xts-aes": qcetest.XTSAES,
	"ecb-des": qcetest.ECBDES, "cbc-des": qcetest.CBCDES, "ecb-des3_ede": qcetest.ECB3DES, "cbc-des3_ede": qcetest.CBC3DES,
}

var hashNames = map[string]qcetest.Hash{"sha1": qcetest.SHA1, "sha256": qcetest.SHA256, "sha384": qcetest.SHA384, "sha512": qcetest.SHA512}

// outcome is what a request for a vector must give.
type outcome struct {
	req     qcetest.Request
	payload []byte
	mac     []byte // head of the dump's auth_iv, nil without dump
	fails   bool   // MAC_FAILED
}

// outcomes are the requests that a vector stands for.
func (v vector) outcomes(t *testing.T) []outcome {
	get := func(name string) []byte { return v.v[name] }
	key, iv, pt, ct, aad, nonce, tag := get("key"), get("iv"), get("pt"), get("ct"), get("aad"), get("nonce"), get("tag")
	cat := func(p ...[]byte) []byte { return bytes.Join(p, nil) }
	family, rest, _ := strings.Cut(v.alg, "-hmac-")
	switch {
	case cipherModes[v.alg] != 0:
		m := cipherModes[v.alg]
		return []outcome{
			{req: qcetest.Cipher{Mode: m, Key: key, IV: iv, Encrypt: true, Data: pt}, payload: ct},
			{req: qcetest.Cipher{Mode: m, Key: key, IV: iv, Data: ct}, payload: pt},
		}
	case strings.HasPrefix(v.alg, "sha"):
		return []outcome{{req: qcetest.Digest{Hash: hashNames[v.alg], Data: get("msg")}, mac: get("mac")}}
	case strings.HasPrefix(v.alg, "hmac-"):
		return []outcome{{req: qcetest.Digest{Hash: hashNames[v.alg[5:]], HMAC: true, Key: key, Data: get("msg")}, mac: get("mac")}}
	case v.alg == "cmac-aes":
		return []outcome{{req: qcetest.CMAC{Key: key, Data: get("msg")}, mac: get("mac")}}
	case v.alg == "ccm-aes":
		enc := qcetest.CCM{Key: key, Nonce: nonce, AAD: aad, Text: pt, TagLen: len(tag), Encrypt: true}
		dec := qcetest.CCM{Key: key, Nonce: nonce, AAD: aad, Text: cat(ct, tag), TagLen: len(tag)}
		bad := dec
		bad.Text = bytes.Clone(bad.Text)
		bad.Text[len(bad.Text)-1] ^= 1
		header, plain := enc.Header(), cat(enc.Header(), pt, make([]byte, len(tag)))
		return []outcome{
			{req: enc, payload: cat(header, ct, tag, make([]byte, 64-len(tag)))},
			{req: dec, payload: plain},
			{req: bad, payload: plain, fails: true},
		}
	case v.alg == "gcm-aes":
		dec := qcetest.GCM{Key: key, IV: nonce, AAD: aad, Text: cat(ct, tag), TagLen: len(tag)}
		bad := dec
		bad.Text = bytes.Clone(bad.Text)
		bad.Text[len(bad.Text)-1] ^= 1
		plain := cat(aad, pt, make([]byte, len(tag)))
		return []outcome{
			{req: qcetest.GCM{Key: key, IV: nonce, AAD: aad, Text: pt, TagLen: len(tag), Encrypt: true}, payload: cat(aad, ct, tag, make([]byte, 64-len(tag)))},
			{req: dec, payload: plain},
			{req: bad, payload: plain, fails: true},
		}
	case family == "authenc":
		hash, mode, _ := strings.Cut(rest, "-")
		a := qcetest.Authenc{Hash: hashNames[hash], Mode: cipherModes[mode], Key: key, IV: iv, AuthKey: get("akey"), AAD: len(aad), Len: len(pt)}
		enc, dec := a, a
		enc.Encrypt, enc.Data = true, cat(aad, pt)
		dec.Data = cat(aad, ct)
		return []outcome{{req: enc, payload: cat(aad, ct), mac: tag}, {req: dec, payload: cat(aad, pt), mac: tag}}
	}
	t.Fatalf("%v: unknown algorithm", v)
	return nil
}

// TestVectors runs every known answer in one piece and in random pieces, set up
// by MMIO and by command elements. The oracle must agree with the published
// answers too.
func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		for i, o := range v.outcomes(t) {
			for seed := range uint64(12) {
				cfg := ideal
				checker := oracle.NewChecker(1 << 16)
				cfg.Observer = checker
				cfg.BufferSize = 64
				f := feeder(cfg, nil)
				f.ByCommand = seed%2 == 1
				if seed > 1 {
					f.Rand = rand.New(rand.NewPCG(seed, uint64(v.line)))
				}
				res := f.Run(o.req)
				if !res.Done || res.Left != 0 {
					t.Fatalf("%v case %d seed %d: not done: %+v", v, i, seed, res)
				}
				payload, dump := res.Out, qcetest.Dump{}
				if o.mac != nil || v.v["tag"] == nil {
					payload, dump = res.Split()
				}
				if !bytes.Equal(payload, o.payload) {
					t.Errorf("%v case %d seed %d: output\n%x, want\n%x", v, i, seed, payload, o.payload)
				}
				if !bytes.HasPrefix(dump.AuthIV[:], o.mac) {
					t.Errorf("%v case %d seed %d: auth_iv %x, want %x", v, i, seed, dump.AuthIV, o.mac)
				}
				if failed := res.Status&qce.MACFailed != 0; failed != o.fails {
					t.Errorf("%v case %d seed %d: MAC_FAILED %v, want %v", v, i, seed, failed, o.fails)
				}
				if res.Status&qce.SwErr != 0 {
					t.Errorf("%v case %d seed %d: STATUS %#x", v, i, seed, res.Status)
				}
				if c := checker.Counts(); c.Checked != 1 || c.Wrong != 0 {
					t.Errorf("%v case %d seed %d: oracle: %+v %v", v, i, seed, c, checker.Mismatches())
				}
			}
		}
	}
}
