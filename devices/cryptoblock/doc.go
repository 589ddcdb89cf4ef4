// Package cryptoblock is a chip's crypto block: the BAM and the QCE behind it
// in one address window, with one interrupt line for each execution
// environment.
//
// A Block is a deterministic state machine that one party at a time enters. A
// register access comes in; pipes and engine make their small steps until
// nothing can move; memory and line levels have changed when the call returns.
package cryptoblock
