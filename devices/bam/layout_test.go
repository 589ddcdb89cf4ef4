package bam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/reg"
)

// sheet is the offsets of datasheet §2.1 and §2.2, typed in a second time: register, v1.3,
// v1.4, v1.7, v2.0, and the strides of v1.3, v1.4 and the two others. §2.2 has no column
// for v2.0: its values follow from "pipe part = v1.7 − 0x7000, the rest the same".
const sheet = `
BAM_CTRL                 0F80 0000 0000 0000  0 0 0
BAM_REVISION             0F84 0004 1000 1000  0 0 0
BAM_NUM_PIPES            0FBC 003C 1008 1008  0 0 0
BAM_DESC_CNT_TRSHLD      0F88 0008 0008 0008  0 0 0
BAM_IRQ_SRCS             0F8C 000C 3010 3010  0 0 0
BAM_IRQ_SRCS_MSK         0F90 0010 3014 3014  0 0 0
BAM_IRQ_SRCS_UNMASKED    0FB0 0030 3018 3018  0 0 0
BAM_IRQ_STTS             0F94 0014 0014 0014  0 0 0
BAM_IRQ_CLR              0F98 0018 0018 0018  0 0 0
BAM_IRQ_EN               0F9C 001C 001C 001C  0 0 0
BAM_CNFG_BITS            0FFC 007C 007C 007C  0 0 0
BAM_IRQ_SRCS_EE          1800 0800 3000 3000  80 80 1000
BAM_IRQ_SRCS_MSK_EE      1804 0804 3004 3004  80 80 1000
P_CTRL                   0000 1000 13000 C000  80 1000 1000
P_RST                    0004 1004 13004 C004  80 1000 1000
P_HALT                   0008 1008 13008 C008  80 1000 1000
P_IRQ_STTS               0010 1010 13010 C010  80 1000 1000
P_IRQ_CLR                0014 1014 13014 C014  80 1000 1000
P_IRQ_EN                 0018 1018 13018 C018  80 1000 1000
P_SW_OFSTS               1000 1800 13800 C800  40 1000 1000
P_EVNT_REG               1018 1818 13818 C818  40 1000 1000
P_DESC_FIFO_ADDR         101C 181C 1381C C81C  40 1000 1000
P_FIFO_SIZES             1020 1820 13820 C820  40 1000 1000
P_DATA_FIFO_ADDR         1024 1824 13824 C824  40 1000 1000
P_EVNT_GEN_TRSHLD        1028 1828 13828 C828  40 1000 1000
P_EVNT_DEST_ADDR         102C 182C 1382C C82C  40 1000 1000
SW_REVISION              - 80 1004 1004  0 0 0
BAM_TIMER                - 40 40 40  0 0 0
BAM_TIMER_CTRL           - 44 44 44  0 0 0
BAM_IRQ_SIC_SEL          FA0 - - -  0 0 0
BAM_IRQ_DEST             FB4 - - -  0 0 0
BAM_PERIPH_IRQ_DEST      FB8 - - -  0 0 0
BAM_AHB_MASTER_ERR_CTRLS FA4 24 1024 1024  0 0 0
BAM_AHB_MASTER_ERR_ADDR  FA8 28 1028 1028  0 0 0
BAM_AHB_MASTER_ERR_ADDR_LSB - - 1100 1100  0 0 0
BAM_AHB_MASTER_ERR_ADDR_MSB - 104 1104 1104  0 0 0
BAM_AHB_MASTER_ERR_DATA  FAC 2C 102C 102C  0 0 0
BAM_TRUST_REG            FF0 70 2000 2000  0 0 0
BAM_TEST_BUS_SEL         FF4 74 1010 1010  0 0 0
BAM_TEST_BUS_REG         FF8 78 1014 1014  0 0 0
BAM_CNFG_BITS_2          - - 84 84  0 0 0
BAM_IRQ_SRCS_UNMASKED_EE 1808 808 3008 3008  80 80 1000
BAM_PIPE_ATTR_EE         - 80C 300C 300C  80 80 1000
P_TIMER                  1C 101C 1301C C01C  80 1000 1000
P_TIMER_CTRL             20 1020 13020 C020  80 1000 1000
P_PRDCR_SDBND            24 1024 13024 C024  80 1000 1000
P_CNSMR_SDBND            28 1028 13028 C028  80 1000 1000
P_TRUST_REG              30 1030 2020 2020  80 1000 4
P_AU_PSM_CNTXT_1         1004 1804 13804 C804  40 1000 1000
P_PSM_CNTXT_2            1008 1808 13808 C808  40 1000 1000
P_PSM_CNTXT_3            100C 180C 1380C C80C  40 1000 1000
P_PSM_CNTXT_4            1010 1810 13810 C810  40 1000 1000
P_PSM_CNTXT_5            1014 1814 13814 C814  40 1000 1000
P_DF_CNTXT               1030 1830 13830 C830  40 1000 1000
P_RETR_CNTXT             1034 1834 13834 C834  40 1000 1000
P_SI_CNTXT               1038 1838 13838 C838  40 1000 1000
P_IRQ_DEST_ADDR          103C - - -  40 1000 1000
P_PSM_CNTXT_3_LSB        - - 13900 C900  40 1000 1000
P_PSM_CNTXT_3_MSB        - 1904 13904 C904  40 1000 1000
P_DESC_FIFO_ADDR_LSB     - - 13910 C910  40 1000 1000
P_DESC_FIFO_ADDR_MSB     - 1914 13914 C914  40 1000 1000
P_DATA_FIFO_ADDR_MSB     - 1924 13924 C924  40 1000 1000
P_EVNT_DEST_ADDR_MSB     - 1934 13934 C934  40 1000 1000
`

