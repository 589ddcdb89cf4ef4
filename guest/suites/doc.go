// Package suites holds the test suites that run inside the guest, and what they
// stand on: the Env through which a suite reports and acts, the Kernel it asks.
//
// A suite is a value with a name; All lists them in the order in which they
// run. The package is linked into the guest's init, and into the host's binary,
// which asks it for names, descriptions and the boot that each suite needs.
package suites
