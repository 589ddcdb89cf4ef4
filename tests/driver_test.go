package tests

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// Where the driver has its things in guest memory.
const (
	rxFIFO   = ramBase + 0x10000
	txFIFO   = ramBase + 0x20000
	elements = ramBase + 0x30000 // command elements
	inputAt  = ramBase + 0x100000
	outputAt = ramBase + 0x200000
	dumpAt   = ramBase + 0x300000

	fifoSize = 0x7FF8 // 4095 descriptors
	maxDesc  = 0x7FF8 // bytes of one data descriptor
)

// driver does on the far side of the socket what bam_dma and qce do (datasheet
// §22 to §24).
type driver struct {
	*client
	profile *cryptoblock.Profile
	layout  bam.Layout
	rx, tx  pipe
}

// pipe is one channel of bam_dma.
type pipe struct {
	index      int
	base       uint32
	tail, done uint32
}

// probe sets up the hardware as the two drivers do when they load. It fails the
// test if what it reads is not the chip.
func probe(c *client, soc string) *driver {
	c.t.Helper()
	p, err := cryptoblock.ProfileByName(soc)
	if err != nil {
		c.t.Fatal(err)
	}
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		c.t.Fatal(err)
	}
	d := &driver{client: c, profile: p, layout: layout,
		rx: pipe{index: p.RXPipe(), base: rxFIFO}, tx: pipe{index: p.TXPipe(), base: txFIFO}}
	if v := d.bamRead(bam.BAMRevision, 0) & 0xff; v != uint32(p.Revision) {
		c.t.Errorf("%s: BAM_REVISION is %#x, want %#x", soc, v, p.Revision)
	}
	if n := d.bamRead(bam.BAMNumPipes, 0) & 0xff; n != uint32(p.Pipes) {
		c.t.Errorf("%s: BAM_NUM_PIPES is %d, want %d", soc, n, p.Pipes)
	}
	d.bamWrite(bam.IRQSrcsMskEE, p.EE, 0)
	d.initPipe(&d.rx, 0x22)
	d.initPipe(&d.tx, 0x2A)
	if v := d.qceRead(qce.Version); v != p.Version {
		c.t.Errorf("%s: VERSION is %#x, want %#x", soc, v, p.Version)
	}
	return d
}

func (d *driver) initPipe(p *pipe, ctrl uint32) {
	p.tail, p.done = 0, 0
	d.bamWrite(bam.PRst, p.index, 1)
	d.bamWrite(bam.PRst, p.index, 0)
	d.bamWrite(bam.PDescFIFOAddr, p.index, p.base)
	d.bamWrite(bam.PFIFOSizes, p.index, fifoSize)
	d.bamWrite(bam.PIRQEn, p.index, bam.IRQPrcsdDesc|bam.IRQErr|bam.IRQTrnsfrEnd)
	msk := d.bamRead(bam.IRQSrcsMskEE, d.profile.EE)
	d.bamWrite(bam.IRQSrcsMskEE, d.profile.EE, msk|1<<p.index)
	d.bamWrite(bam.PCtrl, p.index, ctrl)
}

func (d *driver) off(r bam.Reg, index int) uint32 {
	off, ok := d.layout.Offset(r, index)
	if !ok {
		d.t.Fatalf("layout %v has no %v", d.layout, r)
	}
	return d.profile.BAMOffset + off
}

func (d *driver) bamRead(r bam.Reg, index int) uint32     { return d.read(d.off(r, index)) }
func (d *driver) bamWrite(r bam.Reg, index int, v uint32) { d.write(d.off(r, index), v) }
func (d *driver) qceRead(off uint32) uint32               { return d.read(d.profile.QCEOffset + off) }
func (d *driver) qceWrite(off, v uint32)                  { d.write(d.profile.QCEOffset+off, v) }

// push puts a descriptor into a FIFO.
func (d *driver) push(p *pipe, addr uint32, size int, flags uint32) {
	raw := d.bytes(p.base+p.tail, bam.DescriptorSize)
	binary.LittleEndian.PutUint32(raw, addr)
	binary.LittleEndian.PutUint32(raw[4:], flags<<16|uint32(size))
	p.tail = (p.tail + bam.DescriptorSize) % fifoSize
}

// data pushes the descriptors of a buffer; the last one has the flags.
func (d *driver) data(p *pipe, addr uint32, size int, flags uint32) {
	for ; size > maxDesc; addr, size = addr+maxDesc, size-maxDesc {
		d.push(p, addr, maxDesc, 0)
	}
	d.push(p, addr, size, flags)
}

func (d *driver) ring(p *pipe) { d.bamWrite(bam.PEvntReg, p.index, p.tail) }

// answer is what a request gave.
type answer struct {
	out    []byte
	dump   []byte
	status uint32
}

const dumpFlag = qce.ResultsDump

