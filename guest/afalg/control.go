package afalg

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Direction says what a cipher or an AEAD does with its input.
type Direction uint32

const (
	Decrypt Direction = unix.ALG_OP_DECRYPT
	Encrypt Direction = unix.ALG_OP_ENCRYPT
)

func (d Direction) String() string {
	if d == Encrypt {
		return "encrypt"
	}
	return "decrypt"
}

// controlData encodes the control messages that begin a request: the direction,
// the IV if there is one, and the length of the associated data for an AEAD
// (negative: not an AEAD).
func controlData(d Direction, iv []byte, assoc int) []byte {
	b := appendControl(nil, unix.ALG_SET_OP, word(uint32(d)))
	if len(iv) > 0 {
		// struct af_alg_iv: the length, then the IV itself.
		b = appendControl(b, unix.ALG_SET_IV, append(word(uint32(len(iv))), iv...))
	}
	if assoc >= 0 {
		b = appendControl(b, unix.ALG_SET_AEAD_ASSOCLEN, word(uint32(assoc)))
	}
	return b
}

func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// appendControl appends one control message of level SOL_ALG, padded to where
// the next one starts.
func appendControl(b []byte, kind uint32, data []byte) []byte {
	start := len(b)
	if unix.SizeofCmsghdr == 16 { // struct cmsghdr starts with a size_t
		b = binary.NativeEndian.AppendUint64(b, uint64(unix.CmsgLen(len(data))))
	} else {
		b = binary.NativeEndian.AppendUint32(b, uint32(unix.CmsgLen(len(data))))
	}
	b = binary.NativeEndian.AppendUint32(b, unix.SOL_ALG)
	b = binary.NativeEndian.AppendUint32(b, kind)
	b = append(b, data...)
	return append(b, make([]byte, start+unix.CmsgSpace(len(data))-len(b))...)
}
