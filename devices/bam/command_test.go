package bam_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/trace"
)

// Where an element's address leads, by the reading of the decode and the peripheral's place.
func TestElementDecode(t *testing.T) {
	const none = ^uint32(0)
	r18, r24 := bam.Readings{}, bam.Readings{ElementDecode: bam.Decode24}
	drop := bam.Readings{BareOffset: bam.BareDropped}
	sdm845, msm8974 := bam.Window{Base: 0x01DFA000, Size: 0x6000}, bam.Window{Base: 0xFD45A000, Size: 0x6000}
	for _, tt := range []struct {
		name     string
		win      bam.Window
		readings bam.Readings
		addr     uint32
		want     uint32 // offset that is written, or none
	}{
		{"24 bits of the physical address", sdm845, r18, 0xDFA100, 0x100},
		{"the same, 24 decoded", sdm845, r24, 0xDFA100, 0x100},
		{"other upper bits", sdm845, r18, 0x03A100, 0x100},
		{"other upper bits, 24 decoded", sdm845, r24, 0x03A100, none},
		{"old place", msm8974, r18, 0x45A400, 0x400},
		{"last register", sdm845, r18, 0xDFFFFC, 0x5FFC},
		{"behind it", sdm845, r18, 0xC00000, none},
		{"the BAM itself", sdm845, r18, 0xDC4000, none},
		{"below", sdm845, r18, 0xDF9FFC, none},
		{"bare offset", sdm845, r18, 0x3000, 0x3000},
		{"bare offset, 24 decoded", sdm845, r24, 0x3000, 0x3000},
		{"bare offset, dropped", sdm845, drop, 0x3000, none},
		{"no bare offset", sdm845, r18, 0x6000, none},
		{"unaligned", sdm845, r18, 0xDFA102, 0x100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScriptedScene(t, bam.Config{Window: tt.win, Readings: tt.readings})
			s.play(s.command(0, elem{Addr: tt.addr, Data: 7, Mask: ^uint32(0)}))
			want := map[uint32]uint32{}
			if tt.want != none {
				want[tt.want] = 7
			}
			if diff := cmp.Diff(want, s.script.Regs); diff != "" {
				t.Errorf("registers (-want +got):\n%s", diff)
			}
			if got := s.rx.Read(bam.PSWOfsts); got != 8 {
				t.Errorf("P_SW_OFSTS = %#x: the pipe must go on", got)
			}
		})
	}
}

func TestElementsInOrder(t *testing.T) {
	s := newScriptedScene(t, bam.Config{Owners: []uint8{4: 1, 5: 0}, NumEEs: 2})
	s.rx.By.EE = 1
	d := s.command(bam.FlagEOT, write(0x100, 1), elem{Command: 9}, write(0x104, 2), elem{Command: 4, Addr: window + 0x108, Data: 3, Mask: 0xFF})
	d.Size += 12 // not a whole element more
	s.play(d)
	want := []string{
		"EE1 pipe 4: 0x100 = 0x1 & 0xffffffff", "EE1 pipe 4: 0x104 = 0x2 & 0xffffffff", "EE1 pipe 4: 0x108 = 0x3 & 0xff",
	}
	got := s.script.Log[slices.Index(s.script.Log, "pipe 4: flush")+1:]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if got := s.rx.Read(bam.PIRQStts); got&bam.IRQTrnsfrEnd == 0 {
		t.Errorf("P_IRQ_STTS = %#x, want TRNSFR_END for CMD|EOT", got)
	}
}

func TestElementMask(t *testing.T) {
	for reading, want := range map[bam.Answer]uint32{bam.MaskRMW: 0xAAAA_5555, bam.MaskZero: 0x0000_5555} {
		s := newScriptedScene(t, bam.Config{Readings: bam.Readings{ElementMask: reading}})
		s.script.Regs[0x10] = 0xAAAA_AAAA
		s.play(s.command(0, elem{Addr: window + 0x10, Data: 0x5555_5555, Mask: 0xFFFF}))
		if got := s.script.Regs[0x10]; got != want {
			t.Errorf("reading %d: %#x, want %#x", reading, got, want)
		}
	}
}

