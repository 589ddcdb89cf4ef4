// Package qcetest drives a crypto engine without a BAM: it makes the register
// writes that the Linux driver makes for a request, in the driver's order
// (datasheet §23), and moves the data through the engine's port.
package qcetest
