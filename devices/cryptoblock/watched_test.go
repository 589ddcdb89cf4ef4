package cryptoblock_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// readers are those who watch a run: attestation, findings and the checker.
func readers(tb testing.TB) ([]trace.Sink, *finding.Log) {
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		tb.Fatal(err)
	}
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		tb.Fatal(err)
	}
	log := finding.NewLog(func(e *trace.Event) string { return e.Kind.String() })
	return []trace.Sink{attest.NewCounter(), log, checker.New(checker.Config{Layout: layout, Owners: p.Owners(nil)}, log)}, log
}

func TestWatchedRequestDoesNotAllocate(t *testing.T) {
	for _, inFlight := range []bool{false, true} {
		sinks, log := readers(t)
		v := newV16(t, cryptoblock.Options{Sinks: sinks, InFlight: inFlight})
		v.request()
		if n := testing.AllocsPerRun(100, v.request); n != 0 {
			t.Errorf("a watched request allocates %v times, changes in flight %v", n, inFlight)
		}
		for _, f := range log.Findings() {
			if f.ID != "QCE-KEY-002" { // the request leaves its keys, as Linux does
				t.Errorf("a request of the series breaks %s: %s", f.ID, f.Title)
			}
		}
	}
}

// watch makes the requests of the series and of stock drivers on a block, and
// returns what its readers have seen.
func watch(t *testing.T, o cryptoblock.Options, more ...trace.Sink) (*finding.Log, int) {
	sinks, log := readers(t)
	o.Sinks = append(sinks, more...)
	l := newLinux(t, o)
	for i, q := range someRequests {
		l.NoNWD, l.LateStatus = i%3 == 1, i%3 == 2
		l.Series(q)
		if i%2 == 1 {
			l.Stock(q)
		}
	}
	return log, l.Mem.Reads
}

// A block that reads ahead differs in nothing but that, and so does one that
// looks for changes in flight where there are none.
func TestReadAheadIsExact(t *testing.T) {
	want, got, looks := newEvents(), newEvents(), newEvents()
	wantLog, steps := watch(t, cryptoblock.Options{Exact: true}, want)
	for _, tt := range []struct {
		name   string
		o      cryptoblock.Options
		events *events
		most   int // reads
	}{
		{"ahead", cryptoblock.Options{}, got, steps * 3 / 4},
		{"ahead, changes in flight", cryptoblock.Options{InFlight: true}, looks, steps * 5 / 4},
	} {
		// A reader of single events would keep the others from taking rows.
		log, rows := watch(t, tt.o)
		if diff := cmp.Diff(wantLog.Findings(), log.Findings(), cmp.AllowUnexported(finding.Register{})); diff != "" {
			t.Errorf("%s: findings (-exact +ahead):\n%s", tt.name, diff)
		}
		if len(wantLog.Findings()) < 2 || rows >= tt.most {
			t.Errorf("%s: %d findings, %d reads of memory, exactly %d: that tells little", tt.name, len(wantLog.Findings()), rows, steps)
		}
		watch(t, tt.o, tt.events)
		if !bytes.Equal(want.h.Sum(nil), tt.events.h.Sum(nil)) {
			t.Errorf("%s: the events differ: %d exactly, %d ahead", tt.name, len(want.kinds), len(tt.events.kinds))
		}
	}
}

// A monitor of the block sees each write of a row.
func TestMonitorSeesRows(t *testing.T) {
	count := func(exact bool) int {
		m := &writes{}
		l := newLinux(t, cryptoblock.Options{Exact: exact, Monitor: m})
		l.Series(someRequests[0])
		return m.n
	}
	if got, want := count(false), count(true); got != want || want < 15 {
		t.Errorf("it has seen %d writes, want %d", got, want)
	}
}

// writes is a monitor that counts register writes.
type writes struct {
	cryptoblock.Monitor
	n int
}

func (m *writes) Join(func() ([64]byte, [16]byte, [4]uint32), func(*trace.Event)) {}
func (m *writes) RegWrite(trace.Master, uint32, uint32, uint32)                   { m.n++ }
func (m *writes) Fed(int, []byte)                                                 {}
func (m *writes) Drained(int, []byte, bool)                                       {}
func (m *writes) Flush(int)                                                       {}
func (m *writes) Start(*trace.Op, *qce.Latched)                                   {}
func (m *writes) Input([]byte)                                                    {}
func (m *writes) Output([]byte)                                                   {}
func (m *writes) Done(*trace.Op)                                                  {}
func (m *writes) Abort(*trace.Op)                                                 {}

// To compare with BenchmarkV16XTS4K: the same with all who watch.
func BenchmarkV16XTS4KWatched(b *testing.B) {
	sinks, _ := readers(b)
	benchmark(b, cryptoblock.Options{Sinks: sinks})
}

// The same with the look-out for what changes in flight too, and alone.
func BenchmarkV16XTS4KInFlight(b *testing.B) {
	sinks, _ := readers(b)
	b.Run("watched", func(b *testing.B) { benchmark(b, cryptoblock.Options{Sinks: sinks, InFlight: true}) })
	b.Run("alone", func(b *testing.B) { benchmark(b, cryptoblock.Options{InFlight: true}) })
}

func benchmark(b *testing.B, o cryptoblock.Options) {
	v := newV16(b, o)
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		v.request()
	}
}
