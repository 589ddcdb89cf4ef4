package integrity_test

import (
	"testing"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/integrity"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// Two benchmarks to compare: a 4 KiB AES-256-XTS request of the series, with
// nobody watching, and with the monitor.
func benchmark(b *testing.B, watched bool) {
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		b.Fatal(err)
	}
	o := cryptoblock.Options{Manual: true}
	if watched {
		engine, err := p.EngineConfig(nil)
		if err != nil {
			b.Fatal(err)
		}
		m := integrity.New(integrity.Config{Engine: engine, Owners: p.Owners(nil), Describe: func(*trace.Event) string { return "" }})
		o.Monitor, o.Sinks = m, []trace.Sink{m}
	}
	block, err := cryptoblock.New(*p, o)
	if err != nil {
		b.Fatal(err)
	}
	linux := blocktest.New(block, p)
	r := qcetest.Cipher{Mode: qcetest.XTSAES, Key: data(64, 0), IV: make([]byte, 16), Encrypt: true, Data: make([]byte, 4096)}
	linux.Series(r)
	b.ReportAllocs()
	for b.Loop() {
		linux.Series(r)
	}
}

func BenchmarkAlone(b *testing.B)   { benchmark(b, false) }
func BenchmarkWatched(b *testing.B) { benchmark(b, true) }
