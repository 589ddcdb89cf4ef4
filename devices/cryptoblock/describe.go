package cryptoblock

import (
	"fmt"
	"strings"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// describe renders an event in one line, with the registers' names.
func describe(layout bam.Layout, e *trace.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s %s", e.Seq, e.By, e.Kind)
	switch e.Kind {
	case trace.RegRead, trace.RegWrite:
		fmt.Fprintf(&b, " %s = %#x", registerName(layout, e), e.Value)
	case trace.Element:
		fmt.Fprintf(&b, " %#x = %#x", e.Off, e.Value)
	case trace.DescFetch, trace.DescDone, trace.WriteBack:
		fmt.Fprintf(&b, " pipe %d at %#x: %d bytes at %#x%s", e.Pipe, e.Off, e.Size, e.Addr, flagNames(e.Flags))
	case trace.DataIn, trace.DataOut:
		fmt.Fprintf(&b, " pipe %d: %d bytes at %#x", e.Pipe, e.Size, e.Addr)
	case trace.OpStart, trace.OpDone, trace.OpAbort:
		if op := e.Op; op != nil {
			fmt.Fprintf(&b, " %s, %d bits, %d bytes, %d writes by CPU, %d by commands", op.Alg, op.KeyBits, op.Bytes, op.ByCPU, op.ByCommand)
			if e.Kind == trace.OpDone {
				fmt.Fprintf(&b, ", STATUS %#x", op.Status)
			}
		}
	case trace.BusFault:
		fmt.Fprintf(&b, " pipe %d: %d bytes at %#x", e.Pipe, e.Size, e.Addr)
	case trace.Anomaly:
		fmt.Fprintf(&b, " %s %s", e.Rule.ID, e.Rule.Title)
		describeAnomaly(&b, layout, e)
	case trace.LineSet, trace.PipeIRQ, trace.Unlock:
		if e.Pipe >= 0 {
			fmt.Fprintf(&b, " pipe %d", e.Pipe)
		}
		fmt.Fprintf(&b, " %#x", e.Value)
	default:
		if e.Pipe >= 0 {
			fmt.Fprintf(&b, " pipe %d", e.Pipe)
		}
	}
	return b.String()
}

// describeAnomaly appends what the event has beside the rule.
func describeAnomaly(b *strings.Builder, layout bam.Layout, e *trace.Event) {
	var parts []string
	if e.Pipe >= 0 {
		parts = append(parts, fmt.Sprintf("pipe %d", e.Pipe))
	}
	switch {
	case e.Block != 0:
		parts = append(parts, registerName(layout, e))
	case e.Off != 0:
		parts = append(parts, fmt.Sprintf("offset %#x", e.Off))
	}
	for _, f := range []struct {
		name  string
		value uint64
	}{{"address", e.Addr}, {"size", uint64(e.Size)}, {"value", e.Value}} {
		if f.value != 0 {
			parts = append(parts, fmt.Sprintf("%s %#x", f.name, f.value))
		}
	}
	if e.Flags != 0 {
		parts = append(parts, "flags"+flagNames(e.Flags))
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, " (%s)", strings.Join(parts, ", "))
	}
}

func registerName(layout bam.Layout, e *trace.Event) string {
	switch e.Block {
	case trace.BAM:
		return layout.Name(e.Off)
	case trace.QCE:
		return qce.Name(e.Off)
	}
	return fmt.Sprintf("%#x", e.Off)
}

// flagNames renders the flags of a descriptor, with a space in front.
func flagNames(flags uint16) string {
	var b strings.Builder
	for _, f := range []struct {
		bit  uint16
		name string
	}{
		{bam.FlagCMD, "CMD"}, {bam.FlagLOCK, "LOCK"}, {bam.FlagUNLOCK, "UNLOCK"}, {bam.FlagNWD, "NWD"},
		{bam.FlagEOT, "EOT"}, {bam.FlagEOB, "EOB"}, {bam.FlagINT, "INT"}, {bam.FlagIMME, "IMME"},
	} {
		if flags&f.bit != 0 {
			b.WriteString(" " + f.name)
		}
	}
	return b.String()
}
