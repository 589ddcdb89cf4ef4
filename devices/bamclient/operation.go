package bamclient

import "errors"

// Cipher is a cipher with its mode.
type Cipher uint8

const (
	NoCipher Cipher = iota
	AESECB
	AESCBC
	AESCTR
	AESXTS
	DESECB
	DESCBC
	TDESECB
	TDESCBC
	AESCCM
	AESGCM
)

var cipherNames = [...]string{"none", "ecb-aes", "cbc-aes", "ctr-aes", "xts-aes", "ecb-des", "cbc-des", "ecb-3des", "cbc-3des", "ccm-aes", "gcm-aes"}

func (c Cipher) String() string { return cipherNames[int(c)%len(cipherNames)] }

// AEAD reports whether the cipher authenticates too.
func (c Cipher) AEAD() bool { return c == AESCCM || c == AESGCM }

// Block returns the length that the text is a multiple of.
func (c Cipher) Block() uint32 {
	switch c {
	case AESECB, AESCBC, AESXTS:
		return 16
	case DESECB, DESCBC, TDESECB, TDESCBC:
		return 8
	}
	return 1
}

// IVLen returns the length of the IV, or of the first counter or tweak; 0 if the
// mode has none. AEADs have several.
func (c Cipher) IVLen() int {
	switch c {
	case AESCBC, AESCTR, AESXTS:
		return 16
	case DESCBC, TDESCBC:
		return 8
	}
	return 0
}

// MinKey returns the length of the shortest key.
func (c Cipher) MinKey() int {
	for n := range 64 {
		if c.KeyFits(n) {
			return n
		}
	}
	return 0
}

// KeyFits reports whether the cipher has keys of n bytes. XTS has both halves in
// one key.
func (c Cipher) KeyFits(n int) bool {
	switch c {
	case AESECB, AESCBC, AESCTR, AESCCM, AESGCM:
		return n == 16 || n == 24 || n == 32
	case AESXTS:
		return n == 32 || n == 64
	case DESECB, DESCBC:
		return n == 8
	case TDESECB, TDESCBC:
		return n == 24
	}
	return n == 0
}

// Auth is a hash function or a MAC.
type Auth uint8

const (
	NoAuth Auth = iota
	SHA1
	SHA256
	SHA384
	SHA512
	HMACSHA1
	HMACSHA256
	HMACSHA384
	HMACSHA512
	CMACAES
)

var authNames = [...]string{"none", "sha1", "sha256", "sha384", "sha512", "hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", "cmac-aes"}

func (a Auth) String() string { return authNames[int(a)%len(authNames)] }

// Keyed reports whether it is a MAC.
func (a Auth) Keyed() bool { return a >= HMACSHA1 }

// hash returns the hash function of an HMAC.
func (a Auth) hash() Auth {
	if a >= HMACSHA1 && a <= HMACSHA512 {
		return a - HMACSHA1 + SHA1
	}
	return a
}

// Size returns the length of the digest or MAC in bytes.
func (a Auth) Size() int {
	return [...]int{0, 20, 32, 48, 64, 20, 32, 48, 64, 16}[a]
}

// Data is where an operation's data lies. Reads and writes go forward, and may
// be repeated.
type Data interface {
	Read(off uint64, p []byte) error
	Write(off uint64, p []byte) error
}

// Operation is a request to the engine, on Len bytes of text.
type Operation struct {
	Cipher  Cipher // NoCipher: digest or MAC alone
	Encrypt bool
	Key     []byte // XTS: both halves
	IV      []byte // as the standards have it: an XTS tweak is little-endian

	Auth      Auth // with an AEAD NoAuth
	AuthKey   []byte
	AuthAfter bool // over what the cipher puts out; else over what it takes in

	In  Data // the text
	Out Data // all of the text with the cipher's part transformed; unless NoCipher
	Len uint32

	// The parts of the text. For AEADs both are all of it.
	CipherStart, CipherLen uint32
	AuthStart, AuthLen     uint32

	AAD    Data // of an AEAD
	AADLen uint32
	TagLen int // of an AEAD

	// Result is the digest, the MAC or the tag. For AEAD decryption it is the
	// tag that is expected.
	Result [64]byte
}

// Errors of an operation.
var (
	// ErrUnsupported: the engine cannot do it.
	ErrUnsupported = errors.New("operation not supported by the engine")
	// ErrCanceled: the caller did not want to wait any longer, and nothing was done.
	ErrCanceled = errors.New("operation canceled")
	// ErrTag: an AEAD's tag is wrong. The text is in Out nevertheless.
	ErrTag = errors.New("authentication failed")
	// ErrFailed: the engine has reported an error.
	ErrFailed = errors.New("the engine failed")
)

// MaxLen is the longest text, and the longest associated data.
const MaxLen = 32 << 20
