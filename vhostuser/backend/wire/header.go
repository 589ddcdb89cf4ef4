package wire

import (
	"encoding/binary"
	"fmt"
)

// Order is the byte order of the messages.
var Order = binary.NativeEndian

// HeaderSize is the size of the header that every message begins with.
const HeaderSize = 12

// Bits of Header.Flags.
const (
	Version     = 1 // of the protocol, in the lowest two bits
	VersionMask = 3
	Reply       = 1 << 2
	NeedReply   = 1 << 3
)

// Header begins every message, in both directions and on both channels.
type Header struct {
	Request Request
	Flags   uint32
	Size    uint32 // of the payload
}

// Get reads the header from the first bytes of b.
func (h *Header) Get(b []byte) {
	h.Request = Request(Order.Uint32(b))
	h.Flags = Order.Uint32(b[4:])
	h.Size = Order.Uint32(b[8:])
}

// Put writes the header to the first bytes of b.
func (h *Header) Put(b []byte) {
	Order.PutUint32(b, uint32(h.Request))
	Order.PutUint32(b[4:], h.Flags)
	Order.PutUint32(b[8:], h.Size)
}

// Request is a front-end's message type.
type Request uint32

const (
	GetFeatures         Request = 1
	SetFeatures         Request = 2
	SetOwner            Request = 3
	ResetOwner          Request = 4
	SetMemTable         Request = 5
	SetLogBase          Request = 6
	SetLogFD            Request = 7
	SetVringNum         Request = 8
	SetVringAddr        Request = 9
	SetVringBase        Request = 10
	GetVringBase        Request = 11
	SetVringKick        Request = 12
	SetVringCall        Request = 13
	SetVringErr         Request = 14
	GetProtocolFeatures Request = 15
	SetProtocolFeatures Request = 16
	GetQueueNum         Request = 17
	SetVringEnable      Request = 18
	SendRARP            Request = 19
	NetSetMTU           Request = 20
	SetBackendReqFD     Request = 21
	IOTLBMsg            Request = 22
	SetVringEndian      Request = 23
	GetConfig           Request = 24
	SetConfig           Request = 25
	CreateCryptoSession Request = 26
	CloseCryptoSession  Request = 27
	PostcopyAdvise      Request = 28
	PostcopyListen      Request = 29
	PostcopyEnd         Request = 30
	GetInflightFD       Request = 31
	SetInflightFD       Request = 32
	GPUSetSocket        Request = 33
	ResetDevice         Request = 34
	VringKick           Request = 35
	GetMaxMemSlots      Request = 36
	AddMemReg           Request = 37
	RemMemReg           Request = 38
	SetStatus           Request = 39
	GetStatus           Request = 40
	GetSharedObject     Request = 41
	SetDeviceStateFD    Request = 42
	CheckDeviceState    Request = 43

	NumRequests = 44
)

var requestNames = [NumRequests]string{
	GetFeatures: "GET_FEATURES", SetFeatures: "SET_FEATURES", SetOwner: "SET_OWNER", ResetOwner: "RESET_OWNER",
	SetMemTable: "SET_MEM_TABLE", SetLogBase: "SET_LOG_BASE", SetLogFD: "SET_LOG_FD", SetVringNum: "SET_VRING_NUM",
	SetVringAddr: "SET_VRING_ADDR", SetVringBase: "SET_VRING_BASE", GetVringBase: "GET_VRING_BASE",
	SetVringKick: "SET_VRING_KICK", SetVringCall: "SET_VRING_CALL", SetVringErr: "SET_VRING_ERR",
	GetProtocolFeatures: "GET_PROTOCOL_FEATURES", SetProtocolFeatures: "SET_PROTOCOL_FEATURES",
	GetQueueNum: "GET_QUEUE_NUM", SetVringEnable: "SET_VRING_ENABLE", SendRARP: "SEND_RARP", NetSetMTU: "NET_SET_MTU",
	SetBackendReqFD: "SET_BACKEND_REQ_FD", IOTLBMsg: "IOTLB_MSG", SetVringEndian: "SET_VRING_ENDIAN",
	GetConfig: "GET_CONFIG", SetConfig: "SET_CONFIG", CreateCryptoSession: "CREATE_CRYPTO_SESSION",
	CloseCryptoSession: "CLOSE_CRYPTO_SESSION", PostcopyAdvise: "POSTCOPY_ADVISE", PostcopyListen: "POSTCOPY_LISTEN",
	PostcopyEnd: "POSTCOPY_END", GetInflightFD: "GET_INFLIGHT_FD", SetInflightFD: "SET_INFLIGHT_FD",
	GPUSetSocket: "GPU_SET_SOCKET", ResetDevice: "RESET_DEVICE", VringKick: "VRING_KICK",
	GetMaxMemSlots: "GET_MAX_MEM_SLOTS", AddMemReg: "ADD_MEM_REG", RemMemReg: "REM_MEM_REG", SetStatus: "SET_STATUS",
	GetStatus: "GET_STATUS", GetSharedObject: "GET_SHARED_OBJECT", SetDeviceStateFD: "SET_DEVICE_STATE_FD",
	CheckDeviceState: "CHECK_DEVICE_STATE",
}

func (r Request) String() string {
	if r < NumRequests && requestNames[r] != "" {
		return requestNames[r]
	}
	return fmt.Sprintf("request %d", uint32(r))
}

// Messages of the back-end, on its own channel. They have the same header.
const (
	BackendConfigChange Request = 2
	BackendVringCall    Request = 4
	BackendVringErr     Request = 5
)

// FeatureProtocol is VHOST_USER_F_PROTOCOL_FEATURES, a bit that virtio leaves
// unused; FeatureLogAll is VHOST_F_LOG_ALL.
const (
	FeatureLogAll   = 1 << 26
	FeatureProtocol = 1 << 30
)

// Protocol feature bits.
const (
	ProtocolMQ                = 1 << 0
	ProtocolLogShmFD          = 1 << 1
	ProtocolReplyAck          = 1 << 3
	ProtocolBackendReq        = 1 << 5
	ProtocolCryptoSession     = 1 << 7
	ProtocolConfig            = 1 << 9
	ProtocolInflightShmFD     = 1 << 12
	ProtocolResetDevice       = 1 << 13
	ProtocolInbandNotify      = 1 << 14
	ProtocolConfigureMemSlots = 1 << 15
	ProtocolStatus            = 1 << 16
)
