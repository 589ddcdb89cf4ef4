// Package antagonist is the second user of the crypto engine: a driver like
// TrustZone's or the modem's, with an execution environment, a pipe pair,
// memory and keys of its own, which works at the worst moments for Linux.
//
// It acts only through the registers and descriptors that any driver has. Its
// requests are known-answer tests of every algorithm that the engine has; it
// checks each result itself and counts what came out wrong. When it acts, and
// how far it gets before the other side goes on, is a Policy; a Schedule puts
// the policies of all antagonists of a run into practice. Everything is drawn
// by the seed.
package antagonist
