package afalg

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// AEAD is an authenticated cipher with a key and a tag size.
type AEAD struct {
	t   *transform
	tag int
}

// NewAEAD opens an AEAD. The key is as the kernel wants it: see AuthencKey for
// the authenc family.
func NewAEAD(name string, key []byte, tagSize int) (*AEAD, error) {
	t, err := open(typeAEAD, name, key)
	if err != nil {
		return nil, err
	}
	err = retry(func() error {
		// The size of the tag is passed as the length of an option that has
		// no value.
		_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(t.fd), unix.SOL_ALG,
			unix.ALG_SET_AEAD_AUTHSIZE, 0, uintptr(tagSize), 0)
		return errnoError(errno)
	})
	if err != nil {
		t.close()
		return nil, t.fail("set tag size", err)
	}
	return &AEAD{t: t, tag: tagSize}, nil
}

// Close releases the algorithm.
func (a *AEAD) Close() error { return a.t.close() }

// Seal encrypts plain and returns the ciphertext followed by the tag, which
// covers assoc too.
func (a *AEAD) Seal(iv, assoc, plain []byte) ([]byte, error) {
	return a.crypt(Encrypt, iv, assoc, plain, len(plain)+a.tag)
}

// Open decrypts what Seal returned. If the tag does not match, the error is
// EBADMSG.
func (a *AEAD) Open(iv, assoc, sealed []byte) ([]byte, error) {
	if len(sealed) < a.tag {
		return nil, a.t.fail("open", fmt.Errorf("%d bytes are shorter than the tag of %d", len(sealed), a.tag))
	}
	return a.crypt(Decrypt, iv, assoc, sealed, len(sealed)-a.tag)
}

// crypt runs one request. Input and output both start with the associated data;
// the kernel takes and gives an AEAD's message as a whole only.
func (a *AEAD) crypt(d Direction, iv, assoc, src []byte, size int) ([]byte, error) {
	r, err := a.t.begin(len(assoc) + max(len(src), size))
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.send(false, controlData(d, iv, len(assoc)), assoc, src); err != nil {
		return nil, err
	}
	dst := make([]byte, len(assoc)+size)
	n, err := r.receive(dst)
	if err != nil {
		return nil, err
	}
	if n != len(dst) {
		return nil, a.t.fail("receive", fmt.Errorf("%d bytes came back, want %d", n, len(dst)))
	}
	return dst[len(assoc):], nil
}
