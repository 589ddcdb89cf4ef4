// Package bamtest has what a test of a BAM, or of something built on one, needs around
// it: memory, an interrupt line, an event recorder, peripherals, and a driver for one
// pipe.
package bamtest
