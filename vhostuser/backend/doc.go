// Package backend is the back-end side of vhost-user, the protocol by which
// QEMU hands the rings of a virtio device to another process. Messages and
// their layouts are in package wire, rings in package virtqueue.
//
// A Server presents one Device. One front-end is served at a time; when it goes
// away its memory and event descriptors are given back, and the next may come.
//
// # Threads
//
// A session, the connection of a front-end, is one goroutine that is locked to
// its thread and handles one message after the other. Each ring that runs has a
// goroutine of its own, also locked to its thread, which waits for the kick,
// lets the Device serve what is in the ring, and calls the driver. A message
// that changes a ring stops this goroutine first, and starts it again after.
//
// # When a ring runs
//
// A ring runs when it has a size, addresses, and a kick descriptor or an
// in-band kick, and is enabled. A new kick descriptor counts as a kick: a
// front-end that comes back after we were gone does not kick again for what is
// in the ring.
//
// # Being killed
//
// With INFLIGHT_SHMFD the front-end keeps memory for us, in which each ring
// notes what it has taken. A request is served into a journal there, which is
// copied to the guest when it is complete. So a request that was under way when
// the process died is done again from unchanged input, or its journal is copied
// again; either way the guest sees it done once. What the Device must remember,
// its crypto sessions, is kept there too.
//
// # Errors
//
// A message that cannot be obeyed is answered with an errno if the front-end
// asked for an answer (REPLY_ACK), else the connection is closed and a log line
// says why. A ring that the guest has broken is stopped, and its error
// descriptor signalled.
//
// # Tracing
//
// With QCEMU_TRACE_VHOSTUSER=1 in the environment each message is printed to
// standard error, without keys.
package backend
