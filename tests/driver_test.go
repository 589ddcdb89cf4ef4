package tests

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// driver does on the far side of the socket what bam_dma and qce do. What the two
// put into the pipes is blocktest's; how they learn that it is done is not: there
// the block moves when it is looked at, here it runs by itself and interrupts.
type driver struct {
	*client
	*blocktest.Driver
}

// bus is the client's guest as blocktest reaches it.
type bus struct{ *client }

func (b bus) Load(off uint32) uint32          { return b.read(off) }
func (b bus) Store(off, v uint32)             { b.write(off, v) }
func (b bus) Bytes(addr uint32, n int) []byte { return b.bytes(addr, n) }

// probe sets up the hardware as the two drivers do when they load. It fails the
// test if what it reads is not the chip.
func probe(c *client, soc string) *driver {
	c.t.Helper()
	p, err := cryptoblock.ProfileByName(soc)
	if err != nil {
		c.t.Fatal(err)
	}
	d := &driver{c, blocktest.NewDriver(bus{c}, p, ramBase)}
	if v := d.BAMRead(bam.BAMRevision, 0) & 0xff; v != uint32(p.Revision) {
		c.t.Errorf("%s: BAM_REVISION is %#x, want %#x", soc, v, p.Revision)
	}
	if n := d.BAMRead(bam.BAMNumPipes, 0) & 0xff; n != uint32(p.Pipes) {
		c.t.Errorf("%s: BAM_NUM_PIPES is %d, want %d", soc, n, p.Pipes)
	}
	d.BAMWrite(bam.IRQSrcsMskEE, p.EE, 0)
	d.Init()
	if v := d.QCERead(qce.Version); v != p.Version {
		c.t.Errorf("%s: VERSION is %#x, want %#x", soc, v, p.Version)
	}
	return d
}

// answer is what a request gave.
type answer struct {
	out    []byte
	dump   []byte
	status uint32
}

// stock makes a request as the driver without the series does.
func (d *driver) stock(r qcetest.Request) answer {
	d.t.Helper()
	return d.finish(d.Stock(r))
}

// series makes a request as version 16 of the posted series does: UNLOCK is there
// from the beginning.
func (d *driver) series(r qcetest.Request) answer {
	d.t.Helper()
	q := d.Series(r)
	d.Unlock()
	d.Ring(&d.TX)
	d.Ring(&d.RX)
	return d.finish(q)
}

// finish waits for the interrupts of a request and handles them.
func (d *driver) finish(q *blocktest.Pending) answer {
	d.t.Helper()
	for end := time.Now().Add(patience); d.TX.Done != d.TX.Tail || d.RX.Done != d.RX.Tail; {
		if !d.interrupted(time.Until(end)) {
			d.t.Fatalf("no interrupt: rx at %#x of %#x, tx at %#x of %#x, STATUS %#x",
				d.RX.Done, d.RX.Tail, d.TX.Done, d.TX.Tail, d.QCERead(qce.Status))
		}
		d.handle()
	}
	a := answer{out: slices.Clone(d.bytes(d.Output(), q.Out)), status: d.QCERead(qce.Status)}
	if q.Dump {
		a.dump = slices.Clone(d.bytes(d.Dump(), qcetest.DumpSize))
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
	d.Handle()
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
		do   func(qcetest.Request) answer
	}{{"stock", d.stock}, {"series", d.series}} {
		a := way.do(r)
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
