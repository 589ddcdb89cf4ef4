package cryptoblock_test

import (
	"encoding/binary"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
)

// counted is flat memory that counts what can be read from it.
type counted struct {
	mem   []byte
	bytes int
	reads int
}

func (c *counted) Read(addr uint64, p []byte) error {
	if addr > uint64(len(c.mem)) || uint64(len(p)) > uint64(len(c.mem))-addr {
		return &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Unmapped}
	}
	c.bytes += len(p)
	c.reads++
	copy(p, c.mem[addr:])
	return nil
}

func (c *counted) Write(addr uint64, p []byte) error {
	if addr > uint64(len(c.mem)) || uint64(len(p)) > uint64(len(c.mem))-addr {
		return &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Unmapped}
	}
	copy(c.mem[addr:], p)
	return nil
}

// glutton is a guest that has filled both rings to the last descriptor.
type glutton struct {
	*testing.T
	p    *cryptoblock.Profile
	b    *cryptoblock.Block
	port *cryptoblock.Port
	mem  *counted
}

const gluttonRing = 0xfff8

func newGlutton(t *testing.T, soc string, o cryptoblock.Options, flags uint32) *glutton {
	p, err := cryptoblock.ProfileByName(soc)
	if err != nil {
		t.Fatal(err)
	}
	o.Manual = true
	b, err := cryptoblock.New(*p, o)
	if err != nil {
		t.Fatal(err)
	}
	g := &glutton{t, p, b, b.Port(p.EE), &counted{mem: make([]byte, 1<<20)}}
	b.Attach(g.mem, nil)
	for pipe := range 2 {
		at := pipe << 16
		for i := 0; i < gluttonRing/bam.DescriptorSize; i++ {
			binary.LittleEndian.PutUint32(g.mem.mem[at+i*8:], 0x20000+uint32(pipe)<<17)
			binary.LittleEndian.PutUint32(g.mem.mem[at+i*8+4:], flags<<16|0xfff0)
		}
		g.bam(bam.PDescFIFOAddr, pipe, uint32(at))
		g.bam(bam.PFIFOSizes, pipe, gluttonRing)
		g.bam(bam.PCtrl, pipe, 0x22+8*uint32(pipe))
	}
	return g
}

func (g *glutton) bam(r bam.Reg, pipe int, v uint32) {
	off, ok := layout(g.T, g.p).Offset(r, 2*g.p.PipePair+pipe)
	if !ok {
		g.Fatalf("no %v", r)
	}
	g.port.Write(g.p.BAMOffset+off, v)
}

func (g *glutton) qce(off, v uint32) { g.port.Write(g.p.QCEOffset+off, v) }

// TestEntryIsBounded: what one access sets off is bounded by what it costs, not by
// how many steps it takes: the slow ciphers move less. The rest is done without an
// access.
func TestEntryIsBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		encr uint32
		most int // bytes that the engine may take at once
	}{
		{"3DES", 1 | 1<<3 | 1<<6 | 1<<10, 128 << 10},
		{"AES", 2 | 1<<6 | 1<<10, 2 << 20},
	} {
		g := newGlutton(t, "ipq4019", cryptoblock.Options{}, 0)
		const seg = 16 << 20
		g.qce(qce.ConfigReg, 0xe020b|uint32(g.p.PipePair)<<5)
		for i := range uint32(6) {
			g.qce(qce.EncrKey0+4*i, 77*i+1)
		}
		g.qce(qce.EncrSegCfg, c.encr)
		g.qce(qce.EncrSegSize, seg)
		g.qce(qce.SegSize, seg)
		g.bam(bam.PEvntReg, 0, gluttonRing-8)
		g.bam(bam.PEvntReg, 1, gluttonRing-8)
		g.mem.bytes = 0
		g.qce(qce.GoProc, 1)
		first := g.mem.bytes
		if first == 0 || first > c.most {
			t.Errorf("%s: GO took %d bytes, want some and at most %d", c.name, first, c.most)
		}
		g.b.Settle()
		if g.mem.bytes < seg {
			t.Errorf("%s: %d bytes were taken in all, want %d", c.name, g.mem.bytes, seg)
		}
	}
}

// TestWatchIsBounded: the look-out for changes reads no more than a bounded part of
// what is published at once, whatever its shape.
func TestWatchIsBounded(t *testing.T) {
	const slots = gluttonRing/bam.DescriptorSize - 1
	for _, tt := range []struct {
		name         string
		addr, stride uint32 // of a descriptor's elements
		size         uint32
		reads, bytes int
	}{
		{"long lists", 0x20000, 0, 0xfff0, 1 << 12, 1 << 20},
		{"one element, all of them a row", 0x20000, 16, 16, 4, 1 << 18},
		{"one element, the same for all", 0x20000, 0, 16, slots + 2, 1 << 18},
		{"one element, nowhere", 0xf000_0000, 16, 16, 0, slots * 8},
		{"one element, the row leaves memory", 1<<20 - 64, 16, 16, 8, 1 << 18},
		{"one element, the row goes on at address 0", 0xffff_ffe0, 16, 16, 2, 1 << 18},
	} {
		for _, exact := range []bool{false, true} {
			g := newGlutton(t, cryptoblock.DefaultSoC, cryptoblock.Options{InFlight: true, Exact: exact}, bam.FlagCMD)
			for i := range uint32(slots) {
				binary.LittleEndian.PutUint32(g.mem.mem[i*8:], tt.addr+i*tt.stride)
				binary.LittleEndian.PutUint32(g.mem.mem[i*8+4:], bam.FlagCMD<<16|tt.size)
			}
			// A pipe that is halted reads for nothing else.
			g.bam(bam.PHalt, 0, 1)
			g.mem.reads, g.mem.bytes = 0, 0
			g.bam(bam.PEvntReg, 0, gluttonRing-8)
			reads := tt.reads
			if exact {
				reads = 1 << 15
			}
			if reads = max(reads, 1); g.mem.reads > reads || g.mem.bytes > tt.bytes || g.mem.bytes < slots {
				t.Errorf("%s, exact %v: publishing took %d reads of %d bytes, want at most %d of %d", tt.name, exact, g.mem.reads, g.mem.bytes, reads, tt.bytes)
			}
		}
	}
}

func layout(t *testing.T, p *cryptoblock.Profile) bam.Layout {
	l, err := bam.ParseLayout(p.Layout)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
