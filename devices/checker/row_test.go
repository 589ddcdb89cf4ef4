package checker_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// stream makes events by chance, of two sides with a consumer pipe each.
type stream struct {
	rng  *rand.Rand
	seq  uint64
	off  [2]uint32
	perm *trace.Rule // a PerRegister rule
}

const ringSize = 64 * bam.DescriptorSize

func (s *stream) event(e trace.Event) trace.Event {
	s.seq++
	e.Seq = s.seq
	return e
}

// next makes either an event or a row.
func (s *stream) next() (e trace.Event, row *trace.Row) {
	side := s.rng.IntN(2)
	pipe := int8(2 * side)
	by := trace.Master{Via: trace.Command, EE: uint8(side), Pipe: pipe}
	cpu := trace.CPUOf(side)
	flags := []uint16{bam.FlagCMD, bam.FlagCMD, bam.FlagCMD | bam.FlagLOCK, bam.FlagCMD | bam.FlagUNLOCK, bam.FlagEOT, bam.FlagEOT | bam.FlagNWD}[s.rng.IntN(6)]
	write := func(r bam.Reg, v uint32) trace.Event {
		off, _ := bam.V17.Offset(r, int(pipe))
		return s.event(trace.Event{Kind: trace.RegWrite, Block: trace.BAM, By: cpu, Pipe: -1, Off: off, Value: uint64(v)})
	}
	kind := func(k trace.Kind) trace.Event {
		return s.event(trace.Event{Kind: k, By: by, Pipe: pipe, Off: s.off[side], Flags: flags, Size: 16, Value: 1})
	}
	op := &trace.Op{EE: uint8(side), PipeSet: uint8(side)}
	switch s.rng.IntN(24) {
	case 0:
		return write(bam.PEvntReg, uint32(s.rng.IntN(64))*bam.DescriptorSize), nil
	case 1:
		return write(bam.PFIFOSizes, ringSize), nil
	case 2:
		return kind(trace.Lock), nil
	case 3:
		return kind(trace.Unlock), nil
	case 4:
		return kind(trace.LockWait), nil
	case 5, 6:
		return kind(trace.DescFetch), nil
	case 7, 8:
		return kind(trace.DescDone), nil
	case 9:
		return s.event(trace.Event{Kind: trace.OpStart, By: by, Pipe: -1, Size: 64, Op: op}), nil
	case 10:
		return s.event(trace.Event{Kind: trace.OpDone, By: by, Pipe: -1, Size: 64, Op: op}), nil
	case 11:
		off := []uint32{qce.GoProc, qce.EncrSegCfg, qce.Version}[s.rng.IntN(3)]
		return s.event(trace.Event{Kind: trace.RegWrite, Block: trace.QCE, By: cpu, Pipe: -1, Off: off}), nil
	case 12:
		return s.event(trace.Event{Kind: trace.RegRead, Block: trace.QCE, By: cpu, Pipe: -1, Off: qce.Status}), nil
	case 13:
		if s.rng.IntN(60) == 0 {
			return s.event(trace.Event{Kind: trace.Anomaly, Rule: s.perm, Block: trace.QCE, By: cpu, Pipe: -1, Off: qce.AuthSegCfg}), nil
		}
		return kind(trace.PipeReset), nil
	}
	first := s.off[side]
	row = &trace.Row{Seq: s.seq + 1, By: by, Pipe: pipe, Flags: bam.FlagCMD, Off: first, Addr: uint64(s.rng.Uint32())}
	for range min(1+s.rng.IntN(trace.MaxRow), int(ringSize-first)/bam.DescriptorSize) {
		off := []uint32{qce.EncrSegCfg, qce.AuthSegCfg, qce.SegSize}[s.rng.IntN(3)]
		row.Writes = append(row.Writes, trace.Write{Elem: 0xFA000 + off, Off: off, Value: s.rng.Uint32()})
	}
	s.seq += uint64(len(row.Writes)) * trace.EventsPerWrite
	s.off[side] = (first + uint32(len(row.Writes))*bam.DescriptorSize) % ringSize
	return e, row
}

// Log and checker find the same in a row as in its single events.
func TestRowsAreTheirEvents(t *testing.T) {
	describe := func(e *trace.Event) string {
		c := *e
		c.Op, c.Rule = nil, nil
		return fmt.Sprintf("%+v", c)
	}
	taken, rules := 0, map[string]bool{}
	for seed := range uint64(40) {
		s := &stream{rng: rand.New(rand.NewPCG(seed, 5)), perm: &trace.Rule{ID: "PER-REG-001", PerRegister: true}}
		var logs [2]*finding.Log
		var fans [2]*trace.Fan
		for i := range logs {
			logs[i] = finding.NewLog(describe)
			c := checker.New(checker.Config{Layout: bam.V17, Owners: []uint8{0, 0, 1, 1}, Patience: 200}, logs[i])
			fans[i] = trace.NewFan(logs[i], c)
		}
		for range 200 {
			e, row := s.next()
			switch {
			case row == nil:
				fans[0].Emit(&e)
				fans[1].Emit(&e)
			case fans[0].TakesRow(row):
				taken++
				fans[0].EmitRow(row)
				row.Split(fans[1])
			default:
				row.Split(fans[0])
				row.Split(fans[1])
			}
		}
		want := logs[1].Findings()
		if diff := cmp.Diff(want, logs[0].Findings(), cmp.AllowUnexported(finding.Register{})); diff != "" {
			t.Fatalf("seed %d (-single events +rows):\n%s", seed, diff)
		}
		for _, f := range want {
			rules[f.ID] = true
		}
	}
	if taken < 500 || len(rules) < 8 {
		t.Errorf("%d rows were taken as such, %d rules broken: that tells little", taken, len(rules))
	}
	t.Logf("%d rows, %d rules", taken, len(rules))
}
