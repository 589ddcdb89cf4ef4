// Package debian brings Debian packages of another suite, and of another
// architecture, to any machine with apt: a QEMU that is new enough, kernel
// sources, arm64 user space. Nothing is installed and no root is needed: apt
// works on state folders of its own, the packages are unpacked into the cache,
// and programs run through the unpacked tree's own dynamic loader.
//
// The mirror is the one that the machine's apt configuration names for Debian,
// or the one the user gives. Signatures are checked against the machine's
// Debian keyring.
//
// Need installs what the machine itself has to have, compilers for example,
// where that is allowed.
package debian
