package blocktest

import (
	"encoding/binary"
	"slices"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// Where things are in Linux's memory.
const (
	ramBase  = 0x8000_0000
	ramSize  = 1 << 20
	fifoSize = 0x7FF8 // 4095 descriptors
	rxFIFO   = ramBase
	txFIFO   = ramBase + 0x8000
	elements = ramBase + 0x10000 // command elements
	input    = ramBase + 0x20000
	output   = ramBase + 0x60000
	dumpAt   = ramBase + 0xF0000
	maxData  = 0x40000
	maxDesc  = 0x7FF8 // bytes of one descriptor
)

// Linux is a client of a block in Linux's place.
type Linux struct {
	Block   *cryptoblock.Block
	Profile cryptoblock.Profile
	Mem     *bamtest.Memory
	Line    bamtest.Line
	// Rows of command elements share one descriptor, as in vendors' drivers;
	// otherwise each has its own, as in the series.
	Lists bool
	// NoNWD leaves NWD out, so that UNLOCK may pass the engine.
	NoNWD bool
	// LateStatus makes Series read STATUS by MMIO when the request is over, and
	// the lock gone, as v16 does; otherwise it takes the errors from the result
	// dump, or reads STATUS before it releases the lock.
	LateStatus bool

	layout   bam.Layout
	rx, tx   ring
	requests int
}

// ring is one of the two pipes.
type ring struct {
	pipe       int
	base, tail uint32
	done       uint32 // offset up to which everything is finished
}

// New returns a client that has set its pipes up. The block should be Manual.
// A profile with another EE and another pipe pair puts it at that place.
func New(b *cryptoblock.Block, p *cryptoblock.Profile) *Linux {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		panic(err)
	}
	l := &Linux{Block: b, Profile: *p, Mem: bamtest.NewMemory(ramBase, ramSize), layout: layout,
		rx: ring{pipe: p.RXPipe(), base: rxFIFO}, tx: ring{pipe: p.TXPipe(), base: txFIFO}}
	b.Port(p.EE).Attach(l.Mem, &l.Line)
	l.Init()
	return l
}

// Init sets both pipes up.
func (l *Linux) Init() {
	l.initPipe(&l.tx, 0x2A)
	l.initPipe(&l.rx, 0x22)
}

func (l *Linux) initPipe(r *ring, ctrl uint32) {
	r.tail, r.done = 0, 0
	l.bamWrite(bam.PRst, r.pipe, 1)
	l.bamWrite(bam.PRst, r.pipe, 0)
	l.bamWrite(bam.PDescFIFOAddr, r.pipe, r.base)
	l.bamWrite(bam.PFIFOSizes, r.pipe, fifoSize)
	l.bamWrite(bam.PIRQEn, r.pipe, bam.IRQPrcsdDesc|bam.IRQErr|bam.IRQTrnsfrEnd)
	msk := l.bamRead(bam.IRQSrcsMskEE, l.Profile.EE)
	l.bamWrite(bam.IRQSrcsMskEE, l.Profile.EE, msk|1<<r.pipe)
	l.bamWrite(bam.PCtrl, r.pipe, ctrl)
}

func (l *Linux) off(r bam.Reg, index int) uint64 {
	off, ok := l.layout.Offset(r, index)
	if !ok {
		panic("blocktest: no " + r.String() + " in " + l.layout.String())
	}
	return uint64(l.Profile.BAMOffset + off)
}

func (l *Linux) read(off uint64) uint32 {
	e := l.Block.Do(cryptoblock.Entry{Kind: cryptoblock.ReadEntry, EE: uint8(l.Profile.EE), Size: 4, Off: off})
	return uint32(e.Value)
}

func (l *Linux) write(off uint64, v uint32) {
	l.Block.Do(cryptoblock.Entry{Kind: cryptoblock.WriteEntry, EE: uint8(l.Profile.EE), Size: 4, Off: off, Value: uint64(v)})
}

