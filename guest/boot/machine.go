package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/u-root/u-root/pkg/dt"
)

// Slot is the PCI slot of bus 0 on which QEMU's command line puts the device
// ("addr":"4.0").
const Slot = 4

// Machine is what the stub and the device tree need to know of the QEMU machine
// in use, read from its own device tree.
type Machine struct {
	Config    uint64    // the function's configuration space (ECAM)
	BAR       uint64    // bus and CPU address for its BAR 0: the start of the 32-bit window
	Window    uint64    // bytes from there to the window's end
	Interrupt [3]uint32 // INTA of the slot as the GIC's specifier
	GIC       uint32    // phandle of the interrupt controller
	StreamID  uint32    // of the function at the SMMU: its bus, device and function number

	tree *dt.FDT
}

// NewMachine reads a device tree as QEMU dumps it, for a device at slot 4,
// function 0 of bus 0.
func NewMachine(dtb []byte) (*Machine, error) {
	tree, err := dt.ReadFDT(bytes.NewReader(dtb))
	if err != nil {
		return nil, fmt.Errorf("QEMU's device tree: %w", err)
	}
	pcie, ok := findPCIe(tree)
	if !ok {
		return nil, errors.New("QEMU's device tree has no generic ECAM PCIe host: use -machine virt")
	}
	m := &Machine{StreamID: Slot << 3, tree: tree}
	for _, step := range []func(*dt.Node) error{m.readConfig, m.readWindow, m.readInterrupt} {
		if err := step(pcie); err != nil {
			return nil, fmt.Errorf("QEMU's device tree, node %s: %w", pcie.Name, err)
		}
	}
	return m, nil
}

func findPCIe(tree *dt.FDT) (*dt.Node, bool) {
	return tree.RootNode.Find(func(n *dt.Node) bool {
		p, ok := n.LookProperty("compatible")
		return ok && strings.Contains(string(p.Value), "pci-host-ecam-generic\x00")
	})
}

// readConfig takes the ECAM address from reg: 1 MiB for each bus, 32 KiB for
// each slot, 4 KiB for each function.
func (m *Machine) readConfig(pcie *dt.Node) error {
	c, err := cells(pcie, "reg", 4)
	if err != nil {
		return err
	}
	m.Config = pair(c) + Slot<<15
	return nil
}

// PCI address space code in the first cell of a ranges entry.
const (
	pciSpaceMask  = 0x03000000
	pciSpaceMem32 = 0x02000000
)

// readWindow finds the 32-bit memory window in ranges, of which each entry is
// <space, PCI address (2), CPU address (2), size (2)>.
func (m *Machine) readWindow(pcie *dt.Node) error {
	c, err := cells(pcie, "ranges", 7)
	if err != nil {
		return err
	}
	for ; len(c) >= 7; c = c[7:] {
		if c[0]&pciSpaceMask != pciSpaceMem32 {
			continue
		}
		pci, cpu := pair(c[1:]), pair(c[3:])
		if pci != cpu || pci>>32 != 0 {
			return fmt.Errorf("the 32-bit memory window is at PCI %#x and CPU %#x: want one address below 4 GiB", pci, cpu)
		}
		m.BAR, m.Window = pci, pair(c[5:])
		return nil
	}
	return errors.New("ranges has no 32-bit memory window")
}

// readInterrupt finds INTA of the slot in interrupt-map, of which each entry is
// <PCI address (3), pin, controller, controller's unit address, interrupt (3)>.
func (m *Machine) readInterrupt(pcie *dt.Node) error {
	mask, err := cells(pcie, "interrupt-map-mask", 4)
	if err != nil {
		return err
	}
	table, err := cells(pcie, "interrupt-map", 5)
	if err != nil {
		return err
	}
	const pinA = 1
	for len(table) >= 5 {
		gic, ok := byPHandle(m.tree, table[4])
		if !ok {
			return fmt.Errorf("interrupt-map names an interrupt controller %#x that is not there", table[4])
		}
		unit, spec := u32(gic, "#address-cells", 0), u32(gic, "#interrupt-cells", 0)
		if unit > 2 || spec != 3 {
			return fmt.Errorf("the interrupt controller %s has %d interrupt cells: want the 3 of a GIC", gic.Name, spec)
		}
		n := int(5 + unit + spec)
		if len(table) < n {
			return errors.New("interrupt-map ends within an entry")
		}
		if table[0] == Slot<<11&mask[0] && table[3] == pinA&mask[3] {
			m.GIC = table[4]
			copy(m.Interrupt[:], table[n-3:n])
			return nil
		}
		table = table[n:]
	}
	return fmt.Errorf("interrupt-map has no entry for INTA of slot %d", Slot)
}

// byPHandle finds the node that a phandle refers to.
func byPHandle(tree *dt.FDT, handle uint32) (*dt.Node, bool) {
	return tree.RootNode.Find(func(n *dt.Node) bool {
		return handle != 0 && u32(n, "phandle", 0) == handle
	})
}

// cells returns a property as a list of 32-bit numbers, at least min of them.
func cells(n *dt.Node, name string, min int) ([]uint32, error) {
	p, ok := n.LookProperty(name)
	if !ok {
		return nil, fmt.Errorf("no property %s", name)
	}
	if len(p.Value)%4 != 0 || len(p.Value) < 4*min {
		return nil, fmt.Errorf("property %s has %d bytes: want at least %d cells", name, len(p.Value), min)
	}
	c := make([]uint32, len(p.Value)/4)
	for i := range c {
		c[i] = binary.BigEndian.Uint32(p.Value[4*i:])
	}
	return c, nil
}

// u32 returns a property of one cell, or missing.
func u32(n *dt.Node, name string, missing uint32) uint32 {
	c, err := cells(n, name, 1)
	if err != nil {
		return missing
	}
	return c[0]
}

// pair joins two cells.
func pair(c []uint32) uint64 { return uint64(c[0])<<32 | uint64(c[1]) }
