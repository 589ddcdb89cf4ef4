// Package bamclient is a user of the crypto block that lives outside the model
// and is no emulated driver: it has an execution environment, a pipe pair and
// memory of its own, and reaches the engine as every bus master does, through
// the BAM's registers and descriptors. So its requests meet the same lock, the
// same arbitration, the same checks and the same counting as those of Linux and
// of the secure side.
//
// A request is one command list that takes the lock and sets the engine up, the
// data with NWD, and a command that gives the lock back (datasheet §8, §26). The
// result comes in the result dump, so that nothing is read from the engine's
// registers, which may belong to somebody else by then.
package bamclient
