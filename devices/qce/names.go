package qce

// cipherKind is a cipher with its mode.
type cipherKind uint8

const (
	noCipher cipherKind = iota
	aesECB
	aesCBC
	aesCTR
	aesXTS
	aesCCM
	aesGCM
	desECB
	desCBC
	tdesECB
	tdesCBC
	numCiphers
)

// authKind is a hash or a MAC.
type authKind uint8

const (
	noAuth authKind = iota
	sha1Hash
	sha256Hash
	sha384Hash
	sha512Hash
	sha1HMAC
	sha256HMAC
	sha384HMAC
	sha512HMAC
	aesCMAC
	ccmMAC
	gcmMAC
	numAuths
)

func (k authKind) isHMAC() bool { return k >= sha1HMAC && k <= sha512HMAC }
func (k authKind) isSHA() bool  { return k >= sha1Hash && k <= sha512HMAC }

// sha is the index of the hash function.
func (k authKind) sha() int { return int(k-sha1Hash) & 3 }

var cipherNames = [numCiphers]string{
	aesECB: "ecb-aes", aesCBC: "cbc-aes", aesCTR: "ctr-aes", aesXTS: "xts-aes", aesCCM: "ccm-aes", aesGCM: "gcm-aes",
	desECB: "ecb-des", desCBC: "cbc-des", tdesECB: "ecb-des3_ede", tdesCBC: "cbc-des3_ede",
}

var authNames = [numAuths]string{
	sha1Hash: "sha1", sha256Hash: "sha256", sha384Hash: "sha384", sha512Hash: "sha512",
	sha1HMAC: "hmac-sha1", sha256HMAC: "hmac-sha256", sha384HMAC: "hmac-sha384", sha512HMAC: "hmac-sha512",
	aesCMAC: "cmac-aes", ccmMAC: "ccm-aes", gcmMAC: "gcm-aes",
}

// opNames is the canonical name of each combination (trace.Op.Alg), made once
// so that naming an operation does not allocate.
var opNames = func() (t [numCiphers][numAuths]string) {
	for c := range numCiphers {
		for a := range numAuths {
			switch {
			case a == noAuth || c == aesCCM || c == aesGCM:
				t[c][a] = cipherNames[c]
			case c == noCipher:
				t[c][a] = authNames[a]
			default:
				t[c][a] = "authenc-" + authNames[a] + "-" + cipherNames[c]
			}
		}
	}
	return t
}()

// block is the cipher's block in bytes; 1 where any length will do.
func (k cipherKind) block() uint32 {
	switch k {
	case aesECB, aesCBC, aesXTS:
		return 16
	case desECB, desCBC, tdesECB, tdesCBC:
		return 8
	}
	return 1
}

func (k cipherKind) isAEAD() bool { return k == aesCCM || k == aesGCM }
