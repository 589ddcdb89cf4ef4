// Package image builds the guest's initramfs: init, a shell, the modules of both
// drivers, and the programs that the suites use, with the libraries they need.
//
// The same input gives the same bytes, and the file in the cache is named by
// them: what is unchanged is not written again.
package image
