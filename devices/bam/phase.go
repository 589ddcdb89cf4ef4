package bam

// Access says what a pipe's memory access is for.
type Access uint8

const (
	DescriptorAccess Access = iota // fetch or write-back
	ElementAccess                  // a command element, or where a READ element stores
	DataAccess
)

// Access returns what the step that a pipe is making accesses memory for: with it a bus
// can tell descriptors, elements and data apart.
func (b *BAM) Access(pipe int) Access {
	switch b.pipes[pipe].state {
	case command:
		return ElementAccess
	case input, output:
		return DataAccess
	}
	return DescriptorAccess
}

// Waiting returns the pipes that wait because of the pipe lock, one bit each.
func (b *BAM) Waiting() uint32 { return b.lock.waiting }
