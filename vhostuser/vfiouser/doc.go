// Package vfiouser is the server side of vfio-user, the protocol by which QEMU
// (10.1 and later, device vfio-user-pci) attaches a device that lives in
// another process. Messages and their layouts are in package wire.
//
// A Server presents one Device as a PCI function with one memory BAR and one
// INTx interrupt. One client is served at a time; when it goes away its memory
// and event descriptors are given back, the device keeps its state, and the
// next client may connect.
//
// # Data path
//
// A session is one goroutine that is locked to its thread. It receives with
// blocking recvmsg, several messages at once when the client has posted them,
// and calls the Device itself, so that a register read costs no hand-off inside
// our process. Nothing is allocated for a register access.
//
// # Memory that is not shared
//
// RAM that comes without a file descriptor is reached by DMA_READ and DMA_WRITE
// messages to the client, usually while one of the client's own messages is
// being handled. Replies are then picked out of the stream; everything else
// waits its turn, in order.
//
// QEMU answers DMA messages from its main loop under its big lock. It cannot
// answer while a vCPU holds that lock waiting for a reply of ours. Such an
// access fails with a bus fault after dmaTimeout, before QEMU gives up on us,
// and so do the following ones at once, until the client has answered. That is
// why RAM should be shared, and why a log line says so when it is not.
//
// # INTx
//
// QEMU treats INTx as automasked: after a trigger it asserts the line, and at
// the guest's next access to the BAR it deasserts the line and sends an unmask,
// a full round trip. A handler makes about ten accesses, and the level stays
// high until one of them clears the cause. Triggering again at once would cost
// the round trip for each. So a level that is still high when the unmask
// arrives is owed a trigger, which is sent
//
//   - when the client has been silent for retriggerQuiet,
//   - or after retriggerAfter further messages,
//   - and not at all if the device lowers the line before that.
//
// A line that rises while it is unmasked triggers at once. No interrupt is
// lost: as long as the level is high, the line is either masked by the client,
// triggered and not yet unmasked, or owed a trigger. With an unmask eventfd
// (KVM) the guest's handler is over when it is signalled: the trigger is sent
// at once, unless messages of the client are still on their way, which may be
// the ones that clear the cause.
//
// # Tracing
//
// With QCEMU_TRACE_VFIOUSER=1 in the environment each message is printed to
// standard error. Data is not printed: it may be key material.
package vfiouser
