package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
)

// Span is a row of entries by their numbers, from 1 on.
type Span struct {
	From, To uint64 // 0: from the first, to the last
}

func (s Span) has(n uint64) bool { return n >= s.From && (s.To == 0 || n <= s.To) }

// Print writes a recording for people: one line for each entry and each memory
// access, with the names of registers. Values of registers that hold keys or
// data, and what memory held, are not shown.
func Print(ctx context.Context, w io.Writer, r *Reader, span Span) error {
	p, err := cryptoblock.ProfileByName(r.Header.Config.SoC)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	writeHeader(out, &r.Header)
	t := printer{w: out, profile: p, span: span}
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := r.take()
		switch {
		case err == io.EOF:
			fmt.Fprintln(out, "end of the recording")
			return out.Flush()
		case errors.Is(err, errCut):
			fmt.Fprintln(out, "the recording is cut off here")
			return out.Flush()
		case err != nil:
			return errors.Join(out.Flush(), err)
		}
		if t.record(n); span.To != 0 && t.number > span.To {
			return out.Flush()
		}
	}
}

func writeHeader(w io.Writer, h *Header) {
	fmt.Fprintf(w, "# SoC %s, seed %d, recorded %s by %s\n", h.Config.SoC, h.Config.Seed, h.Recorded.Format("2006-01-02 15:04:05"), h.Tool)
	if h.Origin != "" {
		fmt.Fprintf(w, "# %s\n", h.Origin)
	}
	if h.Shrunk != "" {
		fmt.Fprintf(w, "# shrunk to what shows %s\n", h.Shrunk)
	}
}

// printer writes records as lines.
type printer struct {
	w       io.Writer
	profile *cryptoblock.Profile
	span    Span
	number  uint64
	line    string // of a load, which wants its value
	entry   cryptoblock.Entry
}

func (t *printer) record(n *rec) {
	switch n.kind {
	case readRec, writeRec, resetRec, idleRec:
		t.number++
		t.entry = n.entry
		t.line = fmt.Sprintf("%8d  %s", t.number, entryText(t.profile, &n.entry))
		if n.kind != readRec {
			t.flush()
		}
		return
	}
	if n.kind == leaveRec && t.entry.Kind == cryptoblock.ReadEntry {
		t.entry.Value = n.value
		t.flush()
		return
	}
	t.flush()
	if !t.span.has(t.number) {
		return
	}
	switch n.kind {
	case fetchRec, faultRec:
		fmt.Fprintf(t.w, "%8s    %s\n", "", accessText(n))
	case leaveRec:
		if n.writes > 0 {
			fmt.Fprintf(t.w, "%8s    pipes have written memory %d times\n", "", n.writes)
		}
	case suiteRec:
		if n.suite == "" {
			fmt.Fprintln(t.w, "# no suite")
		} else {
			fmt.Fprintf(t.w, "# suite %q\n", n.suite)
		}
	case timeRec:
		fmt.Fprintf(t.w, "# %d.%03d s\n", n.value/1000, n.value%1000)
	case endRec:
		fmt.Fprintln(t.w, "# end of the run")
	}
}

// flush writes the line of an entry.
func (t *printer) flush() {
	if t.line == "" {
		return
	}
	if t.span.has(t.number) {
		fmt.Fprintln(t.w, t.line+t.value())
	}
	t.line = ""
}

// value renders what an entry has written or read.
func (t *printer) value() string {
	e := &t.entry
	switch {
	case e.Kind != cryptoblock.ReadEntry && e.Kind != cryptoblock.WriteEntry:
		return ""
	case secretAccess(t.profile, e):
		return " = (not shown)"
	case e.Size != 4:
		return fmt.Sprintf(" = %#x", e.Value)
	}
	return " = " + format(t.profile, uint32(e.Off), uint32(e.Value))
}

// format renders a register's value with its fields.
func format(p *cryptoblock.Profile, off, value uint32) string {
	switch {
	case off-p.BAMOffset < p.BAMSize:
		layout, err := bam.ParseLayout(p.Layout)
		if err != nil {
			break
		}
		if r, _, _ := layout.Decode(off - p.BAMOffset); r != bam.None {
			return r.Register().Format(value)
		}
	case off-p.QCEOffset < p.QCESize:
		for i := range qce.Registers {
			b := &qce.Registers[i]
			if off-p.QCEOffset-b.Off < 4*uint32(b.Count) {
				return b.Register.Format(value)
			}
		}
	}
	return fmt.Sprintf("%#x", value)
}
