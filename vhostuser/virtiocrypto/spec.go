package virtiocrypto

import (
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/bamclient"
)

var order = binary.LittleEndian

// Services (virtio §5.9.3).
const (
	serviceCipher = 0
	serviceHash   = 1
	serviceMAC    = 2
	serviceAEAD   = 3
)

// Operations of a service; an opcode is service<<8 | operation.
const (
	opEncrypt = 0x00 // also a hash, a MAC
	opDecrypt = 0x01
	opCreate  = 0x02
	opDestroy = 0x03
)

// Status codes (virtio §5.9.7.1).
const (
	statusOK      = 0
	statusErr     = 1
	statusBadMsg  = 2
	statusNotSupp = 3
	statusInvSess = 4
	statusNoSpc   = 5
)

// Parameters of symmetric sessions and requests.
const (
	symCipher = 1 // operation types
	symChain  = 2

	directionEncrypt = 1
	directionDecrypt = 2

	hashThenCipher = 1 // chain orders
	cipherThenHash = 2

	hashModePlain = 1
	hashModeAuth  = 2
)

// ciphers, hashes, macs and aeads are the algorithms by their numbers. What is
// not in them the engine has never heard of.
var (
	ciphers = map[uint32]bamclient.Cipher{
		2: bamclient.AESECB, 3: bamclient.AESCBC, 4: bamclient.AESCTR, 5: bamclient.DESECB, 6: bamclient.DESCBC,
		7: bamclient.TDESECB, 8: bamclient.TDESCBC, 13: bamclient.AESXTS,
	}
	hashes = map[uint32]bamclient.Auth{
		2: bamclient.SHA1, 4: bamclient.SHA256, 5: bamclient.SHA384, 6: bamclient.SHA512,
	}
	macs = map[uint32]bamclient.Auth{
		2: bamclient.HMACSHA1, 4: bamclient.HMACSHA256, 5: bamclient.HMACSHA384, 6: bamclient.HMACSHA512, 26: bamclient.CMACAES,
	}
	aeads = map[uint32]bamclient.Cipher{
		1: bamclient.AESGCM, 2: bamclient.AESCCM,
	}
)

// Sizes of the requests without VIRTIO_CRYPTO_F_REVISION_1: a header, then
// fixed-length fields padded to one length for all opcodes.
const (
	ctrlHeader = 16
	ctrlFixed  = 56
	ctrlSize   = ctrlHeader + ctrlFixed
	dataHeader = 24
	dataFixed  = 48
	dataSize   = dataHeader + dataFixed

	sessionInput = 16 // outcome of a session's creation
)

// The configuration space.
const (
	configSize = 56
	hwReady    = 1 << 0
)
