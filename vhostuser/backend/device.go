package backend

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// Virtio feature bits (virtio 1.3, §6) that the rings see to.
const (
	FeatureIndirect = 1 << 28
	FeatureEventIdx = 1 << 29
	FeatureVersion1 = 1 << 32
	FeaturePacked   = 1 << 34

	ringFeatures = FeatureIndirect | FeatureEventIdx | FeatureVersion1 | FeaturePacked
)

// Device is a virtio device.
type Device interface {
	// Features are the bits that the device offers beside those of the rings.
	Features() uint64
	// Queues is the number of rings.
	Queues() int
	// Config is the device's configuration space, little-endian.
	Config() []byte
	// Serve does a request. It is called for each queue by one goroutine at a
	// time, for several queues at once. An error other than ErrAbandoned means
	// that the request makes no sense; the ring stops.
	Serve(queue int, r *Request) error
	// Reset is the reset of the device.
	Reset()
}

// Request is a chain from a ring.
type Request struct {
	Chain   *virtqueue.Chain
	Memory  bus.Memory      // the guest's
	Written uint32          // bytes written to Chain.In, for the driver
	Cancel  <-chan struct{} // closed when the ring is to stop at once
}

// ErrAbandoned is returned by Serve when it has obeyed Cancel. The request has
// left no trace and will come again.
var ErrAbandoned = errors.New("request abandoned")

// CryptoDevice is a Device with crypto sessions, which the front-end creates by
// messages.
type CryptoDevice interface {
	CreateSession(*wire.CryptoSession) (id uint64, err error)
	// CloseSession ends a session. For an ID that there is not, it returns
	// ErrNoSession.
	CloseSession(id uint64) error
}

// ErrNoSession: there is no session with such an ID.
var ErrNoSession = fmt.Errorf("no such session: %w", unix.ENOENT)

// Persistent is a Device with state that must outlive the process.
type Persistent interface {
	// StateSize is the number of bytes that the state takes.
	StateSize() uint64
	// Adopt takes up the state that is in mem, from address 0 on, and keeps it
	// there from now on; all zeros are no state. With nil the state is no
	// longer kept.
	Adopt(mem bus.Memory) error
}
