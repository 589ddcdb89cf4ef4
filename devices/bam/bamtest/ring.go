package bamtest

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/trace"
)

// Ring drives one pipe by its registers, as a driver does.
type Ring struct {
	B        *bam.BAM
	Mem      *Memory
	Layout   bam.Layout
	By       trace.Master
	Pipe     int
	Producer bool
	Group    uint32 // LOCK_GROUP
	Base     uint64 // of the descriptor FIFO
	Size     uint32 // of the descriptor FIFO, in bytes
	Tail     uint32 // where the next descriptor goes
}

// Descriptor is one entry of a FIFO.
type Descriptor struct {
	Addr  uint64
	Size  uint32
	Flags uint32
}

// Write writes a register of the pipe.
func (r *Ring) Write(reg bam.Reg, val uint32) { r.B.Write(r.By, r.off(reg, r.Pipe), val) }

// Read reads a register of the pipe.
func (r *Ring) Read(reg bam.Reg) uint32 { return r.B.Read(r.By, r.off(reg, r.Pipe)) }

func (r *Ring) off(reg bam.Reg, index int) uint32 {
	off, ok := r.Layout.Offset(reg, index)
	if !ok {
		panic("bamtest: no " + reg.String() + " in " + r.Layout.String())
	}
	return off
}

// Init sets the pipe up in the order that Linux does (datasheet §7).
func (r *Ring) Init(irqs uint32) {
	r.Write(bam.PRst, 1)
	r.Write(bam.PRst, 0)
	r.Tail = 0
	r.Write(bam.PDescFIFOAddr, uint32(r.Base))
	r.Write(bam.PFIFOSizes, r.Size)
	r.Write(bam.PIRQEn, irqs)
	msk := r.off(bam.IRQSrcsMskEE, int(r.By.EE))
	r.B.Write(r.By, msk, r.B.Read(r.By, msk)|1<<r.Pipe)
	r.Write(bam.PCtrl, r.Ctrl())
}

// Ctrl is the value of P_CTRL of the enabled pipe.
func (r *Ring) Ctrl() uint32 {
	ctrl := uint32(1<<1|1<<5) | r.Group<<16
	if r.Producer {
		ctrl |= 1 << 3
	}
	return ctrl
}

// Push puts descriptors into the FIFO without telling the BAM.
func (r *Ring) Push(ds ...Descriptor) {
	for _, d := range ds {
		raw := r.Mem.Bytes(r.Base+uint64(r.Tail), bam.DescriptorSize)
		binary.LittleEndian.PutUint32(raw, uint32(d.Addr))
		binary.LittleEndian.PutUint32(raw[4:], d.Flags<<16|uint32(d.Addr>>32)<<16|d.Size)
		r.Tail += bam.DescriptorSize
		if r.Tail >= r.Size {
			r.Tail = 0
		}
	}
}

// Publish tells the BAM of all descriptors that were pushed.
func (r *Ring) Publish() { r.Write(bam.PEvntReg, r.Tail) }

// Entry reads a descriptor back from the FIFO.
func (r *Ring) Entry(i int) Descriptor {
	raw := r.Mem.Bytes(r.Base+uint64(i)*bam.DescriptorSize, bam.DescriptorSize)
	w := binary.LittleEndian.Uint32(raw[4:])
	return Descriptor{Addr: uint64(binary.LittleEndian.Uint32(raw)), Size: w & 0xFFFF, Flags: w >> 16 & 0xFF00}
}

// Element is a command element.
type Element struct {
	Command       uint32
	Addr          uint32
	Data, Mask, X uint32
}

// Elements puts command elements to memory.
func (r *Ring) Elements(addr uint64, es ...Element) {
	for i, e := range es {
		raw := r.Mem.Bytes(addr+uint64(i)*bam.ElementSize, bam.ElementSize)
		binary.LittleEndian.PutUint32(raw, e.Command<<24|e.Addr&0xFFFFFF)
		binary.LittleEndian.PutUint32(raw[4:], e.Data)
		binary.LittleEndian.PutUint32(raw[8:], e.Mask)
		binary.LittleEndian.PutUint32(raw[12:], e.X)
	}
}

// Run steps the lowest runnable pipe until none is left, and returns the number of
// steps. It stops at limit.
func Run(b *bam.BAM, limit int) int {
	for n := range limit {
		m := b.Runnable()
		if m == 0 {
			return n
		}
		b.Step(bits.TrailingZeros32(m))
	}
	return limit
}

// RunRandom does the same in a random order.
func RunRandom(b *bam.BAM, rng *rand.Rand, limit int) int {
	for n := range limit {
		m := b.Runnable()
		if m == 0 {
			return n
		}
		for range rng.IntN(bits.OnesCount32(m)) {
			m &= m - 1
		}
		b.Step(bits.TrailingZeros32(m))
	}
	return limit
}