var layouts = []bam.Layout{bam.V13, bam.V14, bam.V17, bam.V20}

// byName finds all registers through the public view of the table.
func byName(t *testing.T) map[string]bam.Reg {
	t.Helper()
	m := map[string]bam.Reg{}
	for r := bam.None + 1; r.String() != "?"; r++ {
		m[r.String()] = r
	}
	return m
}

func TestOffsets(t *testing.T) {
	regs := byName(t)
	seen := 0
	for line := range strings.Lines(strings.TrimSpace(sheet)) {
		f := strings.Fields(line)
		r, ok := regs[f[0]]
		if !ok {
			t.Errorf("no register %s", f[0])
			continue
		}
		seen++
		for i, l := range layouts {
			base, exists := l.Offset(r, 0)
			if f[1+i] == "-" {
				if exists {
					t.Errorf("%v: %v exists at %#x, the datasheet does not have it", l, r, base)
				}
				continue
			}
			var want, stride uint32
			fmt.Sscanf(f[1+i], "%x", &want)
			fmt.Sscanf(f[5+min(i, 2)], "%x", &stride)
			if !exists || base != want {
				t.Errorf("%v: %v at %#x, want %#x", l, r, base, want)
			}
			if second, ok := l.Offset(r, 1); ok != (stride != 0) || ok && second-base != stride {
				t.Errorf("%v: %v has stride %#x (%v), want %#x", l, r, second-base, ok, stride)
			}
		}
	}
	if seen != len(regs) {
		t.Errorf("the sheet has %d registers, the table %d", seen, len(regs))
	}
}

func TestDecode(t *testing.T) {
	for _, l := range layouts {
		found := 0
		for off := uint32(0); off < l.Window(bam.MaxPipes); off += 4 {
			r, pipe, ee := l.Decode(off)
			if r == bam.None {
				continue
			}
			found++
			if back, ok := l.Offset(r, max(pipe, ee, 0)); !ok || back != off {
				t.Fatalf("%v: %#x decodes to %s, which is at %#x", l, off, l.Name(off), back)
			}
			if pipe >= 0 && ee >= 0 {
				t.Errorf("%v: %#x belongs to a pipe and an EE", l, off)
			}
			if r, _, _ := l.Decode(off + 1); r != bam.None {
				t.Errorf("%v: unaligned %#x decodes to %v", l, off+1, r)
			}
		}
		want := 0
		for _, r := range byName(t) {
			for i := 0; ; i++ {
				if _, ok := l.Offset(r, i); !ok {
					break
				}
				want++
			}
		}
		if found != want {
			t.Errorf("%v: %d offsets decode, %d registers exist", l, found, want)
		}
		if r, _, _ := l.Decode(^uint32(3)); r != bam.None {
			t.Errorf("%v: the last word of the address space is %v", l, r)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		l    bam.Layout
		off  uint32
		want string
	}{
		{bam.V17, 0x17000, "P_CTRL[4]"},
		{bam.V17, 0x4004, "BAM_IRQ_SRCS_MSK_EE[1]"},
		{bam.V17, 0x202C, "P_TRUST_REG[3]"},
		{bam.V17, 0x0, "BAM_CTRL"},
		{bam.V17, 0x9000, "BAM_IRQ_SRCS_EE[6]"},
		{bam.V17, 0xF000, "BAM+0xf000"},
		{bam.V13, 0x1058, "P_EVNT_REG[1]"},
	} {
		if got := tt.l.Name(tt.off); got != tt.want {
			t.Errorf("%v %#x: %q, want %q", tt.l, tt.off, got, tt.want)
		}
	}
}

// §2.1, window arithmetic.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		l     bam.Layout
		pipes int
		want  uint32
	}{
		{bam.V17, 16, 0x23000}, {bam.V17, 20, 0x27000}, {bam.V17, 13, 0x20000}, {bam.V20, 20, 0x20000},
		{bam.V14, 8, 0x9000}, {bam.V13, 8, 0x2000},
	} {
		if got := tt.l.Window(tt.pipes); got != tt.want {
			t.Errorf("%v with %d pipes: %#x, want %#x", tt.l, tt.pipes, got, tt.want)
		}
	}
}

