package qce_test

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

var _ bam.Peripheral = (*qce.Engine)(nil)

// Memory of a stack: command elements, input and output.
const (
	ramBase  = 0x8000_0000
	elements = ramBase + 0x20000
	inBuf    = ramBase + 0x40000
	outBuf   = ramBase + 0x60000
	guard    = 64 // bytes around the output that must stay as they are
	base     = 0x01dfa000
)

// stack is an engine behind a real BAM, with the pipe pair 2 set up.
type stack struct {
	e      *qce.Engine
	b      *bam.BAM
	mem    *bamtest.Memory
	rx, tx *bamtest.Ring
	rand   *rand.Rand // who goes next; nil: the BAM as long as it can
}

func newStack(tb testing.TB) *stack {
	s := &stack{e: qce.New(ideal, nil), mem: bamtest.NewMemory(ramBase, 0x80000)}
	cfg := bam.Config{Layout: bam.V17, Revision: 0x27, NumPipes: 16, NumEEs: 4, Remote: bam.ControlledRemotely, Window: bam.Window{Base: base, Size: qce.WindowSize}}
	if err := cfg.Validate(); err != nil {
		tb.Fatal(err)
	}
	s.b = bam.New(cfg, s.e, nil, nil)
	ring := func(pipe int, fifo uint64) *bamtest.Ring {
		s.b.SetPipeMemory(pipe, s.mem)
		return &bamtest.Ring{B: s.b, Mem: s.mem, Layout: bam.V17, By: cpu0, Pipe: pipe, Producer: pipe&1 == 1, Base: fifo, Size: 0x7ff8}
	}
	s.rx, s.tx = ring(4, ramBase), ring(5, ramBase+0x8000)
	s.init()
	return s
}

func (s *stack) init() {
	s.rx.Init(bam.IRQTrnsfrEnd | bam.IRQPrcsdDesc)
	s.tx.Init(bam.IRQTrnsfrEnd)
}

// run steps BAM and engine until neither has anything to do.
func (s *stack) run() {
	for {
		pipes := s.b.Runnable()
		switch busy := s.e.Runnable(); {
		case pipes == 0 && !busy:
			return
		case pipes == 0 || busy && s.rand != nil && s.rand.IntN(2) == 0:
			s.e.Step()
		case s.rand != nil:
			for n := s.rand.IntN(bits.OnesCount32(pipes)); n > 0; n-- {
				pipes &= pipes - 1
			}
			fallthrough
		default:
			s.b.Step(bits.TrailingZeros32(pipes))
		}
	}
}

// load puts a request into memory and the rings as version 16 of the series
// does (datasheet §24): cuts are where its input is cut into descriptors, extra
// is input after its end.
func (s *stack) load(writes []qcetest.Write, in, extra []byte, out int, cuts []int) {
	for i, w := range append([]qcetest.Write{{}}, writes...) {
		s.rx.Elements(elements+uint64(i)*16, bamtest.Element{Addr: (base + w.Off) & 0xffffff, Data: w.Val, Mask: ^uint32(0)})
	}
	all := append(bytes.Clone(in), extra...)
	copy(s.mem.Bytes(inBuf, len(all)), all)
	s.ring(len(writes), len(all), out, cuts)
}

func (s *stack) ring(writes, in, out int, cuts []int) {
	s.tx.Push(bamtest.Descriptor{Addr: outBuf, Size: uint32(out), Flags: bam.FlagEOT})
	s.tx.Publish()
	s.rx.Push(bamtest.Descriptor{Addr: elements, Size: 16, Flags: bam.FlagCMD | bam.FlagLOCK})
	for i := range writes {
		s.rx.Push(bamtest.Descriptor{Addr: elements + uint64(i+1)*16, Size: 16, Flags: bam.FlagCMD})
	}
	from := 0
	for _, to := range cuts {
		s.rx.Push(bamtest.Descriptor{Addr: inBuf + uint64(from), Size: uint32(to - from)})
		from = to
	}
	s.rx.Push(bamtest.Descriptor{Addr: inBuf + uint64(from), Size: uint32(in - from), Flags: bam.FlagEOT | bam.FlagNWD})
	s.rx.Push(bamtest.Descriptor{Addr: elements, Size: 16, Flags: bam.FlagCMD | bam.FlagUNLOCK | bam.FlagINT})
	s.rx.Publish()
}

// finished reports whether both rings are empty and the lock is released.
func (s *stack) finished() bool {
	empty := func(r *bamtest.Ring) bool { return r.Read(bam.PSWOfsts) == r.Read(bam.PEvntReg) }
	return empty(s.rx) && empty(s.tx) && s.e.Read(cpu0, qce.Status2)&1 == 0
}

// TestBehindBAM runs every algorithm as the series does, with the input cut
// anywhere and everybody's steps in any order. Nothing around the output
// changes. With surplus input the rx pipe stays open, and its reset is all
// that the next request needs (datasheet §16.3).
func TestBehindBAM(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, request func(*rand.Rand, int) qcetest.Request) {
		s := newStack(t)
		s.rand = r
		for i := range 12 {
			req := request(r, 1+r.IntN(3000))
			in := req.Input()
			want := feeder(ideal, nil).Run(req)
			var cuts []int
			for c := r.IntN(len(in)); c > 0 && len(cuts) < 5; c = r.IntN(c) {
				cuts = append([]int{c}, cuts...)
			}
			extra := random(r, r.IntN(2)*20)
			area := s.mem.Bytes(outBuf-guard, len(want.Out)+2*guard)
			copy(area, bytes.Repeat([]byte{0xa5}, len(area)))
			s.load(req.Writes(2), in, extra, len(want.Out)+10, cuts)
			s.run()
			payload := len(head(want))
			if got := area[guard : len(area)-guard]; !bytes.Equal(want.Out[:payload], got[:payload]) {
				t.Fatalf("request %d: output differs", i)
			}
			if want, got := want.Status, s.e.Read(cpu0, qce.Status); want != got {
				t.Fatalf("request %d: STATUS %#x, want %#x", i, got, want)
			}
			if d := cmp.Diff(bytes.Repeat([]byte{0xa5}, 2*guard), append(bytes.Clone(area[:guard]), area[len(area)-guard:]...)); d != "" {
				t.Fatalf("request %d: bytes around the output changed: %s", i, d)
			}
			if done := s.finished(); done != (len(extra) == 0) {
				t.Fatalf("request %d, %d bytes of surplus: finished %v", i, len(extra), done)
			}
			if len(extra) > 0 {
				s.init()
				if !s.finished() {
					t.Fatalf("request %d: not clean after the reset", i)
				}
			}
		}
	})
}

// BenchmarkXTS4KStack is a request of the series through BAM and engine: 33
// command descriptors, 4 KiB of data. Compare with BenchmarkXTS4KAlone.
func BenchmarkXTS4KStack(b *testing.B) {
	s := newStack(b)
	req := xtsRequest(4096)
	writes := req.Writes(2)
	s.load(writes, req.Input(), nil, 4096+128, nil)
	s.run()
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		s.ring(len(writes), 4096, 4096+128, nil)
		s.run()
		s.rx.Write(bam.PIRQClr, s.rx.Read(bam.PIRQStts))
		s.tx.Write(bam.PIRQClr, s.tx.Read(bam.PIRQStts))
	}
	if !s.finished() {
		b.Fatal("not finished")
	}
}
