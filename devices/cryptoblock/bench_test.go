package cryptoblock_test

import (
	"crypto/aes"
	"encoding/binary"
	"testing"

	"golang.org/x/crypto/xts"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

func key(n int) []byte {
	k := make([]byte, n)
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

// v16 is a request of the series whose descriptors are laid out once: running
// it again and again shows what the block itself costs.
type v16 struct {
	block          *cryptoblock.Block
	mem            *bamtest.Memory
	rxEvnt, txEvnt uint64
	clr            [2]uint64
	rxTail, txTail uint32
	rxN            uint32
	word           [4]byte
}

const (
	base    = 0x8000_0000
	ringLen = 0x7FF8
)

func newV16(tb testing.TB, o cryptoblock.Options) *v16 {
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := cryptoblock.New(*p, o)
	if err != nil {
		tb.Fatal(err)
	}
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		tb.Fatal(err)
	}
	v := &v16{block: b, mem: bamtest.NewMemory(base, 1<<20)}
	b.Attach(v.mem, &bamtest.Line{})
	off := func(r bam.Reg, i int) uint64 {
		o, _ := layout.Offset(r, i)
		return uint64(p.BAMOffset + o)
	}
	for i, pipe := range []int{p.RXPipe(), p.TXPipe()} {
		v.write(off(bam.PRst, pipe), 1)
		v.write(off(bam.PRst, pipe), 0)
		v.write(off(bam.PDescFIFOAddr, pipe), base+uint32(i)*0x8000)
		v.write(off(bam.PFIFOSizes, pipe), ringLen)
		v.write(off(bam.PIRQEn, pipe), 0x31)
		v.write(off(bam.PCtrl, pipe), []uint32{0x22, 0x2A}[i])
		v.clr[i] = off(bam.PIRQClr, pipe)
	}
	v.rxEvnt, v.txEvnt = off(bam.PEvntReg, p.RXPipe()), off(bam.PEvntReg, p.TXPipe())

	r := qcetest.Cipher{Mode: qcetest.XTSAES, Key: key(64), IV: make([]byte, 16), Encrypt: true, Data: make([]byte, 4096)}
	writes := append([]qcetest.Write{{Off: qce.Version}}, r.Writes(p.PipePair)...)
	writes = append(writes, qcetest.Write{Off: qce.Version})
	for i, w := range writes {
		e := v.mem.Bytes(base+0x10000+uint64(i)*16, 16)
		binary.LittleEndian.PutUint32(e, p.QCEOffset+w.Off)
		binary.LittleEndian.PutUint32(e[4:], w.Val)
		binary.LittleEndian.PutUint32(e[8:], ^uint32(0))
	}
	v.rxN = uint32(len(writes))
	return v
}

func (v *v16) write(off uint64, val uint32) {
	binary.LittleEndian.PutUint32(v.word[:], val)
	if err := v.block.WriteRegion(off, v.word[:]); err != nil {
		panic(err)
	}
}

func (v *v16) push(fifo uint64, tail *uint32, addr, size, flags uint32) {
	d := v.mem.Bytes(fifo+uint64(*tail), 8)
	binary.LittleEndian.PutUint32(d, addr)
	binary.LittleEndian.PutUint32(d[4:], flags<<16|size)
	if *tail += 8; *tail == ringLen {
		*tail = 0
	}
}

func (v *v16) request() {
	v.push(base+0x8000, &v.txTail, base+0x30000, 4096, 0)
	v.push(base+0x8000, &v.txTail, base+0x40000, 128, bam.FlagEOT)
	for i := range v.rxN - 1 {
		flags := uint32(bam.FlagCMD)
		if i == 0 {
			flags |= bam.FlagLOCK
		}
		v.push(base, &v.rxTail, base+0x10000+i*16, 16, flags)
	}
	v.push(base, &v.rxTail, base+0x20000, 4096, bam.FlagEOT|bam.FlagNWD)
	v.push(base, &v.rxTail, base+0x10000+(v.rxN-1)*16, 16, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT)
	v.write(v.txEvnt, v.txTail)
	v.write(v.rxEvnt, v.rxTail)
	v.write(v.clr[0], 0xff)
	v.write(v.clr[1], 0xff)
}

// count counts finished operations.
type count struct{ done, failed int }

func (c *count) Emit(e *trace.Event) {
	if e.Kind == trace.OpDone {
		c.done++
		if e.Op.Status&qce.SwErr != 0 {
			c.failed++
		}
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	var seen count
	v := newV16(t, cryptoblock.Options{Sinks: []trace.Sink{&seen}})
	v.request()
	if n := testing.AllocsPerRun(100, v.request); n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
	if seen.done != 102 || seen.failed != 0 {
		t.Errorf("%d operations are done, %d failed; want 102 and 0", seen.done, seen.failed)
	}
}

// The two benchmarks are meant to be compared: a 4 KiB AES-256-XTS request in
// the shape of the series, and the cipher alone on the same bytes.

func BenchmarkV16XTS4K(b *testing.B) {
	v := newV16(b, cryptoblock.Options{})
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		v.request()
	}
}

func BenchmarkXTS4KAlone(b *testing.B) {
	c, err := xts.NewCipher(aes.NewCipher, key(64))
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4096)
	b.SetBytes(4096)
	for b.Loop() {
		c.Encrypt(buf, buf, 0)
	}
}