func (l *Linux) bamRead(r bam.Reg, index int) uint32     { return l.read(l.off(r, index)) }
func (l *Linux) bamWrite(r bam.Reg, index int, v uint32) { l.write(l.off(r, index), v) }

func (l *Linux) qceRead(off uint32) uint32     { return l.read(uint64(l.Profile.QCEOffset + off)) }
func (l *Linux) qceWrite(off uint32, v uint32) { l.write(uint64(l.Profile.QCEOffset+off), v) }

// push puts a descriptor into a FIFO.
func (l *Linux) push(r *ring, addr uint32, size int, flags uint32) {
	raw := l.Mem.Bytes(uint64(r.base+r.tail), bam.DescriptorSize)
	binary.LittleEndian.PutUint32(raw, addr)
	binary.LittleEndian.PutUint32(raw[4:], flags<<16|uint32(size))
	r.tail = (r.tail + bam.DescriptorSize) % fifoSize
}

// data pushes the descriptors of a buffer; the last has the flags.
func (l *Linux) data(r *ring, addr uint32, size int, flags uint32) {
	for size > maxDesc {
		l.push(r, addr, maxDesc, 0)
		addr, size = addr+maxDesc, size-maxDesc
	}
	l.push(r, addr, size, flags)
}

func (l *Linux) ring(r *ring) { l.bamWrite(bam.PEvntReg, r.pipe, r.tail) }

// Result is what came of a request.
type Result struct {
	Out    []byte // payload; of a hash the digest's state
	Dump   []byte // result dump, nil without one
	Status uint32
	Hung   bool // it never ended; the pipes have been set up again
}

// Failed is the driver's verdict on STATUS (datasheet §14).
func (r *Result) Failed() bool {
	const bad = qce.SwErr | qce.AxiErr | qce.HsdErr
	return r.Hung || r.Status&bad != 0 || r.Status&qce.OperationDone == 0
}

// sizes says how much output a request gives.
func sizes(writes []qcetest.Write) (payload int, dump bool) {
	reg := map[uint32]uint32{}
	for _, w := range writes {
		reg[w.Off] = w.Val
	}
	encr := reg[qce.EncrSegCfg]
	if encr&7 != 0 {
		payload = int(reg[qce.SegSize])
		if mode := encr >> 6 & 15; mode == 4 || mode == 6 {
			if encr>>10&1 == 1 {
				payload += 64 // MAC area
			}
		}
	}
	return payload, reg[qce.GoProc]&qce.ResultsDump != 0
}

// prepare puts a request's input into memory and its output descriptors into
// the FIFO.
func (l *Linux) prepare(r qcetest.Request) (in []byte, writes []qcetest.Write, payload int, dump bool) {
	if l.requests++; l.requests%4 == 0 {
		l.Block.Settle() // the guest has something else to do
	}
	in = r.Input()
	writes = r.Writes(l.Profile.PipePair)
	payload, dump = sizes(writes)
	if len(in) > maxData || payload > maxData {
		panic("blocktest: request too large")
	}
	copy(l.Mem.Bytes(input, len(in)), in)
	clear(l.Mem.Bytes(output, payload))
	clear(l.Mem.Bytes(dumpAt, 128))
	switch {
	case payload > 0 && dump:
		l.data(&l.tx, output, payload, 0)
		l.push(&l.tx, dumpAt, 128, bam.FlagEOT)
	case payload > 0:
		l.data(&l.tx, output, payload, bam.FlagEOT)
	default:
		l.push(&l.tx, dumpAt, 128, bam.FlagEOT)
	}
	return in, writes, payload, dump
}

// Stock makes a request as the driver without the series does: data first,
// then register writes by the processor.
func (l *Linux) Stock(r qcetest.Request) Result {
	in, writes, payload, dump := l.prepare(r)
	l.data(&l.rx, input, len(in), bam.FlagEOT)
	l.ring(&l.rx)
	l.ring(&l.tx)
	for _, w := range writes {
		l.qceWrite(w.Off, w.Val)
	}
	return l.finish(payload, dump, l.readStatus)
}

