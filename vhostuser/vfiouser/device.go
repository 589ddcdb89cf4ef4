package vfiouser

import "github.com/qcemu/qcemu/devices/bus"

// Device is the model behind BAR0. Its methods are called by one goroutine at
// a time, which is not always the same one.
type Device interface {
	// ReadRegion and WriteRegion access the BAR at off. p has 1, 2, 4 or 8
	// bytes, in the guest's (little-endian) order, off is aligned to its
	// length and the access lies inside the BAR. An error becomes the errno of
	// the reply (EIO if it has none); p is not kept.
	ReadRegion(off uint64, p []byte) error
	WriteRegion(off uint64, p []byte) error

	// Reset puts the device into its state after power-on.
	Reset()

	// Attach is called once, before anything else. mem is what the client has
	// mapped for DMA at any time, line the INTx line. Both may be used from
	// any goroutine until the Server is done.
	Attach(mem bus.Memory, line bus.Line)
}

// PCI is the identity of the function, as in its configuration space.
type PCI struct {
	VendorID, DeviceID           uint16
	SubsystemVendor, SubsystemID uint16
	Class                        uint32 // 24 bits: class, subclass, interface
	Revision                     uint8
}
