// Package wire is the vocabulary of vfio-user: commands, flags and message
// layouts, as QEMU's docs/interop/vfio-user.rst defines them (version 0.0).
// Names follow that document, and <linux/vfio.h> where it points there.
//
// A message is a Header and a payload. Integers are in host byte order.
package wire