// Series makes a request as the driver with the series does: register writes by
// command descriptors, LOCK before them, NWD on the data, UNLOCK behind.
func (l *Linux) Series(r qcetest.Request) Result {
	in, writes, payload, dump := l.prepare(r)
	at := uint32(elements)
	put := func(off, val uint32) {
		raw := l.Mem.Bytes(uint64(at), bam.ElementSize)
		binary.LittleEndian.PutUint32(raw, (l.Profile.QCEOffset+off)&0xFFFFFF)
		binary.LittleEndian.PutUint32(raw[4:], val)
		binary.LittleEndian.PutUint32(raw[8:], ^uint32(0))
		binary.LittleEndian.PutUint32(raw[12:], 0)
		at += bam.ElementSize
	}
	put(qce.Version, 0)
	l.push(&l.rx, elements, bam.ElementSize, bam.FlagCMD|bam.FlagLOCK)
	first := at
	for _, w := range writes {
		put(w.Off, w.Val)
		if !l.Lists {
			l.push(&l.rx, at-bam.ElementSize, bam.ElementSize, bam.FlagCMD)
		}
	}
	if l.Lists {
		l.push(&l.rx, first, int(at-first), bam.FlagCMD)
	}
	flags := uint32(bam.FlagEOT | bam.FlagNWD)
	if l.NoNWD {
		flags = bam.FlagEOT
	}
	l.data(&l.rx, input, len(in), flags)
	put(qce.Version, 0)
	unlock := func() {
		l.push(&l.rx, at-bam.ElementSize, bam.ElementSize, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT)
	}
	status := l.readStatus
	switch {
	case l.LateStatus:
		unlock()
	case dump:
		unlock()
		status = func() uint32 {
			return binary.BigEndian.Uint32(l.Mem.Bytes(dumpAt+0x60, 4)) | qce.OperationDone
		}
	default:
		status = func() uint32 {
			v := l.readStatus()
			unlock()
			l.ring(&l.rx)
			return v
		}
	}
	l.ring(&l.tx)
	l.ring(&l.rx)
	return l.finish(payload, dump, status)
}

func (l *Linux) readStatus() uint32 { return l.qceRead(qce.Status) }

// finish waits for the interrupt, and handles it.
func (l *Linux) finish(payload int, dump bool, status func() uint32) Result {
	for range 64 {
		if l.Line.Level {
			l.handle()
		}
		if l.tx.done == l.tx.tail {
			break
		}
		l.Block.Settle()
	}
	res := Result{Hung: l.tx.done != l.tx.tail}
	if res.Hung {
		res.Status = l.qceRead(qce.Status)
		l.Init()
		return res
	}
	if payload > 0 {
		res.Out = slices.Clone(l.Mem.Bytes(output, payload))
	}
	if dump {
		res.Dump = slices.Clone(l.Mem.Bytes(dumpAt, qcetest.DumpSize))
	}
	l.handle()
	res.Status = status()
	if l.rx.done != l.rx.tail { // surplus input, or UNLOCK is still to come
		l.Block.Settle()
		l.handle()
		if l.rx.done != l.rx.tail {
			l.initPipe(&l.rx, 0x22)
		}
	}
	return res
}

// handle is the interrupt handler: sources, status, clear, offset.
func (l *Linux) handle() {
	srcs := l.bamRead(bam.IRQSrcsEE, l.Profile.EE)
	for _, r := range []*ring{&l.rx, &l.tx} {
		if srcs>>r.pipe&1 == 0 {
			continue
		}
		l.bamWrite(bam.PIRQClr, r.pipe, l.bamRead(bam.PIRQStts, r.pipe))
		r.done = l.bamRead(bam.PSWOfsts, r.pipe) & 0xFFFF
	}
}
