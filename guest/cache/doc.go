// Package cache keeps what is expensive to make: unpacked packages, kernel
// sources, built kernels.
//
// The root is $QCEMU_CACHE, else qcemu in the user's cache folder. Below it:
//
//	KIND/KEY/      an entry: complete, or not there
//	KIND/KEY.json  a note: a small record beside the entries
//	tmp/KIND/KEY/  an entry while it is made
//	lock/KIND/KEY  locked (flock) exclusively while the entry is made, shared while it is used
//
// An entry is made under tmp and renamed, so a run that dies leaves nothing
// that looks complete. Two runs that want the same entry make it once: the
// second waits, and says so.
package cache
