package qce

import "github.com/qcemu/qcemu/devices/reading"

// Config is what makes one chip's engine different from another's.
type Config struct {
	Version uint32 // VERSION (datasheet §12)
	Engines uint32 // ENGINES_AVAIL; says which algorithms there are, and how many pipe sets
	GCM     bool   // AES-GCM, which ENGINES_AVAIL does not tell of

	// PipeSetEE is the execution environment that each pipe set belongs to.
	// nil: not known, nothing is checked.
	PipeSetEE []uint8

	// Hardware keys for the key-GO registers; nil: not fused.
	QCKey, OEMKey *[32]byte

	// BufferSize is how many bytes the engine takes at most before it has
	// transformed and delivered some. 0: 16 KiB, at least 64.
	BufferSize int
	// FIFOWords is the depth of each FIFO of the register path, at most 31
	// words. 0: 16 (one burst [I]).
	FIFOWords int

	Readings reading.Selection // of the table Readings; nil: the defaults
	Observer Observer          // nil: none
}

const (
	defaultBuffer = 16 << 10
	minBuffer     = 64
	defaultFIFO   = 16
)

func (c *Config) bufferSize() int {
	if c.BufferSize == 0 {
		return defaultBuffer
	}
	return max(c.BufferSize, minBuffer)
}

func (c *Config) fifoWords() int {
	if c.FIFOWords <= 0 {
		return defaultFIFO
	}
	return min(c.FIFOWords, maxAvail)
}

func (c *Config) pipeSets() int { return int(c.Engines >> pipeSetsShift & pipeSetsMask) }
