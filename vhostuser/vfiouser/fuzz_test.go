package vfiouser_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// reckless is a device that uses memory and line at every write.
type reckless struct {
	mem  bus.Memory
	line bus.Line
	buf  [64]byte
}

func (d *reckless) Attach(m bus.Memory, l bus.Line)       { d.mem, d.line = m, l }
func (d *reckless) Reset()                                { d.line.Set(false) }
func (d *reckless) ReadRegion(off uint64, p []byte) error { copy(p, d.buf[:]); return nil }
func (d *reckless) WriteRegion(off uint64, p []byte) error {
	d.line.Set(off&4 != 0)
	addr := off<<8 | uint64(p[0])
	d.mem.Read(addr, d.buf[:])
	d.mem.Write(addr+0x1000-32, d.buf[:])
	return nil
}

// FuzzSession is a client that has negotiated and then sends anything. It must
// not crash or hang the server, nor leave anything behind.
func FuzzSession(f *testing.F) {
	msg := func(parts ...[]byte) []byte {
		var b []byte
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	enc := func(cmd wire.Command, flags uint32, p []byte) []byte {
		return vfiotest.Encode(wire.Header{ID: 1, Cmd: cmd, Flags: flags}, p)
	}
	dmaMap := enc(wire.DMAMap, 0, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Addr: 0x10000, Size: 0x2000}))
	irqs := make([]byte, wire.IRQSetSize)
	(&wire.IRQSet{Argsz: 20, Flags: wire.IRQDataEventfd | wire.IRQActionTrigger, Count: 1}).Put(irqs)
	write := enc(wire.RegionWrite, wire.NoReply, vfiotest.Access(0, 0x104, 4, []byte{1, 2, 3, 4}))
	f.Add(msg(dmaMap, write), byte(1), byte(0))
	f.Add(msg(dmaMap, write, enc(wire.DMARead, wire.TypeReply, make([]byte, 80))), byte(0), byte(0))
	f.Add(msg(enc(wire.DeviceSetIRQs, 0, irqs), write, enc(wire.DeviceReset, 0, nil)), byte(2), byte(10))
	f.Add(msg(enc(wire.RegionRead, 0, vfiotest.Access(7, 0, 256, nil)), enc(wire.Version, 0, make([]byte, 4))), byte(0), byte(3))
	f.Add(msg(enc(wire.RegionWriteMulti, 0, vfiotest.Writes(0, []uint64{4, 8}, []uint32{1, 2}))), byte(3), byte(33))
	f.Add([]byte{1, 0, 13, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, byte(17), byte(0))

	ram := memfd(f, 0x1000) // shorter than what is mapped from it
	evt := newEvent(f)
	quiet := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, stream []byte, fds, cut byte) {
		checkLeaks(t)
		srv, err := vfiouser.New(vfiouser.Config{Device: &reckless{}, BARSize: 0x10000, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := socketpair(t)
		done := make(chan struct{})
		go func() { defer close(done); srv.ServeConn(context.Background(), ours) }()
		theirs.Send(vfiotest.Encode(wire.Header{Cmd: wire.Version}, make([]byte, 4)), nil)
		var give []int
		for i := range fds % (vhostuser.MaxFDs + 1) {
			give = append(give, []int{int(ram.Fd()), evt.fd}[(fds+i)%2])
		}
		n := min(int(cut), len(stream))
		if n > 0 {
			theirs.Send(stream[:n], nil)
		}
		if n < len(stream) {
			theirs.Send(stream[n:], nil, give...)
		}
		theirs.Close() // what was sent is still received
		<-done
	})
}
