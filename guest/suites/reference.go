package suites

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/xts"

	"github.com/qcemu/qcemu/guest/afalg"
)

// What the kernel's results are compared with: Go's library in the guest, and
// for CCM, which it lacks, a plain reading of RFC 3610.

// refCipher runs the cipher with the generic name on a whole message.
func refCipher(name string, d afalg.Direction, key, iv, src []byte) ([]byte, error) {
	mode, inner, ok := strings.Cut(strings.TrimSuffix(name, ")"), "(")
	if !ok {
		return nil, fmt.Errorf("no reference for %s", name)
	}
	dst := make([]byte, len(src))
	if mode == "xts" {
		return refXTS(d, key, iv, src)
	}
	b, err := refBlock(inner, key)
	if err != nil {
		return nil, err
	}
	if mode != "ctr" && len(src)%b.BlockSize() != 0 {
		return nil, fmt.Errorf("%s: %d bytes are not whole blocks", name, len(src))
	}
	if mode != "ecb" && len(iv) != b.BlockSize() {
		return nil, fmt.Errorf("%s: IV of %d bytes", name, len(iv))
	}
	switch mode {
	case "ecb":
		run := b.Encrypt
		if d == afalg.Decrypt {
			run = b.Decrypt
		}
		for i := 0; i < len(src); i += b.BlockSize() {
			run(dst[i:], src[i:])
		}
	case "cbc":
		if d == afalg.Encrypt {
			cipher.NewCBCEncrypter(b, iv).CryptBlocks(dst, src)
		} else {
			cipher.NewCBCDecrypter(b, iv).CryptBlocks(dst, src)
		}
	case "ctr":
		cipher.NewCTR(b, iv).XORKeyStream(dst, src)
	default:
		return nil, fmt.Errorf("no reference for %s", name)
	}
	return dst, nil
}

func refBlock(name string, key []byte) (cipher.Block, error) {
	switch name {
	case "aes":
		return aes.NewCipher(key)
	case "des":
		return des.NewCipher(key)
	case "des3_ede":
		return des.NewTripleDESCipher(key)
	}
	return nil, fmt.Errorf("no reference for %s", name)
}

// refXTS takes the IV as the kernel's plain64 does: a sector number in its
// lower half, which is all that the library below can express.
func refXTS(d afalg.Direction, key, iv, src []byte) ([]byte, error) {
	if len(iv) != 16 || binary.LittleEndian.Uint64(iv[8:]) != 0 {
		return nil, errors.New("xts: want an IV of 16 bytes with a sector number of 64 bits")
	}
	if len(src)%16 != 0 {
		return nil, fmt.Errorf("xts: %d bytes are not whole blocks", len(src))
	}
	c, err := xts.NewCipher(aes.NewCipher, key)
	if err != nil {
		return nil, err
	}
	dst := make([]byte, len(src))
	sector := binary.LittleEndian.Uint64(iv)
	if d == afalg.Encrypt {
		c.Encrypt(dst, src, sector)
	} else {
		c.Decrypt(dst, src, sector)
	}
	return dst, nil
}

// refHash returns a new hash for the generic name. The key is for hmac only.
func refHash(name string, key []byte) (hash.Hash, error) {
	inner, keyed := strings.CutPrefix(name, "hmac(")
	var newHash func() hash.Hash
	switch strings.TrimSuffix(inner, ")") {
	case "sha1":
		newHash = sha1.New
	case "sha256":
		newHash = sha256.New
	default:
		return nil, fmt.Errorf("no reference for %s", name)
	}
	if keyed {
		return hmac.New(newHash, key), nil
	}
	return newHash(), nil
}

// aeadKeys are the parts of an AEAD's key. Auth is for authenc, Salt for
// RFC 4309.
type aeadKeys struct{ Auth, Enc, Salt []byte }

// kernelKey encodes the key as the kernel takes it.
func (k aeadKeys) kernelKey(name string) []byte {
	if strings.HasPrefix(name, "authenc(") {
		return afalg.AuthencKey(k.Auth, k.Enc)
	}
	return append(append([]byte{}, k.Enc...), k.Salt...)
}

// refSeal encrypts as the AEAD with the generic name does, and appends the tag.
func refSeal(name string, k aeadKeys, iv, assoc, plain []byte, tag int) ([]byte, error) {
	switch {
	case strings.HasPrefix(name, "authenc("):
		auth, enc, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(name, "authenc("), ")"), ",")
		if !ok {
			return nil, fmt.Errorf("no reference for %s", name)
		}
		out, err := refCipher(enc, afalg.Encrypt, k.Enc, iv, plain)
		if err != nil {
			return nil, err
		}
		mac, err := refHash(auth, k.Auth)
		if err != nil {
			return nil, err
		}
		mac.Write(assoc)
		mac.Write(out)
		return append(out, mac.Sum(nil)[:tag]...), nil
	case name == "ccm(aes)":
		// The kernel's IV: L-1, the nonce, zeros.
		if len(iv) != 16 || iv[0] < 1 || iv[0] > 7 {
			return nil, errors.New("ccm: want an IV of 16 bytes that starts with L-1, 1 to 7")
		}
		return ccmSeal(k.Enc, iv[1:15-iv[0]], assoc, plain, tag)
	case name == "rfc4309(ccm(aes))":
		// The associated data ends with a copy of the IV, which CCM leaves out.
		if len(assoc) < len(iv) || len(iv) != 8 {
			return nil, errors.New("rfc4309: want an IV of 8 bytes at the end of the associated data")
		}
		nonce := append(append([]byte{}, k.Salt...), iv...)
		return ccmSeal(k.Enc, nonce, assoc[:len(assoc)-len(iv)], plain, tag)
	}
	return nil, fmt.Errorf("no reference for %s", name)
}

// ccmSeal is CCM of RFC 3610: M is the size of the tag, L what the nonce leaves
// of 15 bytes.
func ccmSeal(key, nonce, assoc, plain []byte, tag int) ([]byte, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	l := 15 - len(nonce)
	if l < 2 || l > 8 || tag < 4 || tag > 16 || tag%2 != 0 || len(assoc) >= 0xff00 {
		return nil, fmt.Errorf("ccm: nonce of %d, tag of %d, associated data of %d bytes", len(nonce), tag, len(assoc))
	}

	// B_0: flags, nonce, length of the message.
	var block [16]byte
	block[0] = byte((tag-2)/2<<3 | (l - 1))
	if len(assoc) > 0 {
		block[0] |= 1 << 6
	}
	copy(block[1:], nonce)
	for i, n := 15, len(plain); i > len(nonce) && n > 0; i, n = i-1, n>>8 {
		block[i] = byte(n)
	}
	mac := block
	b.Encrypt(mac[:], mac[:])
	absorb := func(data []byte) {
		for len(data) > 0 {
			for i, x := range data[:min(16, len(data))] {
				mac[i] ^= x
			}
			b.Encrypt(mac[:], mac[:])
			data = data[min(16, len(data)):]
		}
	}
	if len(assoc) > 0 {
		absorb(append(binary.BigEndian.AppendUint16(nil, uint16(len(assoc))), assoc...))
	}
	absorb(plain)

	// A_0 masks the tag, A_1 and on encrypt the message.
	counter := [16]byte{0: byte(l - 1)}
	copy(counter[1:], nonce)
	stream := cipher.NewCTR(b, counter[:])
	stream.XORKeyStream(mac[:], mac[:])
	out := make([]byte, len(plain), len(plain)+tag)
	stream.XORKeyStream(out, plain)
	return append(out, mac[:tag]...), nil
}
