package wire

// The payload of CREATE_CRYPTO_SESSION is a structure of QEMU's, with the
// layout that a C compiler gives it on a 64-bit machine, two dead pointers
// included. QEMU 8.1 changed it when asymmetric sessions came in; the length
// tells which one it is. The reply is the same structure with the session ID
// set, negative for a failure.
const (
	CryptoSessionSize    = 1072 // QEMU 8.1 and later
	OldCryptoSessionSize = 632

	maxCipherKey = 64
	maxAuthKey   = 512
)

// CryptoSession is a symmetric session as CREATE_CRYPTO_SESSION describes it.
// The numbers are those of virtio-crypto (virtio 1.3, §5.9).
type CryptoSession struct {
	OpCode        uint64 // create-session opcode of the service; 0 from a QEMU before 8.1
	CipherAlg     uint32
	CipherKeyLen  uint32
	HashAlg       uint32
	HashResultLen uint32
	AuthKeyLen    uint32
	AADLen        uint32
	OpType        uint8
	Direction     uint8
	HashMode      uint8
	ChainOrder    uint8

	CipherKey [maxCipherKey]byte
	AuthKey   [maxAuthKey]byte
}

// Places in the structure.
const (
	newSym, newID = 8, CryptoSessionSize - 8
	oldSym, oldID = 8, 0
	symKey        = 48 // behind seven words and two pointers
)

// GetCryptoSession reads the session from a payload. It reports false if the
// payload has neither length, or key lengths that do not fit.
func GetCryptoSession(b []byte, s *CryptoSession) bool {
	*s = CryptoSession{}
	sym := newSym
	switch len(b) {
	case CryptoSessionSize:
		s.OpCode = Order.Uint64(b)
	case OldCryptoSessionSize:
		sym = oldSym
	default:
		return false
	}
	p := b[sym:]
	for i, v := range []*uint32{&s.CipherAlg, &s.CipherKeyLen, &s.HashAlg, &s.HashResultLen, &s.AuthKeyLen, &s.AADLen} {
		*v = Order.Uint32(p[4*i:])
	}
	s.OpType, s.Direction, s.HashMode, s.ChainOrder = p[24], p[25], p[26], p[27]
	copy(s.CipherKey[:], p[symKey:])
	copy(s.AuthKey[:], p[symKey+maxCipherKey:])
	return s.CipherKeyLen <= maxCipherKey && s.AuthKeyLen <= maxAuthKey
}

// PutCryptoSession writes the session to a payload of either length.
func PutCryptoSession(b []byte, s *CryptoSession) {
	sym := oldSym
	if len(b) == CryptoSessionSize {
		sym = newSym
		Order.PutUint64(b, s.OpCode)
	}
	p := b[sym:]
	for i, v := range []uint32{s.CipherAlg, s.CipherKeyLen, s.HashAlg, s.HashResultLen, s.AuthKeyLen, s.AADLen} {
		Order.PutUint32(p[4*i:], v)
	}
	p[24], p[25], p[26], p[27] = s.OpType, s.Direction, s.HashMode, s.ChainOrder
	copy(p[symKey:], s.CipherKey[:])
	copy(p[symKey+maxCipherKey:], s.AuthKey[:])
}

// PutSessionID sets the session ID of a payload.
func PutSessionID(b []byte, id int64) {
	at := oldID
	if len(b) == CryptoSessionSize {
		at = newID
	}
	Order.PutUint64(b[at:], uint64(id))
}

// SessionID returns the session ID of a payload.
func SessionID(b []byte) int64 {
	at := oldID
	if len(b) == CryptoSessionSize {
		at = newID
	}
	return int64(Order.Uint64(b[at:]))
}
