package software

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/xts"

	"github.com/qcemu/qcemu/devices/bamclient"
)

// Engine does operations in software. The zero value is ready.
type Engine struct{}

// Supports reports whether Do can do operations of a kind.
func (Engine) Supports(c bamclient.Cipher, keyLen int, a bamclient.Auth) bool {
	return !c.AEAD() && a != bamclient.CMACAES && c.KeyFits(keyLen)
}

// Do does an operation. It does not wait for anything, so there is nothing to
// cancel. It works on a copy of the text.
func (e Engine) Do(op *bamclient.Operation, _ <-chan struct{}) error {
	if !e.Supports(op.Cipher, len(op.Key), op.Auth) {
		return bamclient.ErrUnsupported
	}
	if op.Len > bamclient.MaxLen {
		return bamclient.ErrUnsupported
	}
	text := make([]byte, op.Len)
	if err := op.In.Read(0, text); err != nil {
		return err
	}
	if op.Auth != bamclient.NoAuth && !op.AuthAfter {
		authenticate(op, text)
	}
	if op.Cipher != bamclient.NoCipher {
		if err := crypt(op, text[op.CipherStart:][:op.CipherLen]); err != nil {
			return err
		}
	}
	if op.Auth != bamclient.NoAuth && op.AuthAfter {
		authenticate(op, text)
	}
	if op.Cipher == bamclient.NoCipher {
		return nil
	}
	return op.Out.Write(0, text)
}

var hashes = map[bamclient.Auth]func() hash.Hash{
	bamclient.SHA1: sha1.New, bamclient.SHA256: sha256.New, bamclient.SHA384: sha512.New384, bamclient.SHA512: sha512.New,
	bamclient.HMACSHA1: sha1.New, bamclient.HMACSHA256: sha256.New, bamclient.HMACSHA384: sha512.New384, bamclient.HMACSHA512: sha512.New,
}

func authenticate(op *bamclient.Operation, text []byte) {
	h := hashes[op.Auth]()
	if op.Auth.Keyed() {
		h = hmac.New(hashes[op.Auth], op.AuthKey)
	}
	h.Write(text[op.AuthStart:][:op.AuthLen])
	h.Sum(op.Result[:0])
}

// crypt transforms a text in place.
func crypt(op *bamclient.Operation, text []byte) error {
	if uint32(len(text))%op.Cipher.Block() != 0 || len(op.IV) != op.Cipher.IVLen() {
		return bamclient.ErrUnsupported
	}
	if op.Cipher == bamclient.AESXTS {
		return cryptXTS(op, text)
	}
	b, err := block(op)
	if err != nil {
		return bamclient.ErrUnsupported
	}
	switch op.Cipher {
	case bamclient.AESECB, bamclient.DESECB, bamclient.TDESECB:
		do := b.Decrypt
		if op.Encrypt {
			do = b.Encrypt
		}
		for ; len(text) > 0; text = text[b.BlockSize():] {
			do(text, text)
		}
	case bamclient.AESCTR:
		cipher.NewCTR(b, op.IV).XORKeyStream(text, text)
	default:
		mode := cipher.NewCBCDecrypter(b, op.IV)
		if op.Encrypt {
			mode = cipher.NewCBCEncrypter(b, op.IV)
		}
		mode.CryptBlocks(text, text)
	}
	return nil
}

func block(op *bamclient.Operation) (cipher.Block, error) {
	switch op.Cipher {
	case bamclient.DESECB, bamclient.DESCBC:
		return des.NewCipher(op.Key)
	case bamclient.TDESECB, bamclient.TDESCBC:
		return des.NewTripleDESCipher(op.Key)
	}
	return aes.NewCipher(op.Key)
}

// cryptXTS takes tweaks that are sector numbers, of which Go's package knows the
// lower half.
func cryptXTS(op *bamclient.Operation, text []byte) error {
	c, err := xts.NewCipher(aes.NewCipher, op.Key)
	if err != nil {
		return bamclient.ErrUnsupported
	}
	var sector uint64
	for i, b := range op.IV {
		if i >= 8 && b != 0 {
			return bamclient.ErrUnsupported
		}
		if i < 8 {
			sector |= uint64(b) << (8 * i)
		}
	}
	if len(text) == 0 {
		return nil
	}
	if op.Encrypt {
		c.Encrypt(text, text, sector)
	} else {
		c.Decrypt(text, text, sector)
	}
	return nil
}
