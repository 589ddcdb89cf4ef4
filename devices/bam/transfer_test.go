package bam_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/trace"
)

// fill puts n different bytes at addr and returns them.
func (r *rig) fill(addr uint64, n int) []byte {
	p := r.mem.Bytes(addr, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8 + 1)
	}
	return slices.Clone(p)
}

// newScriptedScene is a scene with a scripted peripheral.
func newScriptedScene(t *testing.T, cfg bam.Config) *scene {
	s := &scene{rig: newScripted(t, cfg)}
	s.rx, s.tx = s.ring(4, 0, 256), s.ring(5, 0x1000, 256)
	return s
}

// A descriptor makes progress only as far as the peripheral has space, and P_SW_OFSTS
// tells how far that is.
func TestInputWaitsForSpace(t *testing.T) {
	s := newScriptedScene(t, bam.Config{})
	want := s.fill(data, 100)
	s.script.Take[4] = 30
	s.play(buf(data, 100, bam.FlagINT), buf(data, 4, 0))
	if got := s.rx.Read(bam.PSWOfsts); got != 30<<16 {
		t.Errorf("P_SW_OFSTS = %#x, want 30 bytes into the first descriptor", got)
	}
	if s.bam.Runnable() != 0 {
		t.Error("runnable without space")
	}
	if got := s.rx.Read(bam.PCnsmrSdbnd); got != 70 {
		t.Errorf("P_CNSMR_SDBND = %#x, want 70 bytes available", got)
	}
	if got := s.rx.Read(bam.PIRQStts); got != 0 {
		t.Errorf("P_IRQ_STTS = %#x before the descriptor is done", got)
	}
	s.script.Take[4] = 70
	bamtest.Run(s.bam, 100)
	if got := s.rx.Read(bam.PSWOfsts); got != 8 {
		t.Errorf("P_SW_OFSTS = %#x, want the second descriptor", got)
	}
	if !bytes.Equal(s.script.Got[4], want) {
		t.Errorf("got % x, want % x", s.script.Got[4], want)
	}
	if got := s.rx.Read(bam.PIRQStts); got != bam.IRQPrcsdDesc {
		t.Errorf("P_IRQ_STTS = %#x, want PRCSD_DESC", got)
	}
}

// Producers: the peripheral's end of transfer closes a descriptor that is not full, and
// the write-back says how full it is. Neighbours stay as they are.
func TestOutputWriteBack(t *testing.T) {
	s := newScriptedScene(t, bam.Config{})
	s.tx.Init(bam.IRQTrnsfrEnd)
	s.tx.Push(buf(dest, 40, 0), buf(dest+0x100, 40, bam.FlagINT), buf(dest+0x200, 40, bam.FlagEOT), buf(dest+0x300, 40, bam.FlagEOT|bam.FlagINT))
	s.tx.Publish()
	s.script.Give[5] = []bamtest.Chunk{{Data: bytes.Repeat([]byte{1}, 50)}, {Data: bytes.Repeat([]byte{2}, 5), EOT: true}, {Data: bytes.Repeat([]byte{3}, 40)}}
	bamtest.Run(s.bam, 100)
	want := []bamtest.Descriptor{
		{Addr: dest & 0xFFFFFFFF, Size: 40},
		{Addr: (dest + 0x100) & 0xFFFFFFFF, Size: 15, Flags: bam.FlagINT | bam.FlagEOT},
		{Addr: (dest + 0x200) & 0xFFFFFFFF, Size: 40, Flags: bam.FlagEOT},
		{Addr: (dest + 0x300) & 0xFFFFFFFF, Size: 40, Flags: bam.FlagEOT | bam.FlagINT},
	}
	var got []bamtest.Descriptor
	for i := range want {
		got = append(got, s.tx.Entry(i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("FIFO (-want +got):\n%s", diff)
	}
	if got := s.mem.Bytes(dest+0x100, 17); !bytes.Equal(got, []byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0, 0}) {
		t.Errorf("second buffer: % x", got)
	}
	if got := s.tx.Read(bam.PSWOfsts); got != 24 {
		t.Errorf("P_SW_OFSTS = %#x, want 24: the last descriptor is open", got)
	}
	if got := s.tx.Read(bam.PIRQStts); got != bam.IRQTrnsfrEnd|bam.IRQPrcsdDesc {
		t.Errorf("P_IRQ_STTS = %#x, want TRNSFR_END and PRCSD_DESC", got)
	}
	if got := s.tx.Read(bam.PPrdcrSdbnd); got != 40 {
		t.Errorf("P_PRDCR_SDBND = %#x, want 40 bytes free", got)
	}
	// An end of transfer without bytes closes the open descriptor too.
	s.script.Give[5] = []bamtest.Chunk{{EOT: true}}
	bamtest.Run(s.bam, 100)
	if got := s.tx.Entry(3); got.Size != 0 || got.Flags != bam.FlagEOT|bam.FlagINT {
		t.Errorf("closed without bytes: %+v", got)
	}
}

// The write-back is 8 bytes at the descriptor, whatever lies around it.
func TestWriteBackTouchesItsEntryOnly(t *testing.T) {
	for entry := range 4 {
		s := newScriptedScene(t, bam.Config{})
		s.tx.Size = 32
		s.tx.Init(0)
		for i := range 4 {
			if i == entry {
				var writes []string
				s.mem.Fault = func(addr uint64, n int, write bool) bool {
					if write {
						writes = append(writes, fmt.Sprintf("%#x+%d", addr-s.tx.Base, n))
					}
					return false
				}
				defer func() {
					if want := fmt.Sprintf("%#x+8", entry*8); !slices.Equal(writes, []string{want}) {
						t.Errorf("entry %d: writes %v, want %s", entry, writes, want)
					}
				}()
			}
			s.script.Give[5] = []bamtest.Chunk{{EOT: true}}
			s.tx.Push(buf(dest, 16, 0))
			s.tx.Publish()
			bamtest.Run(s.bam, 100)
			s.mem.Fault = nil
		}
	}
}

// NWD holds the pipe until the peripheral is done; without it the next descriptor runs.
func TestNWD(t *testing.T) {
	for _, tt := range []struct {
		name  string
		scope bam.Answer
		flags uint32
		holds bool
	}{
		{"with EOT", bam.NWDEvery, bam.FlagNWD | bam.FlagEOT, true},
		{"middle", bam.NWDEvery, bam.FlagNWD, true},
		{"middle, last-only", bam.NWDLast, bam.FlagNWD, false},
		{"with EOT, last-only", bam.NWDLast, bam.FlagNWD | bam.FlagEOT, true},
		{"none", bam.NWDEvery, bam.FlagEOT, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScriptedScene(t, bam.Config{Readings: bam.Readings{NWDScope: tt.scope}})
			s.script.Take[4] = 16
			s.play(buf(data, 16, tt.flags), s.command(0, write(0, 1)))
			if held := s.rx.Read(bam.PSWOfsts)&0xFFFF == 0; held != tt.holds {
				t.Errorf("held: %v, want %v", held, tt.holds)
			}
			const outstanding = 2<<16 | 1<<23
			if got := s.rx.Read(bam.PCnsmrSdbnd) & outstanding; (got == outstanding) != tt.holds {
				t.Errorf("P_CNSMR_SDBND = %#x", got)
			}
			s.script.Ack[4] = true
			bamtest.Run(s.bam, 100)
			if got := s.rx.Read(bam.PSWOfsts); got != 16 {
				t.Errorf("after the acknowledgement: P_SW_OFSTS = %#x, want 16", got)
			}
			if got := s.rx.Read(bam.PCnsmrSdbnd); got != 0 {
				t.Errorf("after the acknowledgement: P_CNSMR_SDBND = %#x", got)
			}
		})
	}
}

