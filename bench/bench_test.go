package bench

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/testbench"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

func profile(t *testing.T) *cryptoblock.Profile {
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnknownSection(t *testing.T) {
	_, err := Run(context.Background(), Config{Sections: []string{"core", "coer"}})
	var usage *testbench.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "socket, core, guest, request, serve") {
		t.Errorf("got %v, want a usage error that names the sections", err)
	}
}

// The sections that need no guest, with few rounds: that they measure what they
// say, not how long it takes.
func TestSections(t *testing.T) {
	core, oracle, verdicts := coreTurns, oracleTurns, verdictTurns
	coreTurns, oracleTurns, verdictTurns = turns{rounds: 3, batch: 1}, turns{rounds: 3, batch: 2}, turns{rounds: 3, batch: 2}
	t.Cleanup(func() { coreTurns, oracleTurns, verdictTurns = core, oracle, verdicts })
	c := Config{Sections: []string{"socket", "core"}, Guest: testbench.GuestConfig{Profile: profile(t)}}
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, l := range r.Lines {
		count[l.Section]++
		if l.Unit == nanoseconds && (l.Value <= 0 || l.Base <= 0) {
			t.Errorf("%s, %s: %v to %v: nothing was measured", l.Section, l.What, l.Value, l.Base)
		}
	}
	if diff := cmp.Diff(map[string]int{"socket": 4, "core": 9 + len(watchers)}, count); diff != "" {
		t.Errorf("lines by section (-want +got):\n%s", diff)
	}
}

