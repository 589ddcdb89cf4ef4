package checker_test

import (
	"encoding/binary"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/trace"
)

// ids collects the rules of anomalies.
type ids map[string]int

func (s ids) Emit(e *trace.Event) { s[e.Rule.ID]++ }

// The rules themselves are tested by the scenarios in devices/scenario.

// A BAM without the lock has no rule about who holds it.
func TestNoLockOnV13(t *testing.T) {
	for _, tt := range []struct {
		layout bam.Layout
		want   int
	}{{bam.V13, 0}, {bam.V14, 1}, {bam.V17, 1}, {bam.V20, 1}} {
		found := ids{}
		c := checker.New(checker.Config{Layout: tt.layout}, found)
		for i, ee := range []int{0, 1, 1} {
			c.Emit(&trace.Event{Seq: uint64(i), Kind: trace.RegWrite, Block: trace.QCE, By: trace.CPUOf(ee), Pipe: -1, Off: 0x110})
		}
		if got := found["QCE-LOCK-001"]; got != tt.want {
			t.Errorf("%v: QCE-LOCK-001 %d times, want %d", tt.layout, got, tt.want)
		}
	}
}

// What is left over is reported each time that Finish is called, and not when
// it is no longer there.
func TestFinish(t *testing.T) {
	found := ids{}
	c := checker.New(checker.Config{Layout: bam.V17, Owners: []uint8{0, 0, 0, 0, 3}}, found)
	by := trace.Master{Via: trace.Command, EE: 3, Pipe: 4}
	c.Emit(&trace.Event{Seq: 1, Kind: trace.Lock, By: by, Pipe: 4})
	c.Finish()
	c.Emit(&trace.Event{Seq: 2, Kind: trace.Unlock, By: by, Pipe: 4, Value: uint64(trace.ByUnlock)})
	c.Finish()
	if found["BAM-LOCK-018"] != 1 || len(found) != 1 {
		t.Errorf("found %v, want BAM-LOCK-018 once", found)
	}
}

// The checker survives any stream, and reports no rule but its own.
func FuzzStream(f *testing.F) {
	f.Add([]byte("a stream of events, twenty bytes each, has no need of any sense"))
	f.Add(make([]byte, 400))
	f.Fuzz(func(t *testing.T, raw []byte) {
		own := map[string]bool{}
		for _, r := range checker.Rules() {
			own[r.ID] = true
		}
		for layout := bam.V13; layout <= bam.V20; layout++ {
			found := ids{}
			c := checker.New(checker.Config{Layout: layout, Patience: 8, Polls: 3, Owners: []uint8{0, 1, 9, 200}}, found)
			seq := uint64(0)
			for p := raw; len(p) >= 20; p = p[20:] {
				seq++
				e := trace.Event{
					Seq: seq, Time: uint64(p[0]), Kind: trace.Kind(p[1]), Block: trace.Block(p[2]),
					By:   trace.Master{Via: trace.Via(p[3]), EE: p[4], Pipe: int8(p[5])},
					Pipe: int8(p[6]), Flags: binary.LittleEndian.Uint16(p[7:]), Off: binary.LittleEndian.Uint32(p[9:]),
					Size: uint32(p[13]), Value: uint64(binary.LittleEndian.Uint32(p[14:])),
				}
				if p[18]&1 != 0 {
					e.Op = &trace.Op{PipeSet: p[19]}
				}
				c.Emit(&e)
			}
			c.Finish()
			for id := range found {
				if !own[id] {
					t.Fatalf("reports %s", id)
				}
			}
		}
	})
}
