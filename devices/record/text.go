package record

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
)

// registerName names the register at an offset in the window.
func registerName(p *cryptoblock.Profile, off uint32) string {
	switch {
	case off-p.BAMOffset < p.BAMSize:
		layout, err := bam.ParseLayout(p.Layout)
		if err != nil {
			return fmt.Sprintf("%#x", off)
		}
		return layout.Name(off - p.BAMOffset)
	case off-p.QCEOffset < p.QCESize:
		return qce.Name(off - p.QCEOffset)
	}
	return fmt.Sprintf("%#x", off)
}

// secretAccess reports whether the value of an access may not be shown.
func secretAccess(p *cryptoblock.Profile, e *cryptoblock.Entry) bool {
	for i := range uint32(e.Size) {
		if off := uint32(e.Off) + i - p.QCEOffset; off < p.QCESize && qce.Secret(off) {
			return true
		}
	}
	return false
}

// valuesText says that a load gave another value than recorded.
func valuesText(p *cryptoblock.Profile, e *cryptoblock.Entry, got, want uint64) string {
	if secretAccess(p, e) {
		return "the model gives another value than recorded, which may not be shown"
	}
	return fmt.Sprintf("the model gives %#x, recorded is %#x", got, want)
}

// entryText renders an entry without its value.
func entryText(p *cryptoblock.Profile, e *cryptoblock.Entry) string {
	switch e.Kind {
	case cryptoblock.ReadEntry, cryptoblock.WriteEntry:
		s := fmt.Sprintf("EE%d %s %s", e.EE, e.Kind, registerName(p, uint32(e.Off)))
		if e.Size != 4 {
			s += fmt.Sprintf(", %d bytes", e.Size)
		}
		return s
	}
	return e.Kind.String()
}

// accessText renders a record in a sentence about what is missing or surplus.
func accessText(n *rec) string {
	switch n.kind {
	case fetchRec:
		return fmt.Sprintf("pipe %d reading %d bytes at %#x", n.pipe, n.size, n.addr)
	case faultRec:
		what := "reading"
		if n.write {
			what = "writing"
		}
		return fmt.Sprintf("pipe %d %s %d bytes at %#x, which failed", n.pipe, what, n.size, n.addr)
	case leaveRec:
		return "no access"
	}
	return "the end of the entry"
}
