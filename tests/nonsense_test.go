package tests

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// regWrite is a register write by its offset in the window.
type regWrite struct{ off, val uint32 }

// offsetOf is the offset of a BAM register of the default chip.
func offsetOf(r bam.Reg, index int) uint32 {
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		panic(err)
	}
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		panic(err)
	}
	off, ok := layout.Offset(r, index)
	if !ok {
		panic(fmt.Sprintf("no %v", r))
	}
	return p.BAMOffset + off
}

// fifoIn sets up Linux's consumer pipe with a FIFO at addr and rings it.
func fifoIn(addr uint32) []regWrite {
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		panic(err)
	}
	rx := p.RXPipe()
	return []regWrite{
		{offsetOf(bam.PRst, rx), 1}, {offsetOf(bam.PRst, rx), 0},
		{offsetOf(bam.PDescFIFOAddr, rx), addr}, {offsetOf(bam.PFIFOSizes, rx), blocktest.FIFOSize},
		{offsetOf(bam.PCtrl, rx), blocktest.Consumer}, {offsetOf(bam.PEvntReg, rx), 64},
	}
}

// nonsense is what a guest does wrong, and the rule that must say so.
var nonsense = []struct {
	name string
	do   func(*driver)
	rule string
}{
	{"FIFO outside memory", func(d *driver) {
		for _, w := range fifoIn(0xdead_0000) {
			d.write(w.off, w.val)
		}
	}, "BAM-BUS-001"},
	{"FIFO not aligned", func(d *driver) {
		for _, w := range fifoIn(ramBase + 0x1003) {
			d.write(w.off, w.val)
		}
	}, "BAM-FIFO-001"},
	{"tail outside the ring", func(d *driver) { d.BAMWrite(bam.PEvntReg, d.RX.Index, 0xfff8) }, "BAM-FIFO-004"},
	{"ring overrun", func(d *driver) {
		d.Data(&d.RX, d.Input(), 16, 0) // the engine takes nothing: no GO
		d.Ring(&d.RX)
		d.BAMWrite(bam.PEvntReg, d.RX.Index, 0)
	}, "BAM-FIFO-006"},
	{"data outside memory", func(d *driver) {
		r := qcetest.Cipher{Mode: qcetest.ECBAES, Key: make([]byte, 16), Encrypt: true, Data: make([]byte, 64)}
		for _, w := range r.Writes(d.Profile.PipePair) {
			d.QCEWrite(w.Off, w.Val)
		}
		d.Data(&d.RX, 0xbad0_0000, 64, bam.FlagEOT)
		d.Ring(&d.RX)
	}, "BAM-BUS-003"},
	{"results outside memory", func(d *driver) {
		r := qcetest.Cipher{Mode: qcetest.ECBAES, Key: make([]byte, 16), Encrypt: true, Data: make([]byte, 64)}
		d.Push(&d.TX, 0xbad0_0000, 64, bam.FlagEOT)
		d.Data(&d.RX, d.Input(), 64, bam.FlagEOT)
		d.Ring(&d.TX)
		d.Ring(&d.RX)
		for _, w := range r.Writes(d.Profile.PipePair) {
			d.QCEWrite(w.Off, w.Val)
		}
	}, "BAM-BUS-004"},
	{"elements outside memory", func(d *driver) {
		d.Push(&d.RX, 0xbad0_0000, 16, bam.FlagCMD|bam.FlagINT)
		d.Ring(&d.RX)
	}, "BAM-BUS-002"},
	{"element for another device", func(d *driver) {
		e := d.bytes(d.Elements(), bam.ElementSize)
		clear(e)
		binary.LittleEndian.PutUint32(e, 0x10000)
		binary.LittleEndian.PutUint32(e[8:], ^uint32(0))
		d.Push(&d.RX, d.Elements(), bam.ElementSize, bam.FlagCMD)
		d.Ring(&d.RX)
	}, "BAM-CMD-004"},
	{"half a command element", func(d *driver) {
		d.Push(&d.RX, d.Elements(), 9, bam.FlagCMD)
		d.Ring(&d.RX)
	}, "BAM-CMD-001"},
	{"LOCK on data", func(d *driver) {
		d.Push(&d.RX, d.Input(), 16, bam.FlagLOCK)
		d.Ring(&d.RX)
	}, "BAM-LOCK-001"},
	{"UNLOCK out of the blue", func(d *driver) {
		d.Push(&d.RX, d.Elements(), 0, bam.FlagCMD|bam.FlagUNLOCK)
		d.Ring(&d.RX)
	}, "BAM-LOCK-005"},
	{"reset of the pipe under the lock", func(d *driver) {
		d.Push(&d.RX, d.Elements(), 0, bam.FlagCMD|bam.FlagLOCK)
		d.Ring(&d.RX)
		d.BAMWrite(bam.PRst, d.RX.Index, 1)
	}, "BAM-LOCK-007"},
	{"GO without a configuration", func(d *driver) { d.QCEWrite(qce.GoProc, qce.Go) }, "QCE-PIPE-001"},
	{"GO without data, until the next guest resets it", func(d *driver) {
		r := qcetest.Cipher{Mode: qcetest.CBCAES, Key: make([]byte, 16), IV: make([]byte, 16), Data: make([]byte, 64)}
		for _, w := range r.Writes(d.Profile.PipePair) {
			d.QCEWrite(w.Off, w.Val)
		}
	}, "QCE-DATA-005"},
	{"GO with half of the data", func(d *driver) {
		r := qcetest.Cipher{Mode: qcetest.CBCAES, Key: make([]byte, 16), IV: make([]byte, 16), Data: make([]byte, 64)}
		for _, w := range r.Writes(d.Profile.PipePair) {
			d.QCEWrite(w.Off, w.Val)
		}
		d.Data(&d.RX, d.Input(), 32, bam.FlagEOT) // half of it, and no more
		d.Ring(&d.RX)
	}, "QCE-DATA-002"},
	{"GO twice", func(d *driver) {
		r := qcetest.Cipher{Mode: qcetest.CBCAES, Key: make([]byte, 16), IV: make([]byte, 16), Data: make([]byte, 64)}
		for _, w := range r.Writes(d.Profile.PipePair) {
			d.QCEWrite(w.Off, w.Val)
		}
		d.QCEWrite(qce.GoProc, qce.Go)
	}, "QCE-CFG-002"},
	{"register write while the engine works", func(d *driver) {
		r := qcetest.Cipher{Mode: qcetest.CBCAES, Key: make([]byte, 16), IV: make([]byte, 16), Data: make([]byte, 64)}
		for _, w := range r.Writes(d.Profile.PipePair) {
			d.QCEWrite(w.Off, w.Val)
		}
		d.QCEWrite(qce.EncrKey0, 1)
	}, "QCE-CFG-001"},
	{"reset of the pipe in mid-transfer", func(d *driver) {
		r := qcetest.Cipher{Mode: qcetest.CBCAES, Key: make([]byte, 16), IV: make([]byte, 16), Data: make([]byte, 64)}
		for _, w := range r.Writes(d.Profile.PipePair) {
			d.QCEWrite(w.Off, w.Val)
		}
		d.Data(&d.RX, d.Input(), 32, 0)
		d.Ring(&d.RX)
		d.BAMWrite(bam.PRst, d.RX.Index, 1)
		d.BAMWrite(bam.PRst, d.RX.Index, 0)
	}, "QCE-DATA-005"},
	{"somebody else's pipe", func(d *driver) { d.BAMWrite(bam.PCtrl, 0, blocktest.Consumer) }, "BAM-REG-002"},
	{"no such register", func(d *driver) { d.write(0x2000, 1); d.write(d.Profile.BAMOffset+0x12340, 1) }, "BAM-REG-003"},
}

