// Package model puts a crypto block together with those who watch it: the
// counter of the attestation, the log of findings, and, as a Config asks for
// them, the checker and the oracle, antagonists and faults.
//
// A Config says all of it as data. Two models of one Config that get the same
// input do the same, byte for byte: this is what a recording relies on.
package model
