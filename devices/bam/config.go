package bam

import "fmt"

// Remote says who brings the BAM up (§11).
type Remote uint8

const (
	Local              Remote = iota // its driver resets and enables it
	ControlledRemotely               // another EE did already: it comes up enabled
	PoweredRemotely                  // another EE powers it, its driver resets and enables it
)

// Window is where command elements find the peripheral's registers (§9).
type Window struct {
	Base uint32 // physical address, or just its low 24 bits
	Size uint32 // bytes
}

// Config says what a BAM is. It is not changed by anything that software does.
type Config struct {
	Layout     Layout
	Revision   uint8  // BAM_REVISION[7:0]
	SWRevision uint32 // SW_REVISION
	NumPipes   int    // 1 to 31
	NumEEs     int    // 1 to 8
	AddrBits   int    // width of data addresses: 32 (or 0), 36 or 40
	Timers     bool   // has inactivity timers: one for each pipe and a global one

	Remote    Remote
	ControlEE int  // EE whose writes to global and trust registers count, and which gets the global interrupt
	RstBlock  bool // TRUST_REG.RST_BLOCK at power-on

	Owners      []uint8 // owning EE of each pipe; pipes without an entry belong to EE 0
	SuperGroups []uint8 // P_SUP_GROUP of each pipe; 0 without an entry
	VMIDs       []uint8 // P_VMID of each pipe; 0 without an entry

	Window Window
	// Secret reports whether a register of the window, by its offset in bytes,
	// holds key material. Element events show no data of such registers, and
	// none at all without the function.
	Secret func(off uint32) bool

	// InFlight makes the BAM look for descriptors and elements that software changes while
	// they are in flight. It costs a second read of each.
	InFlight bool

	// ReadAhead lets Run read several descriptors and elements at once. The
	// events are the same, the reads of memory are not.
	ReadAhead bool

	Burst    int // most bytes that one step moves; 0: a whole descriptor
	Readings Readings
}

// Validate says what is wrong with a configuration.
func (c *Config) Validate() error {
	switch {
	case c.Layout >= numLayouts:
		return fmt.Errorf("bam: no layout %d", c.Layout)
	case c.NumPipes < 1 || c.NumPipes > MaxPipes:
		return fmt.Errorf("bam: %d pipes: want 1 to %d", c.NumPipes, MaxPipes)
	case c.NumEEs < 1 || c.NumEEs > MaxEEs:
		return fmt.Errorf("bam: %d execution environments: want 1 to %d", c.NumEEs, MaxEEs)
	case c.AddrBits != 0 && c.AddrBits != 32 && c.AddrBits != 36 && c.AddrBits != 40:
		return fmt.Errorf("bam: addresses of %d bits: want 32, 36 or 40", c.AddrBits)
	case c.AddrBits > 32 && c.Layout == V13:
		return fmt.Errorf("bam: addresses of %d bits: layout %v has 32", c.AddrBits, c.Layout)
	case c.ControlEE < 0 || c.ControlEE >= c.NumEEs:
		return fmt.Errorf("bam: controlling EE %d of %d", c.ControlEE, c.NumEEs)
	case c.Window.Size == 0 || c.Window.Size > 1<<18 || c.Window.Size&3 != 0 || c.Window.Base&3 != 0:
		return fmt.Errorf("bam: register window of %#x bytes at %#x: want whole words, at most 256 KiB", c.Window.Size, c.Window.Base)
	case c.Burst < 0:
		return fmt.Errorf("bam: burst of %d bytes", c.Burst)
	case c.Remote > PoweredRemotely:
		return fmt.Errorf("bam: no remote mode %d", c.Remote)
	}
	for i, ee := range c.Owners {
		if i < c.NumPipes && int(ee) >= c.NumEEs {
			return fmt.Errorf("bam: pipe %d belongs to EE %d of %d", i, ee, c.NumEEs)
		}
	}
	return c.Readings.validate()
}

// revision is the value of BAM_REVISION (Part E.1).
func (c *Config) revision() uint32 {
	v := uint32(c.Revision) | uint32(c.NumEEs)<<8
	if c.Layout != V13 {
		v |= revCmdDescEn
	}
	if c.Timers {
		v |= revInactivTmr
	}
	return v
}

// numPipes is the value of BAM_NUM_PIPES.
func (c *Config) numPipes() uint32 {
	v := uint32(c.NumPipes)
	switch c.AddrBits {
	case 36:
		v |= 1 << 14
	case 40:
		v |= 2 << 14
	}
	return v
}

// highMask is which address bits above the low 32 exist.
func (c *Config) highMask() uint32 {
	return 1<<max(c.AddrBits-32, 0) - 1
}

// trust is the power-on value of P_TRUST_REG.
func (c *Config) trust(pipe int) uint32 {
	at := func(s []uint8) uint32 {
		if pipe < len(s) {
			return uint32(s[pipe])
		}
		return 0
	}
	return at(c.Owners)&7 | at(c.SuperGroups)&31<<3 | at(c.VMIDs)&31<<8
}
