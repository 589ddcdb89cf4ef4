// Package vhostuser holds what QEMU's two out-of-process device protocols,
// vfio-user (package vfiouser) and vhost-user, have in common on our side:
//
//   - Socket: a connected UNIX stream socket with SCM_RIGHTS, used by a thread
//     of its own with blocking system calls.
//   - Listen, Inherited: how a server comes by its socket.
//   - Memory: the guest memory the peer has mapped for us.
//   - Eventfd: interrupts out, notifications in.
//   - Trace: the messages, printed.
//
// The peer is not trusted. Whatever it passes (sizes, offsets, file
// descriptors, files that shrink after they were mapped) leads to an error
// value, never to a crash, a leak or an access outside of what was mapped.
package vhostuser
