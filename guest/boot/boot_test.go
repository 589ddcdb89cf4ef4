package boot

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/u-root/u-root/pkg/dt"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sm8250 is the block as most profiles have it.
func sm8250() Block {
	return Block{
		Size:          256 << 10,
		BAM:           Region{Offset: 0x4000, Size: 0x24000},
		QCE:           Region{Offset: 0x3a000, Size: 0x6000},
		BAMCompatible: []string{"qcom,bam-v1.7.4", "qcom,bam-v1.7.0"},
		QCECompatible: []string{"qcom,sm8250-qce", "qcom,sm8150-qce", "qcom,qce"},
		Channels:      8, NumEEs: 2, ControlledRemotely: true, RxPipe: 4, TxPipe: 5,
	}
}

// sdm845 has clocks, so the driver asks the hardware for its size.
func sdm845() Block {
	b := sm8250()
	b.QCECompatible = []string{"qcom,crypto-v5.4"}
	b.Clock, b.Channels, b.NumEEs = true, 0, 0
	b.RxPipe, b.TxPipe = 6, 7
	return b
}

// own is a BAM that Linux controls, behind the SMMU.
func own() Block {
	b := sm8250()
	b.ControlledRemotely, b.PoweredRemotely, b.IOMMU, b.EE = false, true, true, 1
	return b
}

// machine reads a device tree that QEMU 11.1.3 dumped, with -machine virt and
// the option that its name tells.
func machine(t *testing.T, name string) *Machine {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "virt-"+name+".dtb"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMachine(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMachine(t *testing.T) {
	type facts struct {
		Config, BAR, Window uint64
		Interrupt           [3]uint32
		StreamID            uint32
	}
	spi3 := [3]uint32{0, 3, 4} // slot 4 is like slot 0: INTA is the first of four
	for name, want := range map[string]facts{
		"gicv2":       {0x4010020000, 0x10000000, 0x2eff0000, spi3, 0x20},
		"smmu-gicv3":  {0x4010020000, 0x10000000, 0x2eff0000, spi3, 0x20},
		"highmem-off": {0x3f020000, 0x10000000, 0x2eff0000, spi3, 0x20},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t, name)
			got := facts{m.Config, m.BAR, m.Window, m.Interrupt, m.StreamID}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			gic, ok := byPHandle(m.tree, m.GIC)
			if !ok || !strings.HasPrefix(gic.Name, "intc@") {
				t.Errorf("GIC phandle %#x does not lead to the interrupt controller", m.GIC)
			}
		})
	}
}

// TestDTB compares what is added to QEMU's tree with a golden file, and that
// nothing else is changed.
func TestDTB(t *testing.T) {
	for _, c := range []struct {
		golden, machine string
		block           Block
	}{
		{"sm8250", "gicv2", sm8250()},
		{"sdm845", "highmem-off", sdm845()},
		{"iommu", "smmu-gicv3", own()},
	} {
		t.Run(c.golden, func(t *testing.T) {
			m := machine(t, c.machine)
			before := render(m.tree.RootNode)
			dtb, err := m.DTB(c.block)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := dt.ReadFDT(bytes.NewReader(dtb))
			if err != nil {
				t.Fatal(err)
			}
			added, removed := lineDiff(before, render(tree.RootNode))
			if len(removed) != 0 {
				t.Errorf("gone from QEMU's tree: %q", removed)
			}
			golden(t, c.golden+".txt", strings.Join(added, "\n")+"\n")
			if after := render(m.tree.RootNode); !slices.Equal(before, after) {
				t.Error("DTB changed the machine's own tree")
			}
			dtcAccepts(t, dtb)
		})
	}
}

// render writes each property as a line with its full path.
func render(root *dt.Node) []string {
	var lines []string
	var visit func(n *dt.Node, at string)
	visit = func(n *dt.Node, at string) {
		at += n.Name + "/"
		for _, p := range n.Properties {
			lines = append(lines, fmt.Sprintf("%s%s = %s", at, p.Name, value(p.Value)))
		}
		for _, child := range n.Children {
			visit(child, at)
		}
	}
	visit(root, "")
	return lines
}

