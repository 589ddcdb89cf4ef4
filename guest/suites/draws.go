package suites

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/afalg"
)

// draws draws keys and messages.
type draws struct{ *rand.Rand }

func (d *draws) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return b
}

// one picks from a list.
func (d *draws) one(list []int) int { return list[d.IntN(len(list))] }

// message draws a message of an algorithm: mostly short ones, for what counts
// is how often the engine is set up.
func (d *draws) message(a EngineAlgorithm) []byte {
	if isXTS(a) {
		// What the driver does not leave to software (qce_skcipher_crypt):
		// whole sectors, more than one.
		return d.bytes(512 * (2 + d.IntN(3)))
	}
	n := 1 + d.IntN(256)
	if d.IntN(16) == 0 {
		n = 1 + d.IntN(4096)
	}
	if a.Kind != Hash {
		n = (n + a.Block - 1) / a.Block * a.Block
	}
	return d.bytes(n)
}

// iv draws an IV of the kind that the algorithm takes.
func (d *draws) iv(a EngineAlgorithm) []byte {
	iv := testIV(a)
	switch a.Name {
	case "xts(aes)": // a sector number
		copy(iv, d.bytes(6))
	case "ccm(aes)": // a nonce
		copy(iv[1:13], d.bytes(12))
	default:
		copy(iv, d.bytes(len(iv)))
	}
	return iv
}

// client is an algorithm with a key.
type client interface {
	// draw makes up a request, with the result that it must have.
	draw(d *draws) (request, error)
	Close() error
}

// request is one request to the engine.
type request struct {
	what string // in words
	do   func() ([]byte, error)
	want []byte
	// differs says in words how a result differs from what is wanted; nil: byte
	// by byte.
	differs func(got []byte) string
}

// openClient opens an algorithm with a key that is drawn.
func openClient(a EngineAlgorithm, d *draws) (client, error) {
	switch a.Kind {
	case Skcipher:
		c := cipherClient{alg: a, key: d.bytes(d.one(a.KeySizes))}
		var err error
		c.Cipher, err = afalg.NewCipher(a.Driver, c.key)
		return c, err
	case Hash:
		c := hashClient{alg: a}
		if a.Keyed {
			c.key = d.bytes(1 + d.IntN(a.Block))
		}
		var err error
		c.Hash, err = afalg.NewHash(a.Driver, c.key)
		return c, err
	case AEAD:
		k := testAEADKeys(a, d.one(a.KeySizes))
		k.Enc, k.Salt, k.Auth = d.bytes(len(k.Enc)), d.bytes(len(k.Salt)), d.bytes(len(k.Auth))
		c := aeadClient{alg: a, keys: k, tag: d.one(a.TagSizes)}
		var err error
		c.AEAD, err = afalg.NewAEAD(a.Driver, k.kernelKey(a.Name), c.tag)
		return c, err
	}
	return nil, fmt.Errorf("no client for the kind %q of %s", a.Kind, a.Driver)
}

type cipherClient struct {
	*afalg.Cipher
	alg EngineAlgorithm
	key []byte
}

func (c cipherClient) draw(d *draws) (request, error) {
	way := []afalg.Direction{afalg.Encrypt, afalg.Decrypt}[d.IntN(2)]
	iv, src := d.iv(c.alg), d.message(c.alg)
	if c.alg.IV == 0 {
		iv = nil
	}
	want, err := refCipher(c.alg.Name, way, c.key, iv, src)
	return request{
		what: fmt.Sprintf("%v, %d bit key, %d bytes", way, len(c.key)*8, len(src)),
		do:   func() ([]byte, error) { return c.Crypt(way, iv, src) },
		want: want,
	}, err
}

type hashClient struct {
	*afalg.Hash
	alg EngineAlgorithm
	key []byte
}

func (c hashClient) draw(d *draws) (request, error) {
	src := d.message(c.alg)
	h, err := refHash(c.alg.Name, c.key)
	if err != nil {
		return request{}, err
	}
	h.Write(src)
	return request{
		what: fmt.Sprintf("digest, %d bytes", len(src)),
		do:   func() ([]byte, error) { return c.Sum(src) },
		want: h.Sum(nil),
	}, nil
}

type aeadClient struct {
	*afalg.AEAD
	alg  EngineAlgorithm
	keys aeadKeys
	tag  int
}

func (c aeadClient) draw(d *draws) (request, error) {
	iv, plain := d.iv(c.alg), d.message(c.alg)
	assoc := testAssoc(c.alg, iv)
	sealed, err := refSeal(c.alg.Name, c.keys, iv, assoc, plain, c.tag)
	if err != nil {
		return request{}, err
	}
	what := fmt.Sprintf("%d bit key, %d bytes, tag of %d", len(c.keys.Enc)*8, len(plain), c.tag)
	if d.IntN(2) == 0 {
		return request{
			what: "encrypt, " + what,
			do:   func() ([]byte, error) { return c.Seal(iv, assoc, plain) },
			want: sealed,
		}, nil
	}
	return request{
		what: "decrypt, " + what,
		do: func() ([]byte, error) {
			got, err := c.Open(iv, assoc, sealed)
			if errors.Is(err, unix.EBADMSG) {
				return nil, nil // the tag was right: a wrong result, not an error
			}
			return got, err
		},
		want: plain,
	}, nil
}
