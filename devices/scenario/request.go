package scenario

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/xts"

	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// request is what setup and program ask of the engine.
type request struct {
	qcetest.Request
	input []byte
	want  []byte // first bytes of the output
}

// algorithms are the requests that a script can name. Key and IV differ from
// algorithm to algorithm, and from side to side by salt.
var algorithms = map[string]func(encrypt bool, in []byte, salt byte) request{
	"cbc-aes": func(encrypt bool, in []byte, salt byte) request {
		key, iv := pattern(16, 1^salt), pattern(16, 2^salt)
		out := slices.Clone(in)
		block, _ := aes.NewCipher(key)
		n := len(in) / 16 * 16
		if encrypt {
			cipher.NewCBCEncrypter(block, iv).CryptBlocks(out[:n], in[:n])
		} else {
			cipher.NewCBCDecrypter(block, iv).CryptBlocks(out[:n], in[:n])
		}
		return request{qcetest.Cipher{Mode: qcetest.CBCAES, Key: key, IV: iv, Encrypt: encrypt, Data: in}, in, out}
	},
	"ctr-aes": func(encrypt bool, in []byte, salt byte) request {
		key, iv := pattern(16, 3^salt), pattern(16, 4^salt)
		out := slices.Clone(in)
		block, _ := aes.NewCipher(key)
		cipher.NewCTR(block, iv).XORKeyStream(out, in)
		return request{qcetest.Cipher{Mode: qcetest.CTRAES, Key: key, IV: iv, Encrypt: encrypt, Data: in}, in, out}
	},
	"xts-aes": func(encrypt bool, in []byte, salt byte) request {
		key, iv := pattern(64, 5^salt), make([]byte, 16)
		iv[0] = 7
		out := slices.Clone(in)
		n := len(in) / 16 * 16
		c, _ := xts.NewCipher(aes.NewCipher, key)
		if encrypt {
			c.Encrypt(out[:n], in[:n], 7)
		} else {
			c.Decrypt(out[:n], in[:n], 7)
		}
		return request{qcetest.Cipher{Mode: qcetest.XTSAES, Key: key, IV: iv, Encrypt: encrypt, Data: in}, in, out}
	},
	"sha256": func(_ bool, in []byte, _ byte) request {
		sum := sha256.Sum256(in)
		return request{qcetest.Digest{Hash: qcetest.SHA256, Data: in}, in, sum[:]}
	},
	"hmac-sha256": func(_ bool, in []byte, salt byte) request {
		key := pattern(32, 6^salt)
		h := hmac.New(sha256.New, key)
		h.Write(in)
		return request{qcetest.Digest{Hash: qcetest.SHA256, HMAC: true, Key: key, Data: in}, in, h.Sum(nil)}
	},
}

// newRequest makes the request of a script's "ALG DIR LEN".
func newRequest(alg, dir string, n int, salt byte) (request, error) {
	make, ok := algorithms[alg]
	if !ok {
		return request{}, fmt.Errorf("no algorithm %q; there are: %s", alg, strings.Join(sorted(algorithms), ", "))
	}
	digest := strings.Contains(alg, "sha")
	switch {
	case digest && dir != "hash", !digest && dir != "enc" && dir != "dec":
		return request{}, fmt.Errorf("%s %q: a hash has the direction hash, a cipher enc or dec", alg, dir)
	case n < 1 || n > maxInput:
		return request{}, fmt.Errorf("length %d: want 1 to %d", n, maxInput)
	}
	return make(dir == "enc", pattern(n, 9^salt), salt), nil
}

const maxInput = 0x8000

// pattern is n bytes that look like none of the others.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		seed = seed*5 + byte(i>>8) + 0x6b
		p[i] = seed
	}
	return p
}
