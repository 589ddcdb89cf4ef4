package record

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"runtime/debug"
	"time"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/rulebook"
)

// magic begins a file. Its control characters do not survive a transfer as
// text. The byte behind it is the format's version.
const (
	magic   = "QCREC\r\n\x1a"
	version = 1
)

// Types of chunks.
const (
	headChunk = 'H' // JSON of Header; the first
	dataChunk = 'D' // records
	tailChunk = 'T' // JSON of tail; the last, missing when the run died
)

// Limits of a chunk. A reader holds one at a time.
const (
	chunkSize   = 128 << 10 // a chunk is closed when it is this long
	maxAccess   = 512 << 10 // bytes of one memory access
	maxRaw      = 1 << 20
	maxHead     = 256 << 10
	maxSuite    = 256 // bytes of a suite's name
	chunkPrefix = 1 + 2*10 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what was recorded. It is all that a model has to be made of.
type Header struct {
	Tool     string       `json:"tool"`             // the version that recorded it
	Recorded time.Time    `json:"recorded"`         // when it began
	Origin   string       `json:"origin,omitempty"` // in words: driver, kernel, QEMU
	Chip     string       `json:"chip"`             // model.Config.Chip at the time
	Rules    string       `json:"rules"`            // fingerprint of the rules that findings could be of
	Shrunk   string       `json:"shrunk,omitempty"` // the finding that it was shrunk to
	Config   model.Config `json:"config"`
}

// NewHeader returns the header of a recording that begins now.
func NewHeader(c model.Config, origin string) Header {
	return Header{Tool: toolVersion(), Recorded: time.Now().UTC().Truncate(time.Second), Origin: origin, Chip: c.Chip(), Rules: rules(), Config: c}
}

// rules is a fingerprint of the rules that there are.
func rules() string {
	h := sha256.New()
	for _, r := range rulebook.Rules() {
		fmt.Fprintln(h, r.ID)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// toolVersion names the program's version as Go stamped it.
func toolVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "qcemu"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "qcemu " + s.Value[:min(12, len(s.Value))]
		}
	}
	return "qcemu " + info.Main.Version
}

// tail is what is known when the run is over.
type tail struct {
	Entries uint64 `json:"entries"`
	Digest  string `json:"digest"` // model.Model.Digest
}

// kind says what a record is: the low half of its first byte. The high half
// has flags.
type kind uint8

const (
	readRec  kind = iota + 1 // an entry: a load
	writeRec                 // a store
	resetRec                 // power-on reset
	idleRec                  // no access comes for the moment
	leaveRec                 // the entry is over
	fetchRec                 // a pipe has read memory
	faultRec                 // a pipe's access has failed
	suiteRec                 // what follows belongs to a suite
	endRec                   // the books were closed
	timeRec                  // milliseconds since the recording began
	numKinds
)

// Flags of a record.
const (
	otherEE   = 0x10 // entries: a byte with the EE follows; else it is Linux's
	otherSize = 0x20 // loads and stores: a byte with the size follows; else it is 4
	hasValue  = 0x10 // leave: the value of a load follows
	hasWrites = 0x20 // leave: pipes have written memory; their number and a checksum follow
	onWrite   = 0x10 // fault: of a write
)

// rec is a decoded record. Which fields are set depends on its kind.
type rec struct {
	kind   kind
	entry  cryptoblock.Entry // entries; of a load without the value
	value  uint64            // leave: of a load; time: ms
	writes uint64            // leave: writes to memory that succeeded; fault of a write: those before it, in this entry
	sum    uint32            // leave: CRC-32C of all that was written, addresses included
	pipe   int
	addr   uint64
	size   int
	write  bool // fault
	reason bus.Reason
	data   []byte // fetch; valid until the next record is read
	suite  string
}

// Addresses of a pipe's accesses follow each other, apart for descriptors,
// elements and data. A record has only the distance to where the last one of
// the kind ended.
type predictor [32][3]uint64

func class(size int) int {
	switch size {
	case 8:
		return 0
	case 16:
		return 1
	}
	return 2
}

// next returns where the next access of a pipe is expected.
func (p *predictor) next(pipe, size int) *uint64 { return &p[pipe&31][class(size)] }
