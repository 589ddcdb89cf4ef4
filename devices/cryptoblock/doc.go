// Package cryptoblock is a chip's crypto block: the BAM and the QCE behind it
// in one address window, with one interrupt line for each execution
// environment.
//
// A Block is a deterministic state machine that one party at a time enters. An
// Entry comes in, mostly a register access; pipes, engine and masters make
// small steps in the order that the Scheduler chooses; memory and line levels
// have changed when the call returns. By default the order is the fastest and
// everything happens at once, so nothing can move any more when an access
// returns. With a Timing, faults or a Scheduler of its own an access may leave
// something to happen: it happens with the next, or when none comes for a while
// (IdleEntry).
//
// Beside Linux, the EE of the Profile, there may be Clients: masters inside the
// model, such as the antagonist, or users that come from outside by a Port.
package cryptoblock
