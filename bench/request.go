package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// requestSize is the size of the request that is measured, in bytes.
const requestSize = 4096

// Where a request lies in the memory that the pipes master.
const (
	memoryBase = 0x8000_0000
	memorySize = 1 << 20
	rxFIFO     = memoryBase
	txFIFO     = memoryBase + 0x8000
	elementsAt = memoryBase + 0x10000
	inputAt    = memoryBase + 0x20000
	outputAt   = memoryBase + 0x30000
	dumpAt     = memoryBase + 0x40000
)

// request is a 4 KiB AES-256-XTS request in the shape of the series' version
// 16: LOCK, one command descriptor for each register write, data with NWD,
// UNLOCK; data and result dump behind (datasheet §24). Both rings hold it over
// and over, so that doing it again costs the driver no more than two doorbells:
// what is measured is the block.
type request struct {
	block          *cryptoblock.Block
	mem            *memory
	descriptors    int
	rx, tx         ring
	rxEvnt, txEvnt uint64
	rxClr, txClr   uint64
	word           [4]byte
}

// ring is a descriptor FIFO that holds whole requests.
type ring struct {
	base uint64
	step uint32 // bytes of a request's descriptors
	size uint32 // bytes of the ring
	tail uint32
}

const maxRing = 0x7FF8

// newRequest sets both pipes of a block up. The block's memory must be mem.
func newRequest(p *cryptoblock.Profile, b *cryptoblock.Block, mem *memory) (*request, error) {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		return nil, err
	}
	r := &request{block: b, mem: mem}
	elements := r.layElements(p)
	r.rx = ring{base: rxFIFO}
	for i := range elements - 1 {
		flags := uint32(bam.FlagCMD)
		if i == 0 {
			flags |= bam.FlagLOCK
		}
		r.push(&r.rx, elementsAt+uint32(i)*bam.ElementSize, bam.ElementSize, flags)
	}
	r.push(&r.rx, inputAt, requestSize, bam.FlagEOT|bam.FlagNWD)
	r.push(&r.rx, elementsAt+uint32(elements-1)*bam.ElementSize, bam.ElementSize, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT)
	r.tx = ring{base: txFIFO}
	r.push(&r.tx, outputAt, requestSize, 0)
	r.push(&r.tx, dumpAt, 128, bam.FlagEOT)
	r.descriptors = int(r.rx.tail+r.tx.tail) / bam.DescriptorSize
	for _, x := range []*ring{&r.rx, &r.tx} {
		r.repeat(x)
	}

	off := func(reg bam.Reg, pipe int) uint64 {
		o, _ := layout.Offset(reg, pipe) // every layout has these
		return uint64(p.BAMOffset + o)
	}
	for _, x := range []struct {
		pipe int
		ring *ring
		ctrl uint32
	}{{p.RXPipe(), &r.rx, 0x22}, {p.TXPipe(), &r.tx, 0x2A}} {
		r.write(off(bam.PRst, x.pipe), 1)
		r.write(off(bam.PRst, x.pipe), 0)
		r.write(off(bam.PDescFIFOAddr, x.pipe), uint32(x.ring.base))
		r.write(off(bam.PFIFOSizes, x.pipe), x.ring.size)
		r.write(off(bam.PIRQEn, x.pipe), bam.IRQPrcsdDesc|bam.IRQErr|bam.IRQTrnsfrEnd)
		r.write(off(bam.PCtrl, x.pipe), x.ctrl)
	}
	r.rxEvnt, r.txEvnt = off(bam.PEvntReg, p.RXPipe()), off(bam.PEvntReg, p.TXPipe())
	r.rxClr, r.txClr = off(bam.PIRQClr, p.RXPipe()), off(bam.PIRQClr, p.TXPipe())
	return r, r.check(p)
}

// layElements puts the command elements into memory and returns their number.
// The first and the last are the dummy writes that carry LOCK and UNLOCK.
func (r *request) layElements(p *cryptoblock.Profile) int {
	c := qcetest.Cipher{Mode: qcetest.XTSAES, Key: cipherKey(), IV: make([]byte, 16), Encrypt: true, Data: make([]byte, requestSize)}
	writes := append([]qcetest.Write{{Off: qce.Version}}, c.Writes(p.PipePair)...)
	writes = append(writes, qcetest.Write{Off: qce.Version})
	for i, w := range writes {
		e := r.mem.bytes(elementsAt+uint64(i)*bam.ElementSize, bam.ElementSize)
		binary.LittleEndian.PutUint32(e, p.QCEOffset+w.Off)
		binary.LittleEndian.PutUint32(e[4:], w.Val)
		binary.LittleEndian.PutUint32(e[8:], ^uint32(0))
		binary.LittleEndian.PutUint32(e[12:], 0)
	}
	return len(writes)
}

// cipherKey is the key of the request: the two halves differ.
func cipherKey() []byte {
	k := make([]byte, 64)
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

// push puts a descriptor of the first request into a ring.
func (r *request) push(x *ring, addr, size, flags uint32) {
	d := r.mem.bytes(x.base+uint64(x.tail), bam.DescriptorSize)
	binary.LittleEndian.PutUint32(d, addr)
	binary.LittleEndian.PutUint32(d[4:], flags<<16|size)
	x.tail += bam.DescriptorSize
}

// repeat fills the ring with what it has.
func (r *request) repeat(x *ring) {
	x.step = x.tail
	x.size = maxRing / x.step * x.step
	all := r.mem.bytes(x.base, int(x.size))
	for n := x.step; n < x.size; n += x.step {
		copy(all[n:], all[:x.step])
	}
	x.tail = 0
}

func (r *request) write(off uint64, val uint32) {
	binary.LittleEndian.PutUint32(r.word[:], val)
	r.block.WriteRegion(off, r.word[:]) // never fails
}

// ring makes the doorbell value of one more request.
func (x *ring) next() uint32 {
	if x.tail += x.step; x.tail == x.size {
		x.tail = 0
	}
	return x.tail
}

// do makes the request: tx is rung before rx, then both interrupts are cleared.
func (r *request) do() {
	r.write(r.txEvnt, r.tx.next())
	r.write(r.rxEvnt, r.rx.next())
	r.write(r.rxClr, ^uint32(0))
	r.write(r.txClr, ^uint32(0))
}

// check makes one request and looks at what came of it: nothing is measured
// that does not work.
func (r *request) check(p *cryptoblock.Profile) error {
	in := r.mem.bytes(inputAt, requestSize)
	for i := range in {
		in[i] = byte(i * 7)
	}
	r.do()
	var status [4]byte
	r.block.ReadRegion(uint64(p.QCEOffset+qce.Status), status[:])
	if s := binary.LittleEndian.Uint32(status[:]); s&qce.OperationDone == 0 || s&qce.SwErr != 0 {
		return fmt.Errorf("the model does not do the request that is to be measured: STATUS is %#x", s)
	}
	want := make([]byte, requestSize)
	newLibraryXTS().Encrypt(want, in, 0)
	if got := r.mem.bytes(outputAt, requestSize); string(got) != string(want) {
		return fmt.Errorf("the model's result of the request that is to be measured is wrong")
	}
	return nil
}
