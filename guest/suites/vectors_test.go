package suites

import (
	"bytes"
	"testing"

	"github.com/qcemu/qcemu/guest/afalg"
)

func TestCipherVectors(t *testing.T) {
	for _, v := range cipherVectors {
		for _, run := range []struct {
			d        afalg.Direction
			src, dst string
		}{{afalg.Encrypt, v.Plain, v.Cipher}, {afalg.Decrypt, v.Cipher, v.Plain}} {
			got, err := refCipher(v.Name, run.d, unhex(v.Key), unhex(v.IV), unhex(run.src))
			if err != nil {
				t.Errorf("%s %s %v: %v", v.Name, v.Source, run.d, err)
			} else if want := unhex(run.dst); !bytes.Equal(got, want) {
				t.Errorf("%s %s %v:\n got %x\nwant %x", v.Name, v.Source, run.d, got, want)
			}
		}
	}
}

func TestHashVectors(t *testing.T) {
	for _, v := range hashVectors {
		h, err := refHash(v.Name, unhex(v.Key))
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		h.Write(v.message())
		if got, want := h.Sum(nil), unhex(v.Digest); !bytes.Equal(got, want) {
			t.Errorf("%s %s:\n got %x\nwant %x", v.Name, v.Source, got, want)
		}
	}
}

func TestCCMVectors(t *testing.T) {
	for _, v := range ccmVectors {
		got, err := refSeal("ccm(aes)", aeadKeys{Enc: unhex(v.Key)}, v.kernelIV(), unhex(v.Assoc), unhex(v.Plain), v.Tag)
		if err != nil {
			t.Errorf("%s: %v", v.Source, err)
		} else if want := unhex(v.Sealed); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", v.Source, got, want)
		}
	}
}

// Every algorithm has a reference for each of its key sizes, and every kind of
// message in the table is covered by a known answer where a standard has one.
func TestReferencesCoverTable(t *testing.T) {
	for _, a := range EngineAlgorithms() {
		for _, size := range append(a.KeySizes, a.SoftKeySizes...) {
			key := pattern(1, size)
			iv := testIV(a)
			switch a.Kind {
			case Skcipher:
				if _, err := refCipher(a.Name, afalg.Encrypt, key, iv, pattern(2, 64)); err != nil {
					t.Errorf("%s with a key of %d: %v", a.Driver, size, err)
				}
			case AEAD:
				k := testAEADKeys(a, size)
				for _, tag := range a.TagSizes {
					sealed, err := refSeal(a.Name, k, iv, testAssoc(a, iv), pattern(2, 64), tag)
					if err != nil || len(sealed) != 64+tag {
						t.Errorf("%s with a key of %d, tag of %d: %d bytes, %v", a.Driver, size, tag, len(sealed), err)
					}
				}
			}
		}
		if a.Kind == Hash {
			if _, err := refHash(a.Name, pattern(1, 20)); err != nil {
				t.Errorf("%s: %v", a.Driver, err)
			}
		}
	}
}

func TestReferenceRefuses(t *testing.T) {
	key := pattern(1, 16)
	for name, err := range map[string]error{
		"unknown cipher":     second(refCipher("gcm(aes)", afalg.Encrypt, key, nil, nil)),
		"half a block":       second(refCipher("cbc(aes)", afalg.Encrypt, key, key, pattern(1, 8))),
		"XTS IV":             second(refCipher("xts(aes)", afalg.Encrypt, pattern(1, 32), key, pattern(1, 16))),
		"XTS half a block":   second(refCipher("xts(aes)", afalg.Encrypt, pattern(1, 32), make([]byte, 16), pattern(1, 17))),
		"no IV":              second(refCipher("ctr(aes)", afalg.Encrypt, key, nil, key)),
		"CCM tag":            second(ccmSeal(key, pattern(1, 12), nil, key, 5)),
		"CCM IV":             second(refSeal("ccm(aes)", aeadKeys{Enc: key}, make([]byte, 16), nil, key, 8)),
		"RFC 4309 no IV":     second(refSeal("rfc4309(ccm(aes))", aeadKeys{Enc: key}, pattern(1, 8), nil, key, 8)),
		"unknown AEAD":       second(refSeal("gcm(aes)", aeadKeys{Enc: key}, key, nil, key, 8)),
		"authenc with chaff": second(refSeal("authenc(x)", aeadKeys{Enc: key}, key, nil, key, 8)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := refHash("md5", nil); err == nil {
		t.Error("unknown hash: no error")
	}
}

func second(_ []byte, err error) error { return err }