// buffers fills in the input and queues the output of a request: n bytes and
// the result dump.
func (d *driver) buffers(r qcetest.Request, n int) (in []byte, writes []qcetest.Write, dump bool) {
	in = r.Input()
	writes = r.Writes(d.profile.PipePair)
	dump = writes[len(writes)-1].Val&dumpFlag != 0
	copy(d.bytes(inputAt, len(in)), in)
	clear(d.bytes(outputAt, n))
	clear(d.bytes(dumpAt, qcetest.DumpSize))
	if n > 0 {
		flags := uint32(bam.FlagEOT)
		if dump {
			flags = 0
		}
		d.data(&d.tx, outputAt, n, flags)
	}
	if dump {
		d.push(&d.tx, dumpAt, 128, bam.FlagEOT)
	}
	return in, writes, dump
}

// stock makes a request as the driver without the series does: input queued,
// then the registers written by the processor.
func (d *driver) stock(r qcetest.Request, n int) answer {
	d.t.Helper()
	in, writes, dump := d.buffers(r, n)
	d.data(&d.rx, inputAt, len(in), bam.FlagEOT)
	d.ring(&d.rx)
	d.ring(&d.tx)
	for _, w := range writes {
		d.qceWrite(w.Off, w.Val)
	}
	return d.finish(n, dump)
}

// series makes a request as version 16 of the posted series does: LOCK, one
// command descriptor for each register, the data with NWD, UNLOCK.
func (d *driver) series(r qcetest.Request, n int) answer {
	d.t.Helper()
	in, writes, dump := d.buffers(r, n)
	at := uint32(elements)
	command := func(off, val, flags uint32) {
		raw := d.bytes(at, bam.ElementSize)
		clear(raw)
		binary.LittleEndian.PutUint32(raw, (d.profile.QCEOffset+off)&0xFFFFFF)
		binary.LittleEndian.PutUint32(raw[4:], val)
		binary.LittleEndian.PutUint32(raw[8:], ^uint32(0))
		d.push(&d.rx, at, bam.ElementSize, bam.FlagCMD|flags)
		at += bam.ElementSize
	}
	command(qce.Version, 0, bam.FlagLOCK)
	for _, w := range writes {
		command(w.Off, w.Val, 0)
	}
	d.data(&d.rx, inputAt, len(in), bam.FlagEOT|bam.FlagNWD)
	command(qce.Version, 0, bam.FlagUNLOCK|bam.FlagINT)
	d.ring(&d.tx)
	d.ring(&d.rx)
	return d.finish(n, dump)
}

// finish waits for the interrupts of a request and handles them.
func (d *driver) finish(n int, dump bool) answer {
	d.t.Helper()
	for end := time.Now().Add(patience); d.tx.done != d.tx.tail || d.rx.done != d.rx.tail; {
		if !d.interrupted(time.Until(end)) {
			d.t.Fatalf("no interrupt: rx at %#x of %#x, tx at %#x of %#x, STATUS %#x",
				d.rx.done, d.rx.tail, d.tx.done, d.tx.tail, d.qceRead(qce.Status))
		}
		d.handle()
	}
	a := answer{out: slices.Clone(d.bytes(outputAt, n)), status: d.qceRead(qce.Status)}
	if dump {
		a.dump = slices.Clone(d.bytes(dumpAt, qcetest.DumpSize))
	}
	return a
}

// handle is the interrupt handler of bam_dma, and QEMU's part of it: the line
// is unmasked when the guest touches the device.
func (d *driver) handle() {
	d.t.Helper()
	if err := d.Unmask(); err != nil {
		d.t.Fatalf("unmask: %v", err)
	}
	srcs := d.bamRead(bam.IRQSrcsEE, d.profile.EE)
	for _, p := range []*pipe{&d.rx, &d.tx} {
		if srcs>>p.index&1 != 0 {
			d.bamWrite(bam.PIRQClr, p.index, d.bamRead(bam.PIRQStts, p.index))
			p.done = d.bamRead(bam.PSWOfsts, p.index) & 0xFFFF
		}
	}
}

// good does one request both ways and fails the test if the result is wrong. It
// is what "the next client is fine" means.
func (d *driver) good() {
	d.t.Helper()
	key := bytes.Repeat([]byte{0x2b, 0x7e}, 16)
	data := bytes.Repeat([]byte("sixteen bytes..."), 256)
	r := qcetest.Cipher{Mode: qcetest.CBCAES, Key: key, IV: make([]byte, 16), Encrypt: true, Data: data}
	want := cbc(d.t, key, data)
	for _, way := range []struct {
		name string
		do   func(qcetest.Request, int) answer
	}{{"stock", d.stock}, {"series", d.series}} {
		a := way.do(r, len(data))
		if !bytes.Equal(a.out, want) {
			d.t.Errorf("%s: wrong ciphertext", way.name)
		}
		if a.status&qce.OperationDone == 0 || a.status&(qce.SwErr|qce.AxiErr|qce.HsdErr) != 0 {
			d.t.Errorf("%s: STATUS %#x", way.name, a.status)
		}
	}
}

// goodClient connects, probes and does requests, then leaves.
func goodClient(t testing.TB, s *server, soc string) {
	t.Helper()
	c := connect(t, s.socket)
	probe(c, soc).good()
	c.Close()
}
