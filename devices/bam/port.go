package bam

import "github.com/qcemu/qcemu/devices/trace"

// Peripheral is the side of the BAM that the engine is on: one configuration
// port, reached by command elements, and a data port per pipe (datasheet §1,
// §16). All calls are made from inside BAM.Step or a register access; a
// peripheral must not call back into the BAM.
type Peripheral interface {
	// WriteReg writes a register through the configuration port. off is in
	// bytes from the peripheral's register base; mask has a 1 for each bit to
	// be written (datasheet §9).
	WriteReg(by trace.Master, off, val, mask uint32)
	// ReadReg reads a register through the configuration port.
	ReadReg(by trace.Master, off uint32) uint32

	// In returns the space that the next bytes of a consumer pipe are to be
	// put into, empty when the peripheral takes none from this pipe now. Input
	// that the peripheral never makes space for stays in its descriptor, which
	// stays open (datasheet §16.3).
	In(pipe int) []byte
	// Fed says that the first n bytes of the space have been filled; last that
	// their descriptor ends with them, eot that it also has EOT. n is 0 for a
	// descriptor of size 0 with EOT, which comes whether there is space or not.
	Fed(pipe, n int, last, eot bool)

	// Out returns bytes that wait for a producer pipe, and whether the
	// transfer ends with the last of them; (nil, false) when there is nothing.
	Out(pipe int) (p []byte, eot bool)
	// Drained says that the first n bytes of Out have been written to memory;
	// eot that the end of the transfer was taken too, which closes the
	// descriptor. n may be 0 with eot.
	Drained(pipe, n int, eot bool)

	// NWDAck reports whether the peripheral is done with all bytes fed to the
	// consumer pipe: it waits for more of them, or its operation is over
	// (datasheet §5.3, NWD).
	NWDAck(pipe int) bool

	// SetLock tells the peripheral that the pipe owner took (held) or released
	// the BAM's pipe lock (datasheet §8, STATUS2.LOCKED).
	SetLock(owner trace.Master, held bool)

	// Fault tells the peripheral that a transfer of the pipe met a bus error.
	Fault(pipe int)

	// Flush drops what the peripheral holds for a pipe that was reset.
	Flush(pipe int)
}

// RowPeripheral is a Peripheral that can make several register writes at once.
type RowPeripheral interface {
	Peripheral
	// WriteRow makes the first of the writes, all of their bits, and returns
	// how many it has made. It stops before one that has any effect, or is
	// worth any event, beyond that the register keeps the value. Of registers
	// whose values may not be shown it clears the value in the row.
	WriteRow(by trace.Master, row []trace.Write) int
}
