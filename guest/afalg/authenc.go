package afalg

import "encoding/binary"

// AuthencKey encodes the two keys of an algorithm of the authenc family: a
// routing attribute of type 1 with the length of the cipher's key in big-endian
// order, then the authentication key, then the cipher's key.
func AuthencKey(auth, enc []byte) []byte {
	const (
		keyParam = 1 // CRYPTO_AUTHENC_KEYA_PARAM
		size     = 8 // of the attribute, with its header
	)
	b := binary.NativeEndian.AppendUint16(nil, size)
	b = binary.NativeEndian.AppendUint16(b, keyParam)
	b = binary.BigEndian.AppendUint32(b, uint32(len(enc)))
	b = append(b, auth...)
	return append(b, enc...)
}