// A READ element writes 4 bytes, with the upper address bits where a BAM has them.
func TestReadElement(t *testing.T) {
	for _, tt := range []struct {
		name     string
		readings bam.Readings
		flags    uint32
		moved    bool
		goesOn   bool
	}{
		{"default", bam.Readings{}, 0, true, true},
		{"drop", bam.Readings{ReadElement: bam.ElementDropped}, 0, false, true},
		{"bus error", bam.Readings{ReadElement: bam.ElementFails}, 0, false, false},
		{"with lock, default", bam.Readings{ReadElement: bam.ElementFails}, bam.FlagLOCK, true, true},
		{"with lock, drop", bam.Readings{ReadWithLock: bam.ElementDropped}, bam.FlagLOCK, false, true},
		{"with lock, bus error", bam.Readings{ReadWithLock: bam.ElementFails}, bam.FlagLOCK, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScriptedScene(t, bam.Config{Readings: tt.readings, AddrBits: 36})
			s.mem.Base = 0x7_8000_0000
			s.rx.Base = 0x7_8000_0000
			s.script.Regs[0x100] = 0x1122_3344
			s.rx.Write(bam.PDescFIFOAddrMSB, 7)
			s.rx.Init(0)
			s.rx.Write(bam.PDescFIFOAddrMSB, 7)
			const at, to = 0x7_8002_0000, 0x7_8005_0000
			s.rx.Elements(at, elem{Command: 1, Addr: window + 0x100, Data: to & 0xFFFFFFFF, Mask: 7})
			s.more(buf(at, 16, bam.FlagCMD|tt.flags))
			want := uint32(0)
			if tt.moved {
				want = 0x1122_3344
			}
			if got := binary.LittleEndian.Uint32(s.mem.Bytes(to, 8)); got != want {
				t.Errorf("memory has %#x, want %#x", got, want)
			}
			if got := binary.LittleEndian.Uint32(s.mem.Bytes(to+4, 4)); got != 0 {
				t.Errorf("the word behind has %#x", got)
			}
			if got := s.rx.Read(bam.PSWOfsts) == 8; got != tt.goesOn {
				t.Errorf("went on: %v, want %v", got, tt.goesOn)
			}
		})
	}
}

func TestOutsideWindowMayFail(t *testing.T) {
	s := newScene(t, bam.Config{Readings: bam.Readings{OutsideWindow: bam.OutsideFails}})
	s.play(s.command(0, write(0x6000, 1)))
	if got := s.rx.Read(bam.PIRQStts); got != bam.IRQHrespErr {
		t.Errorf("P_IRQ_STTS = %#x, want HRESP_ERR", got)
	}
	if got := s.read(0, bam.AHBMasterErrAddr, 0); got != window+0x6000 {
		t.Errorf("error address %#x", got)
	}
}

func TestCmdDisabled(t *testing.T) {
	for _, tt := range []struct {
		reading  bam.Answer
		executed bool
		fed      int
	}{{bam.CmdStillExecuted, true, 0}, {bam.CmdSkipped, false, 0}, {bam.CmdAsData, false, 16}} {
		s := newScriptedScene(t, bam.Config{Readings: bam.Readings{CmdDisabled: tt.reading}})
		s.script.Take[4] = 64
		s.write(0, bam.CnfgBits, 0, 0)
		s.play(s.command(bam.FlagLOCK, write(0x100, 1)))
		if got := s.script.Regs[0x100] == 1; got != tt.executed {
			t.Errorf("reading %d: executed %v", tt.reading, got)
		}
		if got := len(s.script.Got[4]); got != tt.fed {
			t.Errorf("reading %d: %d bytes fed", tt.reading, got)
		}
		if _, held := s.bam.Lock(); held != tt.executed {
			t.Errorf("reading %d: locked %v", tt.reading, held)
		}
	}
}

// Key material never gets into the stream.
func TestElementEventsShowNoSecrets(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secret func(uint32) bool
		want   []uint64
	}{
		{"unknown", nil, []uint64{0, 0}},
		{"by register", func(off uint32) bool { return off >= 0x3000 }, []uint64{0x11, 0}},
	} {
		s := newScene(t, bam.Config{Secret: tt.secret})
		s.play(s.command(0, write(0x100, 0x11), write(0x3000, 0x22)))
		var got []uint64
		for _, e := range s.rec.Events {
			if e.Kind == trace.Element {
				got = append(got, e.Value)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", tt.name, diff)
		}
	}
}