func TestParseLayout(t *testing.T) {
	for _, l := range layouts {
		if got, err := bam.ParseLayout(l.String()); err != nil || got != l {
			t.Errorf("%v: %v, %v", l, got, err)
		}
	}
	if _, err := bam.ParseLayout("v9"); err == nil || !strings.Contains(err.Error(), "v1.7") {
		t.Errorf("an unknown layout: %v, want an error that names those that exist", err)
	}
}

// Each register must be documented, and its fields in order without overlap.
func TestRegisterTable(t *testing.T) {
	for name, r := range byName(t) {
		d := r.Register()
		if d.Doc == "" || d.Source == "" {
			t.Errorf("%s: no description or source", name)
		}
		var used uint32
		for _, f := range d.Fields {
			if f.Hi < f.Lo || f.Hi > 31 || used&f.Mask() != 0 {
				t.Errorf("%s.%s: bits %d:%d overlap or do not exist", name, f.Name, f.Hi, f.Lo)
			}
			used |= f.Mask()
		}
	}
}

func TestDocumentation(t *testing.T) {
	var b strings.Builder
	if err := reg.WriteMarkdown(&b, bam.Section()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| register | v1.3 | v1.4 | v1.7 | v2.0 | access |",
		"| P_EVNT_REG | 0x1018 + 0x40·p | 0x1818 + 0x1000·p | 0x13818 + 0x1000·p | 0xc818 + 0x1000·p | RW |",
		"| BAM_PIPE_ATTR_EE | – | 0x80c + 0x80·e |",
		"| 20:16 | LOCK_GROUP |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the documentation lacks %q", want)
		}
	}
}

// Each value of each reading sets one field, which no other reading sets.
func TestReadings(t *testing.T) {
	seen := map[bam.Readings]string{{}: "the default"}
	for _, rd := range bam.ReadingTable() {
		if rd.Question == "" || rd.Source == "" || len(rd.Values) < 2 || rd.Values[0].Evidence == "" {
			t.Errorf("reading %s is incomplete", rd.Name)
		}
		for i, v := range rd.Values {
			name := rd.Name + "=" + v.Name
			r, err := bam.ResolveReadings(reading.Choice{rd.Name: v.Name})
			if err != nil {
				t.Error(err)
			}
			if other, ok := seen[r]; ok != (i == 0) || i == 0 && other != "the default" {
				t.Errorf("%s is the same as %q", name, other)
			}
			if i > 0 {
				seen[r] = name
			}
		}
		if _, err := bam.ResolveReadings(reading.Choice{rd.Name: "nonsense"}); err == nil {
			t.Errorf("%s=nonsense is accepted", rd.Name)
		}
	}
	// The names of the constants and of the values belong together.
	for name, got := range map[string]bam.Answer{
		"bam-lock=after-elements": bam.LockAfterElements, "bam-unlock=before-elements": bam.UnlockBeforeElements,
		"bam-lock-on-pipe-reset=keep": bam.KeepOnPipeRst, "bam-lock-on-disable=release": bam.ReleaseOnDisable,
		"bam-arbiter=any": bam.ArbiterAny, "bam-super-group=shares-lock": bam.SuperGroupShares,
		"bam-read-element=drop": bam.ElementDropped, "bam-read-with-lock=bus-error": bam.ElementFails,
		"bam-element-decode=24": bam.Decode24, "bam-element-mask=zero": bam.MaskZero, "bam-bare-offset=drop": bam.BareDropped,
		"bam-outside-window=bus-error": bam.OutsideFails, "bam-nwd-scope=last-only": bam.NWDLast,
		"bam-cmd-disabled=skip": bam.CmdSkipped, "bam-cmd-disabled=data": bam.CmdAsData,
		"bam-out-of-desc=level": bam.OutOfDescLevel, "bam-foreign-globals=accept": bam.ForeignAccepted,
	} {
		c := reading.Choice{}
		if err := c.Parse(name); err != nil {
			t.Fatal(err)
		}
		s, err := bam.ReadingTable().Resolve(c)
		if err != nil {
			t.Fatal(err)
		}
		if m := slices.Max(s); bam.Answer(m) != got {
			t.Errorf("%s is %d, the constant %d", name, m, got)
		}
	}
}

func TestRules(t *testing.T) {
	ids := map[string]bool{}
	for _, r := range bam.Rules() {
		if ids[r.ID] || r.ID == "" || r.Title == "" || r.Source == "" {
			t.Errorf("rule %q: twice, or incomplete", r.ID)
		}
		ids[r.ID] = true
	}
	if a, b := bam.Rules(), bam.Rules(); !cmp.Equal(a, b) || a[0] != b[0] {
		t.Error("rules are not the same from call to call")
	}
}
