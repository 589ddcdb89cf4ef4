package bam_test

import (
	"math/bits"
	"testing"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
)

// v16 is a request in the shape of the series' version 16 (§24): rx has LOCK, command
// descriptors of one element each, data with NWD, UNLOCK; tx one buffer.
type v16 struct {
	r        *rig
	rx, tx   *bamtest.Ring
	elements int
}

func newV16(tb testing.TB, elements int) *v16 {
	r := newRig(tb, bam.Config{})
	w := &v16{r: r, rx: r.ring(4, 0x0000, 0x7FF8), tx: r.ring(5, 0x8000, 0x7FF8), elements: elements}
	w.rx.Init(bam.IRQTrnsfrEnd | bam.IRQPrcsdDesc)
	w.tx.Init(bam.IRQTrnsfrEnd)
	for i := range elements + 2 {
		w.rx.Elements(ramBase+0x20000+uint64(i)*16, bamtest.Element{Addr: window + 0x100 + uint32(i)*4, Data: uint32(i), Mask: ^uint32(0)})
	}
	return w
}

func (w *v16) request() {
	at := func(i int) bamtest.Descriptor {
		return bamtest.Descriptor{Addr: ramBase + 0x20000 + uint64(i)*16, Size: 16, Flags: bam.FlagCMD}
	}
	w.tx.Push(bamtest.Descriptor{Addr: ramBase + 0x40000, Size: 4096, Flags: bam.FlagEOT})
	w.tx.Publish()
	lock := at(0)
	lock.Flags |= bam.FlagLOCK
	w.rx.Push(lock)
	for i := range w.elements {
		w.rx.Push(at(i + 1))
	}
	w.rx.Push(bamtest.Descriptor{Addr: ramBase + 0x30000, Size: 4096, Flags: bam.FlagEOT | bam.FlagNWD})
	unlock := at(w.elements + 1)
	unlock.Flags |= bam.FlagUNLOCK | bam.FlagINT
	w.rx.Push(unlock)
	w.rx.Publish()
	for m := w.r.bam.Runnable(); m != 0; m = w.r.bam.Runnable() {
		w.r.bam.Step(bits.TrailingZeros32(m))
	}
	w.rx.Write(bam.PIRQClr, w.rx.Read(bam.PIRQStts))
	w.tx.Write(bam.PIRQClr, w.tx.Read(bam.PIRQStts))
}

func TestRequestDoesNotAllocate(t *testing.T) {
	w := newV16(t, 30)
	if n := testing.AllocsPerRun(100, w.request); n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
	if got, want := w.rx.Read(bam.PSWOfsts), w.rx.Read(bam.PEvntReg); got != want {
		t.Errorf("rx is at %#x, want %#x", got, want)
	}
}

// The whole request: 33 descriptors on rx with 32 elements, one on tx, 4 KiB looped back.
func BenchmarkV16Request(b *testing.B) {
	w := newV16(b, 30)
	b.ReportAllocs()
	for b.Loop() {
		w.request()
	}
}