func TestZeroLengthTransfer(t *testing.T) {
	s := newScriptedScene(t, bam.Config{})
	s.play(buf(0, 0, bam.FlagEOT), buf(0, 0, 0))
	if got := s.rx.Read(bam.PSWOfsts); got != 16 {
		t.Errorf("P_SW_OFSTS = %#x, want 16", got)
	}
	if want := "pipe 4: fed 0 eot=true"; !slices.Contains(s.script.Log, want) {
		t.Errorf("the peripheral did not see the end: %v", s.script.Log)
	}
	if got := s.rx.Read(bam.PIRQStts); got&bam.IRQTrnsfrEnd == 0 {
		t.Errorf("P_IRQ_STTS = %#x, want TRNSFR_END", got)
	}
}

// Linux's ring: 4095 entries, 0x7FF8 bytes; not a power of two.
func TestRingOf4095(t *testing.T) {
	s := newScene(t, bam.Config{})
	s.rec.Events = nil
	r := newRig(t, bam.Config{})
	rx, tx := r.ring(4, 0, 0x7FF8), r.ring(5, 0x8000, 0x7FF8)
	rx.Init(0)
	tx.Init(0)
	want := r.fill(data, 3)
	for i := range 3*4095 + 7 {
		tx.Push(buf(dest+uint64(i%64)*4, 4, 0))
		tx.Publish()
		rx.Push(buf(data, 3, bam.FlagEOT))
		rx.Publish()
		if n := bamtest.Run(r.bam, 100); n == 100 {
			t.Fatalf("request %d does not end", i)
		}
		if got := r.mem.Bytes(dest+uint64(i%64)*4, 3); !bytes.Equal(got, want) {
			t.Fatalf("request %d: % x, want % x", i, got, want)
		}
		off := uint32(i+1) % 4095 * 8
		if g1, g2 := rx.Read(bam.PSWOfsts), tx.Read(bam.PSWOfsts); g1 != off || g2 != off {
			t.Fatalf("request %d: offsets %#x and %#x, want %#x", i, g1, g2, off)
		}
	}
	// A full ring: 4094 entries, one stays free.
	for range 4094 {
		rx.Push(rx2(r, rx))
	}
	rx.Publish()
	if got, want := bamtest.Run(r.bam, 100000), 4094*3; got != want {
		t.Errorf("a full ring took %d steps, want %d", got, want)
	}
}

