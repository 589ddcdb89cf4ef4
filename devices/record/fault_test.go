package record

import (
	"bytes"
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
)

// holed is guest memory of which a part cannot be reached from some access on.
type holed struct {
	bus.Memory
	reads, writes int // how many succeed before; negative: all
	reason        bus.Reason
}

func (h *holed) Read(addr uint64, p []byte) error {
	if h.reads--; h.reads == -1 {
		return &bus.Fault{Addr: addr, Len: len(p), Reason: h.reason}
	}
	return h.Memory.Read(addr, p)
}

func (h *holed) Write(addr uint64, p []byte) error {
	if h.writes--; h.writes == -1 {
		return &bus.Fault{Addr: addr, Len: len(p), Write: true, Reason: h.reason}
	}
	return h.Memory.Write(addr, p)
}

// runHoled records requests of which most come upon a hole in memory, and accesses
// of other sizes than a driver's.
func runHoled(t *testing.T, c model.Config) recorded {
	t.Helper()
	m, linux, end := recording(t, c)
	hung := 0
	for i, h := range []holed{
		{reads: -1, writes: -1},
		{reads: 0, writes: -1, reason: bus.Unmapped}, // its first descriptor
		{reads: 3, writes: -1, reason: bus.Truncated},
		{reads: 9, writes: -1, reason: bus.Injected},
		{reads: -1, writes: 0, reason: bus.ReadOnly}, // its first output
		{reads: -1, writes: 2, reason: bus.Unmapped},
		{reads: -1, writes: -1},
	} {
		h.Memory = linux.Mem
		m.Block.Port(m.Profile.EE).Attach(&h, &linux.Line)
		for _, do := range []func() bool{
			func() bool { return linux.Stock(requests(byte(i))[0]).Hung },
			func() bool { return linux.Series(requests(byte(i))[1]).Hung },
		} {
			if do() {
				hung++
				m.Block.Reset()
				linux.Init()
			}
		}
		for _, size := range []uint8{1, 2, 8} {
			e := cryptoblock.Entry{Kind: cryptoblock.ReadEntry, EE: uint8(m.Profile.EE), Size: size, Off: uint64(m.Profile.QCEOffset)}
			m.Block.Do(e)
			e.Kind, e.Value = cryptoblock.WriteEntry, uint64(i)
			m.Block.Do(e)
		}
	}
	if hung < 3 {
		t.Errorf("only %d requests came to nothing", hung)
	}
	return recorded{file: end(), model: m}
}

// TestFaults: accesses to memory that fail are recorded with their reasons, and a
// replay and a variant without a change fail the same way.
func TestFaults(t *testing.T) {
	c := model.Config{SoC: "sdm845", Check: &model.Check{}, Integrity: true}
	run := runHoled(t, c)
	want := results(t, run.model)

	reads, writes := map[bus.Reason]int{}, map[bus.Reason]int{}
	sizes := map[uint8]int{}
	rewrite(t, run.file, func(n *rec) bool {
		switch {
		case n.kind == faultRec && n.write:
			writes[n.reason]++
		case n.kind == faultRec:
			reads[n.reason]++
		case n.kind == readRec || n.kind == writeRec:
			sizes[n.entry.Size]++
		}
		return true
	})
	if reads[bus.Unmapped] == 0 || reads[bus.Truncated] == 0 || reads[bus.Injected] == 0 || writes[bus.ReadOnly] == 0 || writes[bus.Unmapped] == 0 {
		t.Errorf("recorded: failed reads %v, failed writes %v", reads, writes)
	}
	if sizes[1] == 0 || sizes[2] == 0 || sizes[8] == 0 {
		t.Errorf("recorded: accesses by size %v", sizes)
	}

	res := replay(t, run.file)
	if res.Divergence != nil || !res.Complete {
		t.Fatalf("complete %v, divergence %v", res.Complete, res.Divergence)
	}
	if diff := cmp.Diff(want, results(t, res.Model)); diff != "" {
		t.Errorf("replay (-recorded +got):\n%s", diff)
	}
	r, err := NewReader(bytes.NewReader(run.file))
	if err != nil {
		t.Fatal(err)
	}
	if res, err = Variant(context.Background(), r, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, results(t, res.Model)); diff != "" || res.Divergence != nil {
		t.Errorf("variant (-recorded +got), divergence %v:\n%s", res.Divergence, diff)
	}

	// Another fault than recorded is seen.
	for name, change := range map[string]func(n *rec){
		"reads":  func(n *rec) { n.addr += 8 },
		"writes": func(n *rec) { n.size++ },
	} {
		changed := false
		file := rewrite(t, run.file, func(n *rec) bool {
			if !changed && n.kind == faultRec && n.write == (name == "writes") {
				change(n)
				changed = true
			}
			return true
		})
		if res := replay(t, file); res.Divergence == nil {
			t.Errorf("%s: no divergence", name)
		}
	}
}
