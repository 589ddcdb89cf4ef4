package wire

import "encoding/binary"

// VringState is the payload of most vring messages. For a packed ring, Num of
// SET_VRING_BASE and GET_VRING_BASE holds two positions: the next available
// descriptor in the lower half, the next used one in the upper, each 15 bits
// and a wrap counter.
type VringState struct {
	Index, Num uint32
}

// VringAddr is the payload of SET_VRING_ADDR. The ring's parts are user
// addresses, the log address is a guest address.
type VringAddr struct {
	Index, Flags                 uint32
	Descriptor, Used, Avail, Log uint64
}

// VringLog is the flag of VringAddr that asks for the used ring to be logged.
const VringLog = 1 << 0

// Vring numbers that come with a file descriptor (SET_VRING_KICK, CALL, ERR).
const (
	VringIndexMask = 0xff
	VringNoFD      = 1 << 8
)

// Region describes one memory region.
type Region struct {
	GuestAddr, Size, UserAddr, Offset uint64
}

// MaxRegions is the number of regions of a SET_MEM_TABLE.
const MaxRegions = 8

// MemTable begins the payload of SET_MEM_TABLE; Count regions follow.
type MemTable struct {
	Count, _ uint32
}

// OneRegion is the payload of ADD_MEM_REG and REM_MEM_REG.
type OneRegion struct {
	_ uint64
	Region
}

// Log is the payload of SET_LOG_BASE.
type Log struct {
	Size, Offset uint64
}

// Config begins the payload of GET_CONFIG and SET_CONFIG; Size bytes follow.
type Config struct {
	Offset, Size, Flags uint32
}

// MaxConfig is the most of the device's configuration space in one message.
const MaxConfig = 256

// ConfigMigration is the value of Config.Flags that lets fields be written which
// are read-only for the driver.
const ConfigMigration = 1

// Inflight is the payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD. QEMU sends it
// padded to a multiple of eight bytes.
type Inflight struct {
	MapSize, MapOffset uint64
	Queues, QueueSize  uint16
}

// Sizes of the payloads.
const (
	U64Size        = 8
	VringStateSize = 8
	VringAddrSize  = 40
	RegionSize     = 32
	MemTableSize   = 8
	OneRegionSize  = 8 + RegionSize
	LogSize        = 16
	ConfigSize     = 12
	InflightSize   = 20
	InflightPadded = 24
)

// Get decodes a payload, which is long enough.
func Get[T any](b []byte) (v T) {
	if _, err := binary.Decode(b, Order, &v); err != nil {
		panic(err) // a row of the message table is wrong
	}
	return v
}

// Put encodes a payload and returns its length.
func Put(b []byte, v any) int {
	n, err := binary.Encode(b, Order, v)
	if err != nil {
		panic(err)
	}
	return n
}
