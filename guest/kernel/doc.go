// Package kernel makes the guest's kernel: an arm64 Image and the modules of
// the two drivers under test, in two sets — as the source has them, and with a
// patch series applied. Both sets load into one Image as long as the series
// touches nothing but the drivers.
//
// The source is Debian's linux-source package with a small configuration of our
// own (guest.config), or the user's tree, which is never written to: one that
// is built for arm64 is used as it is, another is built in the cache.
package kernel
