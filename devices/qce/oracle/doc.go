// Package oracle computes what an engine operation must give, from its latched
// configuration and its input, so that an error of the model is never taken for
// an error of the driver.
//
// It works on whole byte strings, as the standards are written, and shares no
// code with the engine beyond the block ciphers of Go's library: it decodes the
// configuration words itself, hashes with its own plain SHA, and does the modes
// by their definitions, or with another library where one has them.
package oracle
