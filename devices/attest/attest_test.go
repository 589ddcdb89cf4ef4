package attest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/trace"
)

func done(op trace.Op) *trace.Event { return &trace.Event{Kind: trace.OpDone, Op: &op} }

func TestCounter(t *testing.T) {
	c := NewCounter()
	cbc := trace.Op{Alg: "cbc-aes", Encrypt: true, KeyBits: 128, Bytes: 16, ByCommand: 17, Locked: true, LockHeld: true}
	c.Emit(done(cbc)) // before any suite
	c.Begin("kcapi")
	c.Emit(done(cbc))
	lost := cbc
	lost.LockHeld = false
	c.Emit(done(lost))
	byCPU := trace.Op{Alg: "cbc-aes", Encrypt: true, KeyBits: 128, Bytes: 100, ByCPU: 17, Status: 1 << 31}
	c.Emit(done(byCPU))
	mixed := trace.Op{Alg: "cbc-aes", KeyBits: 256, Bytes: 32, ByCPU: 1, ByCommand: 1}
	c.Emit(done(mixed))
	c.Emit(&trace.Event{Kind: trace.OpStart, Op: &mixed}) // not finished: does not count
	c.Begin("tcrypt")
	c.Emit(done(trace.Op{Alg: "sha256", Bytes: 3, ByCPU: 5}))
	foreign := trace.Op{Alg: "sha256", Bytes: 3, ByCPU: 5, EE: 2}
	c.Emit(done(foreign))
	c.Begin("kcapi") // again: its rows go on
	c.Emit(done(mixed))

	want := []Row{
		{Algorithm: "cbc-aes", Direction: "encrypt", KeyBits: 128, Requests: 1, Bytes: 16, ByCommand: 1, Locked: 1},
		{Suite: "kcapi", Algorithm: "cbc-aes", Direction: "decrypt", KeyBits: 256, Requests: 2, Bytes: 64, ByBoth: 2},
		{Suite: "kcapi", Algorithm: "cbc-aes", Direction: "encrypt", KeyBits: 128, Requests: 3, Bytes: 132, ByCommand: 2, ByCPU: 1, Locked: 1, Errors: 1},
		{Suite: "tcrypt", Algorithm: "sha256", Direction: "digest", Requests: 1, Bytes: 3, ByCPU: 1},
		{Suite: "tcrypt", EE: 2, Algorithm: "sha256", Direction: "digest", Requests: 1, Bytes: 3, ByCPU: 1},
	}
	if diff := cmp.Diff(want, c.Rows()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestCounterAllocs(t *testing.T) {
	c := NewCounter()
	e := done(trace.Op{Alg: "xts-aes", KeyBits: 256, Bytes: 4096, ByCommand: 30})
	c.Emit(e)
	if n := testing.AllocsPerRun(100, func() { c.Emit(e) }); n != 0 {
		t.Errorf("%v allocations per event, want 0", n)
	}
}

func TestRequirement(t *testing.T) {
	rows := []Row{
		{Suite: "a", Algorithm: "xts-aes", Requests: 60, ByCommand: 60, Locked: 10},
		{Suite: "b", Algorithm: "xts-aes", Requests: 40, ByCommand: 30, Locked: 40},
		{Suite: "b", Algorithm: "xts-aes", EE: 3, Requests: 1000, Locked: 1000},
	}
	for _, tt := range []struct {
		text  string
		parse string // part of the parser's error
		check string // part of the check's error
	}{
		{text: "xts-aes=100"},
		{text: "xts-aes-qce=100"},
		{text: "xts-aes=101", check: "the engine did 100 requests, 101 are required"},
		{text: "xts-aes=50,locked"},
		{text: "xts-aes=51,locked", check: "did 50 requests under the lock"},
		{text: "xts-aes=91,commands", check: "did 90 requests set up by command elements"},
		{text: "sha1=1", check: "did 0 requests"},
		{text: "sha1=0"},
		{text: "xts-aes", parse: "want ALG=N"},
		{text: "rot13=1", parse: `no algorithm "rot13"; there are: authenc`},
		{text: "xts-aes=-1", parse: "no count"},
		{text: "xts-aes=1,fast", parse: `"fast" is neither`},
	} {
		r, err := ParseRequirement(tt.text)
		if !matches(err, tt.parse) {
			t.Errorf("ParseRequirement(%q): error %v, want %q", tt.text, err, tt.parse)
		}
		if err != nil {
			continue
		}
		if err := r.Check(rows, 0); !matches(err, tt.check) {
			t.Errorf("Check of %q: error %v, want %q", tt.text, err, tt.check)
		}
	}
}

func matches(err error, part string) bool {
	if part == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), part)
}