// TestNonsense: a guest that programs nonsense gets findings, and the next
// guest works.
func TestNonsense(t *testing.T) {
	for _, c := range nonsense {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			d := probe(connect(t, s.socket), cryptoblock.DefaultSoC)
			c.do(d)
			d.read(d.Profile.QCEOffset + qce.Status) // everything has happened
			d.Close()
			goodClient(t, s, cryptoblock.DefaultSoC)
			s.stop()
			found := s.findings()
			if _, ok := found[c.rule]; !ok {
				t.Errorf("no finding %s; there are: %v", c.rule, titles(found))
			}
		})
	}
}

func titles[F any](m map[string]F) (ids []string) {
	for id := range m {
		ids = append(ids, id)
	}
	return ids
}

// TestRandomPokes: registers written and read at random, descriptors and
// elements at random, by seed. The backend lives, answers, and the next guest
// works.
func TestRandomPokes(t *testing.T) {
	for _, soc := range []string{cryptoblock.DefaultSoC, "msm8974", "ideal"} {
		t.Run(soc, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--soc", soc)
			for seed := range uint64(6) {
				d := probe(connect(t, s.socket), soc)
				pokeAt(d, rand.New(rand.NewPCG(seed, 1)))
				d.Close()
				goodClient(t, s, soc)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			s.stop()
			if len(s.findings()) < 10 {
				t.Errorf("only these findings: %v", titles(s.findings()))
			}
		})
	}
}

// pokeAt is a guest that has lost its mind.
func pokeAt(d *driver, r *rand.Rand) {
	// Half of the memory makes sense here and there.
	for i := range d.ram[:1<<20] {
		d.ram[i] = byte(r.Uint32())
	}
	for at := d.RX.FIFO; at < d.TX.FIFO; at += 8 {
		binary.LittleEndian.PutUint32(d.bytes(at, 4), ramBase+r.Uint32N(ramSize))
		binary.LittleEndian.PutUint32(d.bytes(at+4, 4), r.Uint32()&0xff00_0fff)
	}
	regs := []uint32{
		d.Offset(bam.PEvntReg, d.RX.Index), d.Offset(bam.PEvntReg, d.TX.Index), d.Offset(bam.PCtrl, d.RX.Index), d.Offset(bam.PCtrl, d.TX.Index),
		d.Offset(bam.PDescFIFOAddr, d.RX.Index), d.Offset(bam.PFIFOSizes, d.RX.Index), d.Offset(bam.PRst, d.RX.Index), d.Offset(bam.PHalt, d.RX.Index),
		d.Profile.QCEOffset + qce.GoProc, d.Profile.QCEOffset + qce.SegSize, d.Profile.QCEOffset + qce.EncrSegCfg,
		d.Profile.QCEOffset + qce.AuthSegCfg, d.Profile.QCEOffset + qce.ConfigReg,
	}
	for range 1500 {
		off := r.Uint32N(cryptoblock.WindowSize/4) * 4
		if r.IntN(2) == 0 {
			off = regs[r.IntN(len(regs))]
		}
		switch r.IntN(8) {
		case 0:
			d.read(off)
		case 1:
			d.write(off, r.Uint32N(256)*8)
		case 2:
			d.write(off, ramBase+r.Uint32N(ramSize))
		case 3:
			d.write(off, 1<<r.Uint32N(32))
		case 4:
			d.BAMWrite(bam.PCtrl, d.RX.Index, blocktest.Consumer)
		default:
			d.write(off, r.Uint32())
		}
	}
	d.read(0)
}
