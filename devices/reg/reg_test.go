package reg_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/reg"
)

var ctrl = reg.Register{
	Name: "CTRL", Access: reg.RW, Reset: 2, Source: "§3 [D]", Doc: "Switches a|b.",
	Fields: []reg.Field{
		reg.Bit(0, "RST", "reset"),
		reg.Bits(10, 5, "SEL", "what is shown"),
		reg.Bits(31, 28, "TOP", "the last ones"),
	},
}

func TestField(t *testing.T) {
	for _, tt := range []struct {
		f    reg.Field
		mask uint32
		v    uint32
		want uint32
	}{
		{reg.Bit(0, "A", ""), 1, 0xffff_ffff, 1},
		{reg.Bit(31, "B", ""), 1 << 31, 0x8000_0000, 1},
		{reg.Bits(31, 0, "C", ""), 0xffff_ffff, 0x1234_5678, 0x1234_5678},
		{reg.Bits(23, 16, "D", ""), 0x00ff_0000, 0x1234_5678, 0x34},
	} {
		if got := tt.f.Mask(); got != tt.mask {
			t.Errorf("%s: mask %#x, want %#x", tt.f.Name, got, tt.mask)
		}
		if got := tt.f.Get(tt.v); got != tt.want {
			t.Errorf("%s: value %#x, want %#x", tt.f.Name, got, tt.want)
		}
	}
}

func TestImplementedAndFormat(t *testing.T) {
	if got, want := ctrl.Implemented(), uint32(0xf000_07e1); got != want {
		t.Errorf("implemented bits %#x, want %#x", got, want)
	}
	if got, want := ctrl.Format(0x43), "0x43 RST|SEL=0x2|reserved=0x2"; got != want {
		t.Errorf("format: %q, want %q", got, want)
	}
	plain := reg.Register{Name: "SIZE"}
	if got := plain.Implemented(); got != 0xffff_ffff {
		t.Errorf("a register without fields implements %#x, want all bits", got)
	}
	if got, want := plain.Format(16), "0x10"; got != want {
		t.Errorf("format: %q, want %q", got, want)
	}
	key := reg.Register{Name: "KEY", Secret: true}
	if got, want := key.Format(0xdead), "<secret>"; got != want {
		t.Errorf("a secret register is shown as %q, want %q", got, want)
	}
}

func TestWriteMarkdown(t *testing.T) {
	var b strings.Builder
	err := reg.WriteMarkdown(&b, reg.Section{
		Title:   "Block",
		Intro:   "Where from.",
		Columns: []string{"old", "new"},
		Rows: []reg.Row{
			{&ctrl, []string{"0x0", "0x10"}},
			{&reg.Register{Name: "KEY", Access: reg.WO, Source: "§13 [I]", Doc: "Key.", Secret: true, Unused: true}, []string{"", "0x20"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `## Block

Where from.

| register | old | new | access | reset | source | what it is |
|---|---|---|---|---|---|---|
| CTRL | 0x0 | 0x10 | RW | 0x2 | §3 [D] | Switches a\|b. |
| KEY | – | 0x20 | WO | – | §13 [I] | Key. Key material: never shown. Stored, without effect in the model. |

### CTRL

| bits | field | meaning |
|---|---|---|
| 0 | RST | reset |
| 10:5 | SEL | what is shown |
| 31:28 | TOP | the last ones |

`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("markdown (-want +got):\n%s", diff)
	}
}
