package wire

import (
	"encoding/binary"
	"fmt"
)

// Order is the byte order of all integers on the wire: the host's.
var Order = binary.NativeEndian

// Version of the protocol that is described here.
const (
	Major = 0
	Minor = 0
)

// HeaderSize is the length of the encoded Header.
const HeaderSize = 16

// Defaults that hold for a peer that does not say otherwise.
const (
	DefaultMaxXfer = 1 << 20
	DefaultMaxMaps = 65535
	DefaultPgsizes = 4096
)

// Command is what a message asks for.
type Command uint16

const (
	Version            Command = 1
	DMAMap             Command = 2
	DMAUnmap           Command = 3
	DeviceGetInfo      Command = 4
	DeviceGetRegion    Command = 5
	DeviceGetRegionFDs Command = 6
	DeviceGetIRQ       Command = 7
	DeviceSetIRQs      Command = 8
	RegionRead         Command = 9
	RegionWrite        Command = 10
	DMARead            Command = 11 // server to client
	DMAWrite           Command = 12 // server to client
	DeviceReset        Command = 13
	RegionWriteMulti   Command = 15
	DeviceFeature      Command = 16
	MigDataRead        Command = 17
	MigDataWrite       Command = 18
)

var commandNames = [...]string{
	Version: "VERSION", DMAMap: "DMA_MAP", DMAUnmap: "DMA_UNMAP", DeviceGetInfo: "DEVICE_GET_INFO",
	DeviceGetRegion: "DEVICE_GET_REGION_INFO", DeviceGetRegionFDs: "DEVICE_GET_REGION_IO_FDS",
	DeviceGetIRQ: "DEVICE_GET_IRQ_INFO", DeviceSetIRQs: "DEVICE_SET_IRQS",
	RegionRead: "REGION_READ", RegionWrite: "REGION_WRITE", DMARead: "DMA_READ", DMAWrite: "DMA_WRITE",
	DeviceReset: "DEVICE_RESET", RegionWriteMulti: "REGION_WRITE_MULTI", DeviceFeature: "DEVICE_FEATURE",
	MigDataRead: "MIG_DATA_READ", MigDataWrite: "MIG_DATA_WRITE",
}

func (c Command) String() string {
	if int(c) < len(commandNames) && commandNames[c] != "" {
		return commandNames[c]
	}
	return fmt.Sprintf("command %d", uint16(c))
}

// Flags of the Header.
const (
	TypeMask    uint32 = 0xf
	TypeCommand uint32 = 0
	TypeReply   uint32 = 1
	NoReply     uint32 = 1 << 4
	Error       uint32 = 1 << 5
)

// Header begins each message.
type Header struct {
	ID    uint16
	Cmd   Command
	Size  uint32 // of the whole message
	Flags uint32
	Errno uint32 // in a reply with Error
}

// Get decodes the header at the start of b.
func (h *Header) Get(b []byte) {
	_ = b[HeaderSize-1]
	h.ID = Order.Uint16(b)
	h.Cmd = Command(Order.Uint16(b[2:]))
	h.Size = Order.Uint32(b[4:])
	h.Flags = Order.Uint32(b[8:])
	h.Errno = Order.Uint32(b[12:])
}

// Put encodes the header at the start of b.
func (h *Header) Put(b []byte) {
	_ = b[HeaderSize-1]
	Order.PutUint16(b, h.ID)
	Order.PutUint16(b[2:], uint16(h.Cmd))
	Order.PutUint32(b[4:], h.Size)
	Order.PutUint32(b[8:], h.Flags)
	Order.PutUint32(b[12:], h.Errno)
}

// RegionAccess is the fixed part of REGION_READ, REGION_WRITE and their
// replies, and of one write of a REGION_WRITE_MULTI. The data follows.
type RegionAccess struct {
	Offset uint64
	Region uint32
	Count  uint32
}

// Sizes of the fixed parts of payloads.
const (
	RegionAccessSize = 16
	WriteOneSize     = RegionAccessSize + 8 // a write of a REGION_WRITE_MULTI
	DMAAccessSize    = 16
	IRQSetSize       = 20
	IRQInfoSize      = 16
	DeviceInfoSize   = 16
	RegionInfoSize   = 32
	RegionFDsSize    = 16
	FeatureSize      = 8
	MapSize          = 32
	UnmapSize        = 24
	VersionSize      = 4
)

// Get decodes the access at the start of b.
func (a *RegionAccess) Get(b []byte) {
	_ = b[RegionAccessSize-1]
	a.Offset = Order.Uint64(b)
	a.Region = Order.Uint32(b[8:])
	a.Count = Order.Uint32(b[12:])
}

// Put encodes the access at the start of b.
func (a *RegionAccess) Put(b []byte) {
	_ = b[RegionAccessSize-1]
	Order.PutUint64(b, a.Offset)
	Order.PutUint32(b[8:], a.Region)
	Order.PutUint32(b[12:], a.Count)
}

