package cryptoblock_test

import (
	"testing"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
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
	sinks, log := readers(t)
	v := newV16(t, cryptoblock.Options{Sinks: sinks})
	v.request()
	if n := testing.AllocsPerRun(100, v.request); n != 0 {
		t.Errorf("a watched request allocates %v times", n)
	}
	for _, f := range log.Findings() {
		if f.ID != "QCE-KEY-002" { // the request leaves its keys, as Linux does
			t.Errorf("a request of the series breaks %s: %s", f.ID, f.Title)
		}
	}
}

// To compare with BenchmarkV16XTS4K: the same with all who watch.
func BenchmarkV16XTS4KWatched(b *testing.B) {
	sinks, _ := readers(b)
	benchmark(b, sinks)
}

func benchmark(b *testing.B, sinks []trace.Sink) {
	v := newV16(b, cryptoblock.Options{Sinks: sinks})
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		v.request()
	}
}
