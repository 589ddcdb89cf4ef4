package testbench

import (
	"sync/atomic"
	"time"

	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
	"github.com/qcemu/qcemu/vhostuser/virtiocrypto"
)

// meter takes the time that is spent in the model, whoever asks for it, and
// counts what comes to the block by vfio-user.
type meter struct {
	model, reads, writes atomic.Int64
}

// spend books time in the model since start.
func (m *meter) spend(start time.Time) { m.model.Add(int64(time.Since(start))) }

// meteredBlock is the block as the vfio-user server sees it.
type meteredBlock struct {
	vfiouser.Device
	m *meter
}

func (b meteredBlock) ReadRegion(off uint64, p []byte) error {
	defer b.m.spend(time.Now())
	b.m.reads.Add(1)
	return b.Device.ReadRegion(off, p)
}

func (b meteredBlock) WriteRegion(off uint64, p []byte) error {
	defer b.m.spend(time.Now())
	b.m.writes.Add(1)
	return b.Device.WriteRegion(off, p)
}

// meteredEngine is the engine as the virtio-crypto device sees it.
type meteredEngine struct {
	virtiocrypto.Engine
	m *meter
}

func (e meteredEngine) Do(op *bamclient.Operation, cancel <-chan struct{}) error {
	defer e.m.spend(time.Now())
	return e.Engine.Do(op, cancel)
}
