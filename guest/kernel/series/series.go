// Package series holds the project's own patches for the kernel's bam_dma and
// qce drivers: BAM pipe locking, and register I/O of the crypto engine through
// BAM. README.md says what they do. They are under the kernel's licence,
// GPL-2.0-only.
package series

import "embed"

// Patches are files as git format-patch writes them, to be applied in the order
// of their names, to each kernel version that README.md lists.
//
//go:embed *.patch
var Patches embed.FS
