// Package blocktest drives a crypto block as Linux does: both of its drivers'
// ways, register writes by the processor and register writes by command
// descriptors under the pipe lock (datasheet §22 to §24), in the same order,
// without a guest.
package blocktest
