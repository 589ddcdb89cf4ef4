// Package wire holds the messages of vhost-user: their numbers, flags and
// layouts, as QEMU's docs/interop/vhost-user.rst gives them, and as QEMU sends
// them where the document is silent (crypto sessions).
//
// All numbers are in the byte order of the machine, which the two sides share.
package wire
