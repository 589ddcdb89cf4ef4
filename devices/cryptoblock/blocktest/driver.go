package blocktest

import (
	"encoding/binary"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// Bus is how a driver reaches the block's window and its memory. It is a block in
// the same process, or one at the other end of a socket.
type Bus interface {
	Load(off uint32) uint32
	Store(off, v uint32)
	Bytes(addr uint32, n int) []byte // memory that the block sees too
}

// Where a driver has its things, from the beginning of its memory on.
const (
	ramSize  = 1 << 20
	rxFIFO   = 0
	txFIFO   = 0x8000
	elements = 0x10000 // command elements
	input    = 0x20000
	output   = 0x60000
	dumpAt   = 0xF0000
	maxData  = 0x40000
)

const (
	FIFOSize = 0x7FF8 // bytes of a descriptor FIFO: 4095 descriptors
	maxDesc  = 0x7FF8 // bytes of one descriptor
	dumpRoom = 128

	// Values of P_CTRL: enabled, in system mode, with a direction.
	Consumer = 0x22
	producer = 0x2A
)

// Driver puts requests into the two pipes as bam_dma and qce do. How it learns
// that they are done is left to the one who has the interrupt: that is not the
// same for a block that stands still and for one that runs.
type Driver struct {
	Bus     Bus
	Profile *cryptoblock.Profile
	RX, TX  Pipe
	// Rows of command elements share one descriptor, as in vendors' drivers;
	// otherwise each has its own, as in the series.
	Lists bool
	// NoNWD leaves NWD out, so that UNLOCK may pass the engine.
	NoNWD bool

	layout bam.Layout
	base   uint32
	at     uint32 // of the next command element
}

// Pipe is one of the two pipes, a channel of bam_dma.
type Pipe struct {
	Index      int
	FIFO       uint32
	Tail, Done uint32 // offsets; up to Done everything is finished
	ctrl       uint32
}

// NewDriver returns a driver with 1 MiB of memory at base, which has not
// touched the hardware yet. A profile with another EE and another pipe pair puts
// it at that place.
func NewDriver(bus Bus, p *cryptoblock.Profile, base uint32) *Driver {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		panic(err)
	}
	return &Driver{
		Bus: bus, Profile: p, layout: layout, base: base,
		RX: Pipe{Index: p.RXPipe(), FIFO: base + rxFIFO, ctrl: Consumer},
		TX: Pipe{Index: p.TXPipe(), FIFO: base + txFIFO, ctrl: producer},
	}
}

// Init sets both pipes up.
func (d *Driver) Init() {
	d.InitPipe(&d.TX)
	d.InitPipe(&d.RX)
}

// InitPipe resets a pipe and sets it up.
func (d *Driver) InitPipe(p *Pipe) {
	p.Tail, p.Done = 0, 0
	d.BAMWrite(bam.PRst, p.Index, 1)
	d.BAMWrite(bam.PRst, p.Index, 0)
	d.BAMWrite(bam.PDescFIFOAddr, p.Index, p.FIFO)
	d.BAMWrite(bam.PFIFOSizes, p.Index, FIFOSize)
	d.BAMWrite(bam.PIRQEn, p.Index, bam.IRQPrcsdDesc|bam.IRQErr|bam.IRQTrnsfrEnd)
	msk := d.BAMRead(bam.IRQSrcsMskEE, d.Profile.EE)
	d.BAMWrite(bam.IRQSrcsMskEE, d.Profile.EE, msk|1<<p.Index)
	d.BAMWrite(bam.PCtrl, p.Index, p.ctrl)
}

// Offset is where a register of the BAM is in the block's window.
func (d *Driver) Offset(r bam.Reg, index int) uint32 {
	off, ok := d.layout.Offset(r, index)
	if !ok {
		panic("blocktest: no " + r.String() + " in " + d.layout.String())
	}
	return d.Profile.BAMOffset + off
}

func (d *Driver) BAMRead(r bam.Reg, index int) uint32     { return d.Bus.Load(d.Offset(r, index)) }
func (d *Driver) BAMWrite(r bam.Reg, index int, v uint32) { d.Bus.Store(d.Offset(r, index), v) }
func (d *Driver) QCERead(off uint32) uint32               { return d.Bus.Load(d.Profile.QCEOffset + off) }
func (d *Driver) QCEWrite(off, v uint32)                  { d.Bus.Store(d.Profile.QCEOffset+off, v) }

// Elements, Input, Output and Dump are where a request has its things.
func (d *Driver) Elements() uint32 { return d.base + elements }
func (d *Driver) Input() uint32    { return d.base + input }
func (d *Driver) Output() uint32   { return d.base + output }
func (d *Driver) Dump() uint32     { return d.base + dumpAt }

// Push puts a descriptor into a FIFO.
func (d *Driver) Push(p *Pipe, addr uint32, size int, flags uint32) {
	raw := d.Bus.Bytes(p.FIFO+p.Tail, bam.DescriptorSize)
	binary.LittleEndian.PutUint32(raw, addr)
	binary.LittleEndian.PutUint32(raw[4:], flags<<16|uint32(size))
	p.Tail = (p.Tail + bam.DescriptorSize) % FIFOSize
}