func rx2(r *rig, rx *bamtest.Ring) desc {
	rx.Elements(code, write(0, 1))
	return buf(code, 16, bam.FlagCMD)
}

// Addresses of 36 and 40 bits are in the upper half of word 1 and in the MSB registers.
func TestWideAddresses(t *testing.T) {
	for _, tt := range []struct {
		bits int
		base uint64
	}{{36, 0xF_8000_0000}, {40, 0xA5_8000_0000}} {
		s := newScriptedScene(t, bam.Config{AddrBits: tt.bits})
		s.mem.Base = tt.base
		s.rx.Base = tt.base
		copy(s.mem.Data[0x30000:], "high")
		s.script.Take[4] = 4
		s.rx.Init(0)
		s.rx.Write(bam.PCtrl, 0)
		s.rx.Write(bam.PDescFIFOAddrMSB, uint32(tt.base>>32))
		s.rx.Write(bam.PCtrl, s.rx.Ctrl())
		s.more(buf(tt.base+0x30000, 4, 0))
		if got := string(s.script.Got[4]); got != "high" {
			t.Errorf("%d bits: got %q; findings %v", tt.bits, got, s.rec.Rules())
		}
		if got := s.rx.Read(bam.PDescFIFOAddrMSB); got != uint32(tt.base>>32) {
			t.Errorf("%d bits: MSB reads %#x", tt.bits, got)
		}
	}
}

// Software may prepare a pipe in any order; only P_EN starts it.
func TestSetupInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		s := newScriptedScene(t, bam.Config{})
		s.script.Take[4] = 4
		s.rx.Push(buf(data, 4, 0))
		writes := []func(){
			func() { s.rx.Write(bam.PDescFIFOAddr, uint32(s.rx.Base)) },
			func() { s.rx.Write(bam.PFIFOSizes, s.rx.Size) },
			func() { s.rx.Write(bam.PEvntReg, 8) },
			func() { s.rx.Write(bam.PCtrl, s.rx.Ctrl()&^2) },
			func() { s.rx.Write(bam.PIRQEn, 0x31) },
		}
		rng.Shuffle(len(writes), func(i, j int) { writes[i], writes[j] = writes[j], writes[i] })
		for _, w := range writes {
			w()
			if s.bam.Runnable() != 0 {
				t.Fatal("runs before P_EN")
			}
		}
		s.rx.Write(bam.PCtrl, s.rx.Ctrl())
		bamtest.Run(s.bam, 100)
		if len(s.script.Got[4]) != 4 {
			t.Fatalf("did not run; findings %v", s.rec.Rules())
		}
	}
}

// A guest may change a descriptor after the fetch; the copy counts.
func TestDescriptorIsCopied(t *testing.T) {
	s := newScriptedScene(t, bam.Config{})
	s.script.Take[4] = 8
	s.fill(data, 8)
	s.rx.Init(0)
	s.rx.Push(buf(data, 8, bam.FlagEOT))
	s.rx.Publish()
	s.bam.Step(4)
	clear(s.mem.Bytes(s.rx.Base, 256))
	bamtest.Run(s.bam, 100)
	if want := []string{"pipe 4: fed 8 eot=true"}; !slices.Equal(s.script.Log[len(s.script.Log)-1:], want) {
		t.Errorf("log %v, want %v at the end", s.script.Log, want)
	}
}

// The stream of one request, in order. The events of two pipes may interleave in any way;
// each pipe's own order is fixed.
func TestEventStream(t *testing.T) {
	for seed := range uint64(20) {
		s := newScene(t, bam.Config{})
		s.tx.Init(bam.IRQTrnsfrEnd)
		s.rx.Init(0)
		s.rec.Events = nil
		s.tx.Push(buf(dest, 64, 0))
		s.tx.Publish()
		s.rx.Push(s.command(bam.FlagLOCK, write(0, 1)), buf(data, 16, bam.FlagEOT|bam.FlagNWD), s.command(bam.FlagUNLOCK|bam.FlagINT, write(0, 1)))
		s.rx.Publish()
		bamtest.RunRandom(s.bam, rand.New(rand.NewPCG(seed, 0)), 1000)
		want := map[int8][]trace.Kind{
			4: {
				trace.DescFetch, trace.Lock, trace.Element, trace.DescDone,
				trace.DescFetch, trace.DataIn, trace.NWDWait, trace.NWDAck, trace.DescDone, trace.PipeIRQ,
				trace.DescFetch, trace.Element, trace.Unlock, trace.DescDone, trace.PipeIRQ,
			},
			5:  {trace.DescFetch, trace.DataOut, trace.WriteBack, trace.DescDone, trace.PipeIRQ},
			-1: {trace.LineSet},
		}
		got := map[int8][]trace.Kind{}
		for _, e := range s.rec.Events {
			if e.Kind != trace.RegRead && e.Kind != trace.RegWrite {
				got[e.Pipe] = append(got[e.Pipe], e.Kind)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}
