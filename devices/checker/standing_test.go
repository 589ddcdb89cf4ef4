package checker_test

import (
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/trace"
)

// TestStanding: what is begun and not done is told, whoever began it, as long as it
// is not done; the mark goes on with a processor that does something about it.
func TestStanding(t *testing.T) {
	const rx, foreign = 2, 4
	cpu, pipe := trace.CPUOf(0), trace.Master{Via: trace.Command, Pipe: rx}
	reg := func(r bam.Reg, value uint64) trace.Event {
		index := 0 // of the execution environment
		if r == bam.PEvntReg || r == bam.PFIFOSizes || r == bam.PIRQClr {
			index = rx
		}
		off, ok := bam.V17.Offset(r, index)
		if !ok {
			t.Fatalf("no %v", r)
		}
		return trace.Event{Kind: trace.RegWrite, Block: trace.BAM, By: cpu, Pipe: -1, Off: off, Value: value}
	}
	published := []trace.Event{reg(bam.PFIFOSizes, 64), reg(bam.PEvntReg, 16)}
	done := func(off uint32) trace.Event {
		return trace.Event{Kind: trace.DescDone, By: pipe, Pipe: rx, Off: off, Flags: bam.FlagINT}
	}
	start := trace.Event{Kind: trace.OpStart, By: pipe, Pipe: -1, Size: 32, Op: &trace.Op{PipeSet: rx / 2}}
	input := func(n uint32) trace.Event { return trace.Event{Kind: trace.DataIn, By: pipe, Pipe: rx, Size: n} }
	look := reg(bam.IRQSrcsEE, 1<<rx)
	look.Kind = trace.RegRead
	poll := trace.Event{Kind: trace.RegRead, Block: trace.QCE, By: cpu, Pipe: -1, Off: 0x100}
	for _, tt := range []struct {
		name   string
		events []trace.Event
		want   string // "" for nothing
	}{
		{"nothing", nil, ""},
		{"published", published, "pipe 2 from 0x0 to 0x10"},
		{"half done", append(published, done(0)), "from 0x8 to 0x10"},
		{"done", append(published, done(0), done(8)), ""},
		{"waits for the lock", append(published,
			trace.Event{Kind: trace.Lock, By: trace.Master{Via: trace.Command, EE: 1, Pipe: foreign}, Pipe: foreign},
			trace.Event{Kind: trace.LockWait, By: pipe, Pipe: rx}), "the lock, which pipe 4 of EE1 holds"},
		{"input is missing", []trace.Event{start, input(16)}, "of the 32 bytes that SEG_SIZE says, 16 came"},
		{"room is missing", []trace.Event{start, input(32)}, "room for its output"},
		{"an operation that is over", []trace.Event{start, {Kind: trace.OpDone, By: pipe, Pipe: -1}}, ""},
		{"somebody else's operation", []trace.Event{{Kind: trace.OpStart, By: trace.Master{EE: 1, Pipe: foreign}, Pipe: -1, Size: 32}}, ""},
		{"an interrupt that stays", []trace.Event{look, look, look}, "the interrupt of pipe 2 is never cleared"},
		{"an interrupt that is cleared", []trace.Event{look, look, reg(bam.PIRQClr, 1), look}, ""},
		{"a row of reads", []trace.Event{poll, poll, poll}, "0x100 of QCE is read over and over"},
		{"a row of reads that ended", []trace.Event{poll, poll, poll, reg(bam.PIRQClr, 1)}, ""},
	} {
		c := checker.New(checker.Config{Layout: bam.V17, Owners: []uint8{0, 0, 0, 0, 1}, Polls: 3}, ids{})
		for i := range tt.events {
			e := tt.events[i]
			e.Seq = uint64(i + 1)
			c.Emit(&e)
		}
		got, mark := c.Standing(0)
		if (got != "") != (tt.want != "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		e := reg(bam.IRQSrcsMskEE, 0)
		e.Seq = uint64(len(tt.events) + 1)
		c.Emit(&e)
		if _, after := c.Standing(0); after == mark {
			t.Errorf("%s: the mark stays %d", tt.name, mark)
		}
	}
}
