package virtiocrypto

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"

	"github.com/qcemu/qcemu/devices/bamclient"
)

const (
	maxCipherKey = 64  // XTS with 256 bits
	maxAuthKey   = 512 // as a message can have it
	macKey       = 128 // as a session keeps it: a block of SHA-512
)

// session is what a request refers to by an ID.
type session struct {
	id        uint64 // 0: there is none
	service   uint8
	cipher    bamclient.Cipher
	auth      bamclient.Auth
	encrypt   bool
	chain     bool
	authAfter bool
	tagLen    uint8
	resultLen uint8
	keyLen    uint8
	authLen   uint8
	key       [maxCipherKey]byte
	authKey   [macKey]byte
}

// parameters describe a session to be created, as messages and control requests
// have them.
type parameters struct {
	service   uint32
	opType    uint32 // of the cipher service
	algo      uint32
	direction uint32
	key       []byte
	order     uint32 // of a chain
	hashMode  uint32
	hashAlgo  uint32 // of a chain, hash or MAC
	resultLen uint32 // 0: all of it
	authKey   []byte
	tagLen    uint32 // of an AEAD
}

// status is an error with the code that the driver gets.
type status uint8

func (s status) Error() string {
	return [...]string{"ok", "error", "authentication failed", "not supported", "no such session", "no room for a session"}[s]
}

// session makes the session that parameters describe.
func (p *parameters) session(supports func(bamclient.Cipher, int, bamclient.Auth) bool) (s session, err error) {
	s.service = uint8(p.service)
	switch p.service {
	case serviceCipher:
		err = p.symmetric(&s)
	case serviceHash:
		s.auth = hashes[p.hashAlgo]
	case serviceMAC:
		err = p.mac(&s)
	case serviceAEAD:
		err = p.aead(&s)
	default:
		return s, status(statusNotSupp)
	}
	switch {
	case err != nil:
		return s, err
	case s.cipher == bamclient.NoCipher && s.auth == bamclient.NoAuth, !supports(s.cipher, int(s.keyLen), s.auth):
		return s, status(statusNotSupp)
	}
	return s, p.result(&s)
}

// result sets the length of a digest or MAC.
func (p *parameters) result(s *session) error {
	size := uint32(s.auth.Size())
	if p.resultLen > size {
		return status(statusErr)
	}
	s.resultLen = uint8(size)
	if p.resultLen > 0 {
		s.resultLen = uint8(p.resultLen)
	}
	return nil
}

func (p *parameters) symmetric(s *session) error {
	s.cipher = ciphers[p.algo]
	if s.cipher == bamclient.NoCipher {
		return status(statusNotSupp)
	}
	if err := p.cipherKey(s); err != nil {
		return err
	}
	switch p.opType {
	case symCipher:
		return nil
	case symChain:
		return p.chain(s)
	}
	return status(statusNotSupp)
}

func (p *parameters) cipherKey(s *session) error {
	if p.direction != directionEncrypt && p.direction != directionDecrypt || !s.cipher.KeyFits(len(p.key)) {
		return status(statusErr)
	}
	s.encrypt = p.direction == directionEncrypt
	s.keyLen = uint8(copy(s.key[:], p.key))
	return nil
}

func (p *parameters) chain(s *session) error {
	if p.order != hashThenCipher && p.order != cipherThenHash {
		return status(statusErr)
	}
	s.chain, s.authAfter = true, p.order == cipherThenHash
	switch p.hashMode {
	case hashModePlain:
		s.auth = hashes[p.hashAlgo]
	case hashModeAuth:
		if err := p.mac(s); err != nil {
			return err
		}
	}
	if s.auth == bamclient.NoAuth || s.auth == bamclient.CMACAES {
		return status(statusNotSupp)
	}
	return nil
}

// mac takes the key of a MAC. HMAC's keys that are longer than a block are
// hashed here (RFC 2104 §2).
func (p *parameters) mac(s *session) error {
	s.auth = macs[p.hashAlgo]
	key := p.authKey
	var short [sha512.Size]byte
	switch s.auth {
	case bamclient.NoAuth:
		return status(statusNotSupp)
	case bamclient.CMACAES:
		if !bamclient.AESECB.KeyFits(len(key)) {
			return status(statusErr)
		}
	case bamclient.HMACSHA1:
		if len(key) > sha1.BlockSize {
			d := sha1.Sum(key)
			key = append(short[:0], d[:]...)
		}
	case bamclient.HMACSHA256:
		if len(key) > sha256.BlockSize {
			d := sha256.Sum256(key)
			key = append(short[:0], d[:]...)
		}
	case bamclient.HMACSHA384:
		if len(key) > sha512.BlockSize {
			d := sha512.Sum384(key)
			key = append(short[:0], d[:]...)
		}
	case bamclient.HMACSHA512:
		if len(key) > sha512.BlockSize {
			d := sha512.Sum512(key)
			key = append(short[:0], d[:]...)
		}
	}
	s.authLen = uint8(copy(s.authKey[:], key))
	clear(short[:])
	return nil
}

func (p *parameters) aead(s *session) error {
	s.cipher = aeads[p.algo]
	if s.cipher == bamclient.NoCipher {
		return status(statusNotSupp)
	}
	if p.tagLen < 4 || p.tagLen > 16 || s.cipher == bamclient.AESCCM && p.tagLen%2 != 0 {
		return status(statusErr)
	}
	s.tagLen = uint8(p.tagLen)
	return p.cipherKey(s)
}
