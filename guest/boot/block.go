package boot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/dt"
)

// Region is a part of the block's window.
type Region struct {
	Offset uint64 // from the start of the window
	Size   uint64
}

// Block describes the crypto block for the device tree (datasheet §27).
type Block struct {
	Size uint64 // of the whole window, BAR 0; a power of two
	BAM  Region
	QCE  Region

	// Compatible strings, the most specific one first. bam_dma matches on
	// qcom,bam-v1.3.0, -v1.4.0, -v1.7.0 (and -v2.0.0 since 7.2); qce on
	// qcom,crypto-v5.1, qcom,crypto-v5.4 and qcom,qce.
	BAMCompatible []string // e.g. "qcom,bam-v1.7.4", "qcom,bam-v1.7.0"
	QCECompatible []string // e.g. "qcom,sm8150-qce", "qcom,qce"

	EE uint32 // Linux's execution environment
	// With a clock, bam_dma reads the number of channels and EEs from the
	// hardware; without one it takes them from here (datasheet §21).
	Clock    bool
	Channels uint32
	NumEEs   uint32

	ControlledRemotely bool
	PoweredRemotely    bool

	RxPipe uint32 // memory → engine
	TxPipe uint32 // engine → memory

	// IOMMU puts both nodes behind the machine's SMMUv3. QEMU 11.1.3 refuses a
	// vfio-user device there (its SMMU cannot notify of new mappings): it is
	// for a QEMU that does not.
	IOMMU bool
}

func (b *Block) check(m *Machine) error {
	inside := func(r Region) bool { return r.Size > 0 && r.Offset < b.Size && r.Size <= b.Size-r.Offset }
	switch {
	case b.Size == 0 || b.Size&(b.Size-1) != 0:
		return fmt.Errorf("crypto block: size %#x is not a power of two", b.Size)
	case b.Size > m.Window || m.BAR%b.Size != 0:
		return fmt.Errorf("crypto block: %#x bytes do not fit the machine's PCI window at %#x", b.Size, m.BAR)
	case !inside(b.BAM) || !inside(b.QCE):
		return errors.New("crypto block: BAM or QCE is not inside the window")
	case len(b.BAMCompatible) == 0 || len(b.QCECompatible) == 0:
		return errors.New("crypto block: compatible strings are missing")
	case !b.Clock && (b.Channels == 0 || b.NumEEs == 0):
		return errors.New("crypto block: without a clock the driver wants the number of channels and of EEs")
	}
	return nil
}

// DTB returns the device tree for the guest: QEMU's, with the block in place of
// the PCIe host.
func (m *Machine) DTB(b Block) ([]byte, error) {
	if err := b.check(m); err != nil {
		return nil, err
	}
	tree := &dt.FDT{Header: m.tree.Header, ReserveEntries: m.tree.ReserveEntries, RootNode: clone(m.tree.RootNode)}
	if pcie, ok := findPCIe(tree); ok {
		pcie.UpdateProperty("status", text("disabled"))
	}
	if err := b.add(m, tree); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if _, err := tree.Write(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// add appends the block's nodes to the root node.
func (b *Block) add(m *Machine, tree *dt.FDT) error {
	root := tree.RootNode
	if u32(root, "#address-cells", 2) != 2 || u32(root, "#size-cells", 1) != 2 {
		return errors.New("QEMU's device tree: the root node does not use two cells for addresses and sizes")
	}
	next := freePHandle(root)
	bamHandle, clockHandle := next, next+1

	at := func(r Region) dt.Property {
		return dt.PropertyRegion("reg", m.BAR+r.Offset, r.Size)
	}
	// The model and the guest share one coherent memory; a guest that believed
	// otherwise would only flush in vain.
	coherent := dt.Property{Name: "dma-coherent"}

	bam := dt.NewNode(fmt.Sprintf("dma-controller@%x", m.BAR+b.BAM.Offset), dt.WithProperty(
		stringList("compatible", b.BAMCompatible),
		at(b.BAM),
		dt.PropertyU32("interrupt-parent", m.GIC),
		dt.PropertyU32Array("interrupts", m.Interrupt[:]),
		dt.PropertyU32("#dma-cells", 1),
		dt.PropertyU32("qcom,ee", b.EE),
		coherent,
		dt.PropertyU32("phandle", bamHandle),
	))
	qce := dt.NewNode(fmt.Sprintf("crypto@%x", m.BAR+b.QCE.Offset), dt.WithProperty(
		stringList("compatible", b.QCECompatible),
		at(b.QCE),
		dt.PropertyU32Array("dmas", []uint32{bamHandle, b.RxPipe, bamHandle, b.TxPipe}),
		stringList("dma-names", []string{"rx", "tx"}),
		coherent,
	))
	if b.ControlledRemotely {
		mark(bam, "qcom,controlled-remotely")
	}
	if b.PoweredRemotely {
		mark(bam, "qcom,powered-remotely")
	}
	if b.Clock {
		root.Children = append(root.Children, dt.NewNode("qcemu-clock", dt.WithProperty(
			stringList("compatible", []string{"fixed-clock"}),
			dt.PropertyU32("#clock-cells", 0),
			dt.PropertyU32("clock-frequency", 100_000_000),
			dt.PropertyU32("phandle", clockHandle),
		)))
		bam.Update(dt.PropertyU32("clocks", clockHandle))
		bam.Update(stringList("clock-names", []string{"bam_clk"}))
		qce.Update(dt.PropertyU32Array("clocks", []uint32{clockHandle, clockHandle, clockHandle}))
		qce.Update(stringList("clock-names", []string{"iface", "bus", "core"}))
	} else {
		bam.Update(dt.PropertyU32("num-channels", b.Channels))
		bam.Update(dt.PropertyU32("qcom,num-ees", b.NumEEs))
	}
	if b.IOMMU {
		smmu, err := findSMMU(tree)
		if err != nil {
			return err
		}
		iommus := dt.PropertyU32Array("iommus", []uint32{smmu, m.StreamID})
		bam.Update(iommus)
		qce.Update(iommus)
	}
	root.Children = append(root.Children, bam, qce)
	return nil
}

func findSMMU(tree *dt.FDT) (uint32, error) {
	n, ok := tree.RootNode.Find(func(n *dt.Node) bool {
		p, ok := n.LookProperty("compatible")
		return ok && slices.Contains(strings.Split(string(p.Value), "\x00"), "arm,smmu-v3")
	})
	if !ok {
		return 0, errors.New("the machine has no SMMU: use -machine virt,iommu=smmuv3")
	}
	return u32(n, "phandle", 0), nil
}

// freePHandle returns a phandle above all that are in use.
func freePHandle(root *dt.Node) uint32 {
	var max uint32
	root.Walk(func(n *dt.Node) error {
		if h := u32(n, "phandle", 0); h > max {
			max = h
		}
		return nil
	})
	return max + 1
}

func text(s string) []byte { return append([]byte(s), 0) }

func stringList(name string, list []string) dt.Property {
	return dt.Property{Name: name, Value: text(strings.Join(list, "\x00"))}
}

func mark(n *dt.Node, name string) {
	n.Update(dt.Property{Name: name})
}

// clone copies a tree so that a Machine can serve several blocks.
func clone(n *dt.Node) *dt.Node {
	c := &dt.Node{Name: n.Name, Properties: slices.Clone(n.Properties)}
	for _, child := range n.Children {
		c.Children = append(c.Children, clone(child))
	}
	return c
}
