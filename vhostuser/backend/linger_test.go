package backend_test

import (
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
)

// TestBusyPoll: a request that comes soon after another is served without a kick,
// in both kinds of ring, and a ring that is being looked at can be stopped.
func TestBusyPoll(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("with one processor nothing is looked at instead of waiting")
	}
	for _, packed := range []bool{false, true} {
		dev := newInverter()
		r := &rig{t: t, dev: dev, server: backend.New(backend.Config{Device: dev, Log: slog.New(slog.DiscardHandler), BusyPoll: time.Hour})}
		r.low = vhosttest.NewRAM(t, guestLow, userLow, ramSize)
		r.connect()
		features := uint64(virtioFeatures)
		var d vhosttest.Driver = vhosttest.NewSplit(r.low, ringSize, true)
		base := uint32(0)
		if packed {
			p := vhosttest.NewPacked(r.low, ringSize, true)
			features |= backend.FeaturePacked
			d, base = p, p.Base()
		}
		r.Negotiate(features, everything&^wire.ProtocolInbandNotify)
		r.SetMemory(r.low)
		q := r.Start(0, d, base)
		echo(t, q, r.low, "kicked", false)
		kicks, _ := r.server.Events()
		for range 20 {
			in := r.low.Space(4)
			q.Add([]vhosttest.Buffer{r.low.Put([]byte("none"))}, []vhosttest.Buffer{in}, false)
			q.Publish()
			if _, n := q.Take(); n != 4 {
				t.Errorf("packed %v: %d bytes", packed, n)
			}
			check(t, r.low, in, "none")
		}
		if after, _ := r.server.Events(); after != kicks {
			t.Errorf("packed %v: woken %d times without a kick", packed, after-kicks)
		}
		q.Stop()
		r.end()
	}
}
