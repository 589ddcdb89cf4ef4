package vfiouser

import (
	"encoding/binary"
	"sync/atomic"
)

// Offsets and bits of a type 0 header (PCI Local Bus Specification 3.0, §6).
const (
	configSize = 256

	cfgVendorID  = 0x00
	cfgDeviceID  = 0x02
	cfgCommand   = 0x04
	cfgStatus    = 0x06
	cfgRevision  = 0x08 // revision, then 24 bits of class code
	cfgCacheLine = 0x0c
	cfgBAR0      = 0x10
	cfgSubVendor = 0x2c
	cfgSubID     = 0x2e
	cfgIntLine   = 0x3c
	cfgIntPin    = 0x3d

	cmdMemory      = 1 << 1
	cmdMaster      = 1 << 2
	cmdParity      = 1 << 6
	cmdSERR        = 1 << 8
	cmdINTxDisable = 1 << 10

	statusINTx = 1 << 3

	pinINTA = 1
)

// config is the configuration space. QEMU shows the guest its own copy of the
// BARs and forwards the rest; writes reach us as the guest makes them.
type config struct {
	b    [configSize]byte
	mask [configSize]byte // bits that software can write
	id   PCI
	bar  uint64

	level *atomic.Bool // of the INTx line, for STATUS
}

func newConfig(id PCI, barSize uint64, level *atomic.Bool) *config {
	c := &config{id: id, bar: barSize, level: level}
	binary.LittleEndian.PutUint16(c.mask[cfgCommand:], cmdMemory|cmdMaster|cmdParity|cmdSERR|cmdINTxDisable)
	c.mask[cfgCacheLine] = 0xff
	binary.LittleEndian.PutUint32(c.mask[cfgBAR0:], ^uint32(barSize-1))
	c.mask[cfgIntLine] = 0xff
	c.reset()
	return c
}

// reset restores the values after a function reset.
func (c *config) reset() {
	le := binary.LittleEndian
	c.b = [configSize]byte{}
	le.PutUint16(c.b[cfgVendorID:], c.id.VendorID)
	le.PutUint16(c.b[cfgDeviceID:], c.id.DeviceID)
	le.PutUint32(c.b[cfgRevision:], c.id.Class<<8|uint32(c.id.Revision))
	le.PutUint16(c.b[cfgSubVendor:], c.id.SubsystemVendor)
	le.PutUint16(c.b[cfgSubID:], c.id.SubsystemID)
	c.b[cfgIntPin] = pinINTA
	// BAR0 is 0: a 32-bit memory BAR, not prefetchable.
}

// read and write access any run of bytes inside the space.
func (c *config) read(off uint64, p []byte) {
	status := c.b[cfgStatus] &^ statusINTx
	if c.level.Load() {
		status |= statusINTx
	}
	c.b[cfgStatus] = status
	copy(p, c.b[off:])
}

func (c *config) write(off uint64, p []byte) {
	for i, v := range p {
		m := c.mask[off+uint64(i)]
		b := &c.b[off+uint64(i)]
		*b = *b&^m | v&m
	}
}

// intxDisabled is COMMAND.INTx Disable: the function must not assert its line.
func (c *config) intxDisabled() bool {
	return binary.LittleEndian.Uint16(c.b[cfgCommand:])&cmdINTxDisable != 0
}
