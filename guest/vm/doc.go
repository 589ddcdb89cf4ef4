// Package vm runs one stock QEMU with the guest in it: it finds a QEMU that is
// fit, makes its command line, starts it, keeps its console, and ends it.
package vm
