package oracle

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	gohash "hash"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/xts"

	"github.com/qcemu/qcemu/devices/qce"
)

// The oracle's own code is compared with Go's library, where that has the same.

func random(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

var library = [4]func() gohash.Hash{0: sha1.New, 1: sha256.New, 2: sha512.New384, 3: sha512.New}

func TestHashes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i, h := range hashes {
		for n := range 300 {
			p := random(r, n)
			want := library[i]()
			want.Write(p)
			got := h.run(h.initial, append(bytes.Clone(p), h.padding(n, uint64(n))...))
			if d := cmp.Diff(want.Sum(nil), got[:h.digest]); d != "" {
				t.Fatalf("hash %d of %d bytes: %s", i, n, d)
			}
		}
	}
}

func TestHMAC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i, h := range hashes {
		for _, n := range []int{1, 55, 56, 64, 200} {
			c := &qce.Latched{AuthSegCfg: 1 | 1<<6 | uint32(i)<<9 | 3<<16, AuthSegSize: uint32(n), SegSize: uint32(n)}
			copy(c.AuthIV[:], h.initial)
			copy(c.AuthKey[:], random(r, 64))
			p := random(r, n)
			res, err := Expect(c, p)
			if err != nil {
				t.Fatal(err)
			}
			m := hmac.New(library[i], c.AuthKey[:])
			m.Write(p)
			if d := cmp.Diff(m.Sum(nil), res.AuthIV[:h.digest]); d != "" {
				t.Errorf("HMAC %d of %d bytes: %s", i, n, d)
			}
		}
	}
}

func TestXTS(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	keys := func(k []byte, encrypt bool) *xtsKeys {
		keys, err := newXTSKeys(k[:len(k)/2], k[len(k)/2:], encrypt)
		if err != nil {
			t.Fatal(err)
		}
		return &keys
	}
	for n := 16; n < 5000; n += 16 * (1 + r.IntN(8)) {
		k := random(r, 32*(1+r.IntN(2)))
		x, err := xts.NewCipher(aes.NewCipher, k)
		if err != nil {
			t.Fatal(err)
		}
		text := random(r, n)
		sector := r.Uint64()
		number := [16]byte{}
		binary.BigEndian.PutUint64(number[8:], sector)
		want, got := bytes.Clone(text), bytes.Clone(text)
		x.Encrypt(want, want, sector)
		keys(k, true).unit(got, number, false)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%d bytes: %s", n, d)
		}
		keys(k, false).unit(got, number, false)
		if d := cmp.Diff(text, got); d != "" {
			t.Fatalf("%d bytes, back: %s", n, d)
		}
	}
	// Stealing: decryption undoes encryption, and all bytes change.
	for n := 17; n < 64; n++ {
		k, p := random(r, 64), random(r, n)
		q := bytes.Clone(p)
		for _, encrypt := range []bool{true, false} {
			keys(k, encrypt).unit(q, [16]byte{1}, false)
			if same := bytes.Equal(p, q); same == encrypt {
				t.Fatalf("%d bytes, encrypt %v: same as the plaintext: %v", n, encrypt, same)
			}
		}
	}
}

// Vector 15 of IEEE 1619 annex B: 17 bytes.
func TestXTSStealing(t *testing.T) {
	k, err := newXTSKeys(unhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0"), unhex("bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0"), true)
	if err != nil {
		t.Fatal(err)
	}
	p := unhex("000102030405060708090a0b0c0d0e0f10")
	k.unit(p, [16]byte(unhex("0000000000000000000000123456789a")), false)
	if d := cmp.Diff(unhex("6c1625db4671522d3d7599601de7ca09ed"), p); d != "" {
		t.Error(d)
	}
}

func TestGCM(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	for _, ivLen := range []int{12, 1, 8, 15, 16} {
		for n := range 50 {
			key, iv, aad, text := random(r, 16), random(r, ivLen), random(r, r.IntN(40)), random(r, n)
			b, err := aes.NewCipher(key)
			if err != nil {
				t.Fatal(err)
			}
			g, err := cipher.NewGCMWithNonceSize(b, ivLen)
			if err != nil {
				t.Fatal(err)
			}
			want := g.Seal(nil, iv, text, aad)
			c := &qce.Latched{
				GCM: true, EncrSegCfg: 2 | 6<<6 | 1<<10, AuthSegCfg: 2 | 2<<6 | 15<<9 | 1<<14 | 3<<16,
				EncrSegStart: uint32(len(aad)), EncrSegSize: uint32(n), AuthSegSize: uint32(len(aad) + n), SegSize: uint32(len(aad) + n),
				GCMIVLength: uint32(ivLen),
			}
			copy(c.Key[:], key)
			copy(c.AuthKey[:], key)
			copy(c.IV[:], iv)
			res, err := Expect(c, append(bytes.Clone(aad), text...))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, res.Payload[len(aad):]); d != "" {
				t.Fatalf("IV %d, AAD %d, text %d: %s", ivLen, len(aad), n, d)
			}
		}
	}
}

// RFC 4493 §4.
func TestCMAC(t *testing.T) {
	b, err := aes.NewCipher(unhex("2b7e151628aed2a6abf7158809cf4f3c"))
	if err != nil {
		t.Fatal(err)
	}
	msg := unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{
		0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		if d := cmp.Diff(unhex(want), cmac(b, msg[:n])); d != "" {
			t.Errorf("%d bytes: %s", n, d)
		}
	}
}

func unhex(s string) []byte {
	p, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return p
}

// TestCheck sees to it that the oracle can say no.
func TestCheck(t *testing.T) {
	c := &qce.Latched{EncrSegCfg: 2 | 1<<6 | 1<<10, EncrSegSize: 32, SegSize: 32, Go: 5}
	in := make([]byte, 32)
	want, err := Expect(c, in)
	if err != nil {
		t.Fatal(err)
	}
	good := append(bytes.Clone(want.Payload), want.Dump...)
	if err := check(c, in, good, 2, &space{}); err != nil {
		t.Fatal(err)
	}
	statusWord := len(want.Payload) + dumpStatus
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		err := check(c, in, bad, 2, &space{})
		if ignored := i >= statusWord; ignored != (err == nil) {
			t.Errorf("byte %d wrong: %v", i, err)
		}
	}
	if check(c, in, good[1:], 2, &space{}) == nil {
		t.Error("short output accepted")
	}
	if check(c, in, good, 2|1<<31, &space{}) == nil {
		t.Error("MAC_FAILED accepted")
	}
}
