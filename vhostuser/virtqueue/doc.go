// Package virtqueue is the device's side of virtio's rings (virtio 1.3, §2.7
// split, §2.8 packed): it takes chains of buffers that the driver has made
// available and gives them back as used.
//
// The ring and everything in it is the guest's, and the guest is not trusted.
// Each descriptor is copied once and the copy is used; each index, length and
// address is checked. A ring that breaks the rules is reported by a
// *BrokenError and is of no use any more until it is set up again.
//
// Nothing is allocated for a chain.
//
// # In-flight tracking
//
// With Config.Inflight, a ring notes in memory that outlives the process which
// chains it has taken and not yet given back, in the format that vhost-user
// defines. A new ring on the same memory begins with those chains.
//
// Without, a new ring begins with the first chain that is not used, which is
// right because chains are used in the order in which they were taken.
package virtqueue