func value(v []byte) string {
	if n := len(v); n > 1 && v[n-1] == 0 && !bytes.ContainsFunc(bytes.ReplaceAll(v, []byte{0}, nil), func(r rune) bool { return r < ' ' || r > '~' }) && v[0] != 0 {
		return fmt.Sprintf("%q", strings.Split(string(v[:n-1]), "\x00"))
	}
	if len(v)%4 != 0 {
		return fmt.Sprintf("%x", v)
	}
	var words []string
	for ; len(v) > 0; v = v[4:] {
		words = append(words, fmt.Sprintf("%#x", binary.BigEndian.Uint32(v)))
	}
	return "<" + strings.Join(words, " ") + ">"
}

func lineDiff(before, after []string) (added, removed []string) {
	for _, l := range after {
		if !slices.Contains(before, l) {
			added = append(added, l)
		}
	}
	for _, l := range before {
		if !slices.Contains(after, l) {
			removed = append(removed, l)
		}
	}
	return added, removed
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// dtcAccepts has the device tree compiler check the tree, if it is installed.
// Of its warnings only those about the block's nodes are ours.
func dtcAccepts(t *testing.T, dtb []byte) {
	t.Helper()
	dtc, err := exec.LookPath("dtc")
	if err != nil {
		t.Log("no dtc: the tree's form is not checked")
		return
	}
	cmd := exec.Command(dtc, "-I", "dtb", "-O", "dts", "-o", "/dev/null", "-")
	cmd.Stdin = bytes.NewReader(dtb)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("dtc: %v\n%s", err, out)
	}
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, "/crypto@") || strings.Contains(line, "/dma-controller@") || strings.Contains(line, "/qcemu-clock") {
			t.Errorf("dtc: %s", line)
		}
	}
}

func TestDTBErrors(t *testing.T) {
	for name, c := range map[string]struct {
		machine string
		change  func(*Block)
		want    string
	}{
		"size":       {"gicv2", func(b *Block) { b.Size = 0x30000 }, "power of two"},
		"window":     {"gicv2", func(b *Block) { b.Size = 1 << 30 }, "do not fit"},
		"outside":    {"gicv2", func(b *Block) { b.QCE.Offset = 0x3c000 }, "not inside"},
		"overflow":   {"gicv2", func(b *Block) { b.QCE = Region{Offset: ^uint64(0), Size: 2} }, "not inside"},
		"compatible": {"gicv2", func(b *Block) { b.BAMCompatible = nil }, "compatible strings"},
		"channels":   {"gicv2", func(b *Block) { b.Channels = 0 }, "number of channels"},
		"iommu":      {"gicv2", func(b *Block) { b.IOMMU = true }, "iommu=smmuv3"},
	} {
		t.Run(name, func(t *testing.T) {
			b := sm8250()
			c.change(&b)
			_, err := machine(t, c.machine).DTB(b)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v: want one with %q", err, c.want)
			}
		})
	}
}

// TestMachineErrors takes properties away from QEMU's tree.
func TestMachineErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(pcie *dt.Node)
		want   string
	}{
		"no host":      {func(n *dt.Node) { n.UpdateProperty("compatible", text("something")) }, "-machine virt"},
		"no reg":       {func(n *dt.Node) { n.RemoveProperty("reg") }, "no property reg"},
		"short reg":    {func(n *dt.Node) { n.UpdateProperty("reg", make([]byte, 8)) }, "at least 4 cells"},
		"no window":    {func(n *dt.Node) { n.UpdateProperty("ranges", make([]byte, 28)) }, "no 32-bit memory window"},
		"cut map":      {func(n *dt.Node) { cut(n, "interrupt-map", 28) }, "ends within an entry"},
		"wrong parent": {func(n *dt.Node) { n.UpdateProperty("interrupt-map", make([]byte, 40)) }, "not there"},
		"other slots":  {func(n *dt.Node) { n.UpdateProperty("interrupt-map-mask", bytes.Repeat([]byte{0xff}, 16)) }, "no entry for INTA"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := machine(t, "gicv2").tree
			pcie, _ := findPCIe(tree)
			c.change(pcie)
			var out bytes.Buffer
			if _, err := tree.Write(&out); err != nil {
				t.Fatal(err)
			}
			_, err := NewMachine(out.Bytes())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v: want one with %q", err, c.want)
			}
		})
	}
	if _, err := NewMachine([]byte("no device tree")); err == nil {
		t.Error("text was taken for a device tree")
	}
}

func cut(n *dt.Node, name string, size int) {
	p, _ := n.LookProperty(name)
	n.UpdateProperty(name, p.Value[:size])
}