// Data pushes the descriptors of a buffer; the last has the flags.
func (d *Driver) Data(p *Pipe, addr uint32, size int, flags uint32) {
	for ; size > maxDesc; addr, size = addr+maxDesc, size-maxDesc {
		d.Push(p, addr, maxDesc, 0)
	}
	d.Push(p, addr, size, flags)
}

// Ring tells the block of what was pushed.
func (d *Driver) Ring(p *Pipe) { d.BAMWrite(bam.PEvntReg, p.Index, p.Tail) }

// Pending is a request that is in the pipes.
type Pending struct {
	in     []byte
	Writes []qcetest.Write // register writes, in order
	Out    int             // bytes of output
	Dump   bool            // behind it the result dump
}

// sizes says how much output a request gives.
func (q *Pending) sizes() {
	reg := map[uint32]uint32{}
	for _, w := range q.Writes {
		reg[w.Off] = w.Val
	}
	encr := reg[qce.EncrSegCfg]
	if encr&7 != 0 {
		q.Out = int(reg[qce.SegSize])
		if mode := encr >> 6 & 15; mode == 4 || mode == 6 {
			if encr>>10&1 == 1 {
				q.Out += 64 // MAC area
			}
		}
	}
	q.Dump = reg[qce.GoProc]&qce.ResultsDump != 0
}

// Prepare puts a request's input into memory and its output descriptors into the
// FIFO.
func (d *Driver) Prepare(r qcetest.Request) *Pending {
	q := &Pending{in: r.Input(), Writes: r.Writes(d.Profile.PipePair)}
	q.sizes()
	if len(q.in) > maxData || q.Out > maxData {
		panic("blocktest: request too large")
	}
	copy(d.Bus.Bytes(d.Input(), len(q.in)), q.in)
	clear(d.Bus.Bytes(d.Output(), q.Out))
	clear(d.Bus.Bytes(d.Dump(), dumpRoom))
	switch {
	case q.Out > 0 && q.Dump:
		d.Data(&d.TX, d.Output(), q.Out, 0)
		d.Push(&d.TX, d.Dump(), dumpRoom, bam.FlagEOT)
	case q.Out > 0:
		d.Data(&d.TX, d.Output(), q.Out, bam.FlagEOT)
	default:
		d.Push(&d.TX, d.Dump(), dumpRoom, bam.FlagEOT)
	}
	return q
}

// Stock makes a request as the driver without the series does: data first, then
// register writes by the processor.
func (d *Driver) Stock(r qcetest.Request) *Pending {
	q := d.Prepare(r)
	d.Data(&d.RX, d.Input(), len(q.in), bam.FlagEOT)
	d.Ring(&d.RX)
	d.Ring(&d.TX)
	for _, w := range q.Writes {
		d.QCEWrite(w.Off, w.Val)
	}
	return q
}

// Series puts a request into the pipes as the driver with the series does:
// register writes by command descriptors, LOCK before them, NWD on the data. When
// Unlock follows, and both pipes are rung, the versions of the series do not agree.
func (d *Driver) Series(r qcetest.Request) *Pending {
	q := d.Prepare(r)
	d.at = d.Elements()
	d.command(qce.Version, 0)
	d.Push(&d.RX, d.Elements(), bam.ElementSize, bam.FlagCMD|bam.FlagLOCK)
	first := d.at
	for _, w := range q.Writes {
		d.command(w.Off, w.Val)
		if !d.Lists {
			d.Push(&d.RX, d.at-bam.ElementSize, bam.ElementSize, bam.FlagCMD)
		}
	}
	if d.Lists {
		d.Push(&d.RX, first, int(d.at-first), bam.FlagCMD)
	}
	flags := uint32(bam.FlagEOT | bam.FlagNWD)
	if d.NoNWD {
		flags = bam.FlagEOT
	}
	d.Data(&d.RX, d.Input(), len(q.in), flags)
	return q
}

// Unlock pushes the descriptor that ends what Series has begun.
func (d *Driver) Unlock() {
	d.command(qce.Version, 0)
	d.Push(&d.RX, d.at-bam.ElementSize, bam.ElementSize, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT)
}

// command writes a command element.
func (d *Driver) command(off, val uint32) {
	raw := d.Bus.Bytes(d.at, bam.ElementSize)
	binary.LittleEndian.PutUint32(raw, (d.Profile.QCEOffset+off)&0xFFFFFF)
	binary.LittleEndian.PutUint32(raw[4:], val)
	binary.LittleEndian.PutUint32(raw[8:], ^uint32(0))
	binary.LittleEndian.PutUint32(raw[12:], 0)
	d.at += bam.ElementSize
}

// Handle is the interrupt handler: sources, status, clear, offset.
func (d *Driver) Handle() {
	srcs := d.BAMRead(bam.IRQSrcsEE, d.Profile.EE)
	for _, p := range []*Pipe{&d.RX, &d.TX} {
		if srcs>>p.Index&1 != 0 {
			d.BAMWrite(bam.PIRQClr, p.Index, d.BAMRead(bam.PIRQStts, p.Index))
			p.Done = d.BAMRead(bam.PSWOfsts, p.Index) & 0xFFFF
		}
	}
}