// DMAAccess is the fixed part of DMA_READ, DMA_WRITE and their replies.
type DMAAccess struct {
	Addr  uint64
	Count uint64
}

// Get decodes the access at the start of b.
func (a *DMAAccess) Get(b []byte) {
	_ = b[DMAAccessSize-1]
	a.Addr = Order.Uint64(b)
	a.Count = Order.Uint64(b[8:])
}

// Put encodes the access at the start of b.
func (a *DMAAccess) Put(b []byte) {
	_ = b[DMAAccessSize-1]
	Order.PutUint64(b, a.Addr)
	Order.PutUint64(b[8:], a.Count)
}

// IRQSet is the fixed part of DEVICE_SET_IRQS.
type IRQSet struct {
	Argsz, Flags, Index, Start, Count uint32
}

// Get decodes the request at the start of b.
func (a *IRQSet) Get(b []byte) {
	_ = b[IRQSetSize-1]
	a.Argsz = Order.Uint32(b)
	a.Flags = Order.Uint32(b[4:])
	a.Index = Order.Uint32(b[8:])
	a.Start = Order.Uint32(b[12:])
	a.Count = Order.Uint32(b[16:])
}

// Put encodes the request at the start of b.
func (a *IRQSet) Put(b []byte) {
	for i, v := range [...]uint32{a.Argsz, a.Flags, a.Index, a.Start, a.Count} {
		Order.PutUint32(b[4*i:], v)
	}
}

// The payloads below are set-up messages; they are encoded and decoded with
// Put and Get.

// Map is the payload of DMA_MAP.
type Map struct {
	Argsz, Flags uint32
	Offset       uint64
	Addr, Size   uint64
}

// Unmap is the payload of DMA_UNMAP and of its reply.
type Unmap struct {
	Argsz, Flags uint32
	Addr, Size   uint64
}

// DeviceInfo is the payload of DEVICE_GET_INFO and of its reply.
type DeviceInfo struct {
	Argsz, Flags, NumRegions, NumIRQs uint32
}

// RegionInfo is the payload of DEVICE_GET_REGION_INFO and of its reply.
type RegionInfo struct {
	Argsz, Flags, Index, CapOffset uint32
	Size, Offset                   uint64
}

// RegionFDs is the fixed part of DEVICE_GET_REGION_IO_FDS and of its reply.
type RegionFDs struct {
	Argsz, Flags, Index, Count uint32
}

// IRQInfo is the payload of DEVICE_GET_IRQ_INFO and of its reply.
type IRQInfo struct {
	Argsz, Flags, Index, Count uint32
}

// Feature is the fixed part of DEVICE_FEATURE.
type Feature struct {
	Argsz, Flags uint32
}

// Get decodes a set-up payload from the start of b. It panics if b is too
// short: the caller has checked the length.
func Get[T any](b []byte) (v T) {
	if _, err := binary.Decode(b, Order, &v); err != nil {
		panic(err)
	}
	return v
}

// Put encodes a set-up payload at the start of b and returns its length.
func Put[T any](b []byte, v T) int {
	n, err := binary.Encode(b, Order, v)
	if err != nil {
		panic(err)
	}
	return n
}

// Flags of Map and Unmap.
const (
	MapRead  uint32 = 1 << 0
	MapWrite uint32 = 1 << 1

	UnmapAll uint32 = 1 << 1 // VFIO_DMA_UNMAP_FLAG_ALL; address and size are 0
)

// Flags of DeviceInfo and RegionInfo.
const (
	DeviceFlagReset uint32 = 1 << 0
	DeviceFlagPCI   uint32 = 1 << 1

	RegionFlagRead  uint32 = 1 << 0
	RegionFlagWrite uint32 = 1 << 1
)

// Regions of a PCI device.
const (
	RegionBAR0   = 0
	RegionConfig = 7
	NumRegions   = 9
)

// Interrupt indexes of a PCI device.
const (
	IRQINTx = 0
	NumIRQs = 5
)

// Flags of IRQInfo.
const (
	IRQEventfd    uint32 = 1 << 0
	IRQMaskable   uint32 = 1 << 1
	IRQAutomasked uint32 = 1 << 2
)

// Flags of IRQSet: one of the first three, and one of the last three.
const (
	IRQDataNone      uint32 = 1 << 0
	IRQDataBool      uint32 = 1 << 1
	IRQDataEventfd   uint32 = 1 << 2
	IRQActionMask    uint32 = 1 << 3
	IRQActionUnmask  uint32 = 1 << 4
	IRQActionTrigger uint32 = 1 << 5
)

// Flags of Feature.
const (
	FeatureMask  uint32 = 0xffff
	FeatureGet   uint32 = 1 << 16
	FeatureSet   uint32 = 1 << 17
	FeatureProbe uint32 = 1 << 18
)
