package bam

import (
	"fmt"
	"strings"
	"sync"
)

// Layout is a register layout: which offset each register has. The device tree
// names it by its version; the REVISION register says something else (§2.3).
type Layout uint8

const (
	V13 Layout = iota // "LEGACY" in the vendor's driver: one block of 8 KiB, no pipe lock
	V14               // "NDP": 4 KiB for each pipe
	V17               // "NDP_4K": 4 KiB for each execution environment too
	V20               // V17 with the pipes moved down by 0x7000
	numLayouts
)

var layoutNames = [numLayouts]string{"v1.3", "v1.4", "v1.7", "v2.0"}

func (l Layout) String() string {
	if l < numLayouts {
		return layoutNames[l]
	}
	return fmt.Sprintf("Layout(%d)", uint8(l))
}

// ParseLayout finds a layout by its name, e.g. "v1.7".
func ParseLayout(name string) (Layout, error) {
	for l, n := range layoutNames {
		if n == name {
			return Layout(l), nil
		}
	}
	return 0, fmt.Errorf("no BAM register layout %q; there are: %s", name, strings.Join(layoutNames[:], ", "))
}

// PipeLock reports whether BAMs of the layout know LOCK and UNLOCK (§8: from 1.4 on).
func (l Layout) PipeLock() bool { return l >= V14 }

// The most that the register layouts have room for.
const (
	MaxPipes = 31 // bit 31 of the source registers is the global source (§3)
	MaxEEs   = 8
)

// span is the size of a layout's address space with all pipes, in bytes.
func (l Layout) span() uint32 {
	return [numLayouts]uint32{0x2000, 0x1000 + MaxPipes*0x1000, 0x13000 + MaxPipes*0x1000, 0xC000 + MaxPipes*0x1000}[l]
}

// Window returns the bytes that a BAM with the given number of pipes occupies.
func (l Layout) Window(pipes int) uint32 {
	if l == V13 {
		return l.span()
	}
	return l.span() - uint32(MaxPipes-pipes)*0x1000
}

// slot is what stands at a word of the address space.
type slot struct {
	reg   Reg
	index uint8 // pipe or execution environment
}

var decoders [numLayouts]struct {
	once  sync.Once
	slots []slot
}

// slots returns the decode table of the layout, one entry for each word.
func (l Layout) slots() []slot {
	d := &decoders[l]
	d.once.Do(func() {
		d.slots = make([]slot, l.span()/4)
		for r := None + 1; r < numRegs; r++ {
			for i := range registers[r].scope.count() {
				off, ok := l.Offset(r, i)
				if !ok {
					break
				}
				if s := d.slots[off/4]; s.reg != None {
					panic(fmt.Sprintf("bam: layout %v: %v and %v are both at %#x", l, s.reg, r, off))
				}
				d.slots[off/4] = slot{r, uint8(i)}
			}
		}
	})
	return d.slots
}

// Offset returns where a register stands. index is the pipe or the execution
// environment, and 0 for a global register. ok is false when the layout does not
// have the register.
func (l Layout) Offset(r Reg, index int) (off uint32, ok bool) {
	at := registers[r].at[l]
	if at.base == absent || index < 0 || index >= registers[r].scope.count() {
		return 0, false
	}
	return at.base + uint32(index)*at.stride, true
}

// Decode tells which register stands at an offset. pipe and ee are -1 when the
// register does not belong to one. For an offset with no register, or one that is
// not a multiple of 4, r is None.
func (l Layout) Decode(off uint32) (r Reg, pipe, ee int) {
	slots := l.slots()
	if off&3 != 0 || off/4 >= uint32(len(slots)) {
		return None, -1, -1
	}
	s := slots[off/4]
	switch registers[s.reg].scope {
	case perPipe:
		return s.reg, int(s.index), -1
	case perEE:
		return s.reg, -1, int(s.index)
	}
	return s.reg, -1, -1
}

// Name renders the register at an offset for people, e.g. "P_CTRL[4]" or
// "BAM_IRQ_SRCS_EE[0]"; an offset with no register as a number.
func (l Layout) Name(off uint32) string {
	r, pipe, ee := l.Decode(off)
	switch {
	case r == None:
		return fmt.Sprintf("BAM+%#x", off)
	case pipe >= 0:
		return fmt.Sprintf("%v[%d]", r, pipe)
	case ee >= 0:
		return fmt.Sprintf("%v[%d]", r, ee)
	}
	return r.String()
}