// The request that is measured is one of 35 descriptors, whose rings wrap.
func TestRequest(t *testing.T) {
	p := profile(t)
	var done, locked int
	seen := sinkFunc(func(e *trace.Event) {
		if e.Kind == trace.OpDone {
			done++
			if e.Op.Locked && e.Op.LockHeld && e.Op.Bytes == requestSize && e.Op.Alg == "xts-aes" && e.Op.Status&qce.SwErr == 0 {
				locked++
			}
		}
	})
	b, err := cryptoblock.New(*p, cryptoblock.Options{Sinks: []trace.Sink{seen}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := requestOn(b, p, newFlat())
	if err != nil {
		t.Fatal(err)
	}
	for range 999 {
		r.do()
	}
	if r.descriptors != 35 || done != 1000 || locked != 1000 {
		t.Errorf("%d descriptors, %d requests done, %d of them as they should be; want 35, 1000, 1000", r.descriptors, done, locked)
	}
}

type sinkFunc func(*trace.Event)

func (f sinkFunc) Emit(e *trace.Event) { f(e) }

// The naive server answers as the real one does, as far as it goes.
func TestNaive(t *testing.T) {
	p := profile(t)
	n, err := newNaive(p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	path := filepath.Join(t.TempDir(), "s")
	if err := n.serve(ctx, &wg, path); err != nil {
		t.Fatal(err)
	}
	c, err := vfiotest.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(cmd wire.Command, payload []byte) vfiotest.Reply {
		t.Helper()
		select {
		case r := <-c.Start(cmd, payload):
			return r
		case <-time.After(time.Minute):
			t.Fatalf("%v: no answer", cmd)
		}
		panic("unreachable")
	}
	ask(wire.Version, append(make([]byte, wire.VersionSize), vfiotest.QEMUCapabilities...))
	version := uint64(p.QCEOffset + qce.Version)
	access := func(region uint32, off uint64, n int, data []byte) []byte {
		return vfiotest.Access(region, off, n, data)
	}
	if r := ask(wire.RegionRead, access(wire.RegionBAR0, version, 4, nil)); r.Err() != nil || len(r.Payload) != wire.RegionAccessSize+4 ||
		wire.Order.Uint32(r.Payload[wire.RegionAccessSize:]) != p.Version {
		t.Errorf("VERSION: %x, %v, want %#x", r.Payload, r.Err(), p.Version)
	}
	if r := ask(wire.RegionRead, access(wire.RegionConfig, 0, 2, nil)); r.Err() != nil || wire.Order.Uint16(r.Payload[wire.RegionAccessSize:]) != identity.VendorID {
		t.Errorf("vendor: %x, %v", r.Payload, r.Err())
	}
	seg := uint64(p.QCEOffset + qce.SegSize)
	ask(wire.RegionWrite, access(wire.RegionBAR0, seg, 4, []byte{1, 2, 3, 4}))
	if r := ask(wire.RegionRead, access(wire.RegionBAR0, seg, 4, nil)); wire.Order.Uint32(r.Payload[wire.RegionAccessSize:]) != 0x04030201 {
		t.Errorf("a register does not keep what is written: %x", r.Payload)
	}
	for name, payload := range map[string][]byte{
		"past the end": access(wire.RegionBAR0, cryptoblock.WindowSize, 4, nil),
		"too short":    make([]byte, 3),
	} {
		if r := ask(wire.RegionRead, payload); r.Err() == nil {
			t.Errorf("a read %s is answered with %x", name, r.Payload)
		}
	}
}

// fakeDevice takes its time, and says what a model says.
type fakeDevice struct{ m *meter }

func (d *fakeDevice) Attach(_ bus.Memory, l bus.Line) {
	d.m.Emit(&trace.Event{Kind: trace.OpStart})
	l.Set(true)
}
func (d *fakeDevice) Reset()                          {}
func (d *fakeDevice) ReadRegion(uint64, []byte) error { return nil }
func (d *fakeDevice) WriteRegion(off uint64, _ []byte) error {
	if off != 0 {
		d.m.Emit(&trace.Event{Kind: trace.OpDone, Op: &trace.Op{Alg: "cbc-aes", Bytes: uint32(off)}})
	}
	return nil
}

func TestMeter(t *testing.T) {
	m := newMeter(nil)
	m.Device = &fakeDevice{m}
	request := func(bytes uint64, reads, writes int) {
		for range reads {
			m.ReadRegion(0, nil)
		}
		for range writes - 1 {
			m.WriteRegion(0, nil)
		}
		m.WriteRegion(bytes, nil)
	}
	request(16, 9, 9)
	request(4096, 8, 8) // another kind before: not counted
	for range 5 {
		request(4096, 2, 3)
	}
	m.Attach(bus.None, noLine{})
	request(4096, 2, 3)
	got, n := m.typical("cbc-aes", 4096)
	got.wall, got.model = 0, 0
	if diff := cmp.Diff(cost{reads: 2, writes: 3}, got, cmp.AllowUnexported(cost{})); diff != "" || n != 6 {
		t.Errorf("%d requests, typically (-want +got):\n%s", n, diff)
	}
	last := m.costs[kind{"cbc-aes", 4096}][5]
	if last.interrupts != 1 || last.wall <= 0 || last.model < 0 || last.model > last.wall {
		t.Errorf("the last request: %+v", last)
	}
	if _, n := m.typical("cbc-aes", 16); n != 0 {
		t.Errorf("%d requests of 16 bytes, of which nothing is known", n)
	}
}

// What the guest says becomes lines; what it leaves out is named.
func TestGuestLines(t *testing.T) {
	metrics := func(p50 float64) map[string]float64 {
		return map[string]float64{suites.MetricP50: p50, suites.MetricP99: 2 * p50}
	}
	cases := map[string]report.Case{
		suites.MeasureRead:       {Status: report.Pass, Metrics: metrics(50e3)},
		suites.MeasureReadBeside: {Status: report.Pass, Metrics: metrics(100e3)},
		suites.MeasureWrite:      {Status: report.Pass, Metrics: metrics(2e3)},
	}
	m := newMeter(nil)
	m.costs[kind{suites.MeasureAlgorithm, suites.MeasureBlock}] = []cost{{wall: time.Millisecond, model: 50 * time.Microsecond, reads: 5, writes: 4, interrupts: 1}}
	r := &run{}
	if err := r.guestLines(cases, m); err == nil || !strings.Contains(err.Error(), suites.MeasureTcrypt) {
		t.Errorf("without %s: %v", suites.MeasureTcrypt, err)
	}
	cases[suites.MeasureTcrypt] = report.Case{Status: report.Pass}
	if err := r.guestLines(cases, m); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, l := range r.lines {
		got[l.Section+", "+l.What+", "+l.Against] = l.Value
	}
	want := map[string]float64{
		"guest, register read, p50, naive server, same guest":           50e3,
		"guest, register read, p99, naive server, same guest":           100e3,
		"guest, register read, p50, libvfio-user in C, another machine": 50e3,
		"guest, posted register write, p50, register read":              2e3,
		"request, 4 KiB request of cbc-aes, ":                           1e6,
		"request, of that the model, the whole request":                 50e3,
		"request, registers and interrupts, the whole request":          6*50e3 + 4*2e3,
		"request, the guest, the whole request":                         1e6 - 50e3 - 308e3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// A server that does not become ready is an error that says so.
func TestBackendThatIsNone(t *testing.T) {
	r := &run{Config: Config{Program: "/bin/true", Guest: testbench.GuestConfig{Profile: profile(t)}}}
	if _, err := r.startBackend(context.Background(), filepath.Join(t.TempDir(), "s")); err == nil || !strings.Contains(err.Error(), "did not become ready") {
		t.Errorf("got %v", err)
	}
}

func TestServeModelEndsWithItsClient(t *testing.T) {
	slog.SetLogLoggerLevel(slog.LevelError)
	s, stop, err := serveModel(profile(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.HungUp() {
		t.Error("the server has hung up")
	}
	stop()
}
