package suites

import "strings"

// Keys, IVs and messages of the suites. They are the same in every run: a
// mismatch can be looked at again.

// pattern returns size bytes that repeat nowhere near, different for each seed.
func pattern(seed uint32, size int) []byte {
	b := make([]byte, size)
	x := seed*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x >> 11)
	}
	return b
}

// testKey returns a key for a cipher or a hash. The halves of an XTS key
// differ, as the driver demands, and so do the parts of a 3DES key.
func testKey(size int) []byte { return pattern(1, size) }

// testIV returns an IV of the kind that the algorithm takes, nil if it takes
// none.
func testIV(a EngineAlgorithm) []byte {
	iv := pattern(3, a.IV)
	switch a.Name {
	case "xts(aes)": // a sector number
		clear(iv[8:])
	case "ccm(aes)": // L-1, a nonce of 12 bytes, the counter
		iv[0] = 2
		clear(iv[13:])
	case "ctr(aes)": // carries out of the lowest word soon
		for i := 12; i < 16; i++ {
			iv[i] = 0xff
		}
		iv[15] = 0xfd
	}
	return iv[:a.IV:a.IV]
}

func testAEADKeys(a EngineAlgorithm, encSize int) aeadKeys {
	k := aeadKeys{Enc: testKey(encSize), Salt: pattern(5, a.Salt)}
	if strings.HasPrefix(a.Name, "authenc(") {
		// A multiple of 4: the driver drops what is left over (datasheet §28).
		k.Auth = pattern(4, 20)
		if strings.Contains(a.Name, "sha256") {
			k.Auth = pattern(4, 32)
		}
	}
	return k
}

// testAssoc returns associated data: for RFC 4309 of 16 bytes, the IV at its
// end, as IPsec has it.
func testAssoc(a EngineAlgorithm, iv []byte) []byte {
	if a.Salt > 0 {
		return append(pattern(6, 8), iv...)
	}
	return pattern(6, 20)
}
