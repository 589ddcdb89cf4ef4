package bam_test

import (
	"fmt"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/trace"
)

// stepwise makes at most n steps as Run must.
func stepwise(b *bam.BAM, n int) (steps int) {
	for ; steps < n; steps++ {
		m := b.Runnable()
		if m == 0 {
			break
		}
		b.Step(bits.TrailingZeros32(m))
	}
	return steps
}

// rows is a recorder that takes rows apart. There is no peripheral that tells of register
// writes, and nobody who numbers the events.
type rows struct {
	*bamtest.Recorder
	made int // writes in rows
}

func (s *rows) TakesRow(*trace.Row) bool { return true }

func (s *rows) EmitRow(r *trace.Row) {
	s.made += len(r.Writes)
	for i := range r.Writes {
		for k := range uint64(trace.EventsPerWrite) {
			var e trace.Event
			if r.Event(&e, i, k); e.Kind != trace.RegWrite {
				e.Seq = 0
				s.Emit(&e)
			}
		}
	}
}

// program is what two EEs with a pipe pair each do to a BAM, by chance: mostly rows of
// register writes as the series has them, with everything else in between.
type program struct {
	*rig
	rows   *rows // nil without a reader of events
	rng    *rand.Rand
	rx, tx [2]*bamtest.Ring
	live   bool // pipes are set up anew while they run too
}

func newProgram(t *testing.T, seed uint64, cfg bam.Config, traced, live bool) *program {
	rng := rand.New(rand.NewPCG(seed, 11))
	cfg.Owners, cfg.Burst, cfg.Timers = []uint8{2: 0, 3: 0, 4: uint8(rng.IntN(2)), 5: 1}, rng.IntN(70), rng.IntN(2) == 0
	cfg.Owners[5] = cfg.Owners[4]
	cfg.Secret = func(off uint32) bool { return false }
	p := &program{rng: rng, live: live}
	most := 60 // slots of a ring, and some
	if live {
		most = 8 // soon left behind by one that grows
	}
	if traced {
		p.rig, p.rows = newRows(t, cfg)
	} else {
		p.rig = newRig(t, cfg)
	}
	for i := range p.rx {
		ee := int(cfg.Owners[2+2*i])
		p.rx[i] = p.ringOf(ee, 2+2*i, uint64(i)*0x2000, uint32(9+rng.IntN(most))*8)
		p.tx[i] = p.ringOf(ee, 3+2*i, uint64(i)*0x2000+0x1000, uint32(9+rng.IntN(most))*8)
		p.rx[i].Group, p.tx[i].Group = uint32(i), uint32(i)
		p.rx[i].Init(uint32(rng.IntN(256)))
		p.tx[i].Init(uint32(rng.IntN(256)))
	}
	return p
}

// element is mostly a plain write.
func (p *program) element() bamtest.Element {
	e := write(uint32(p.rng.IntN(0x40))*4, p.rng.Uint32())
	switch p.rng.IntN(20) {
	case 0:
		e.Addr++ // unaligned
	case 1:
		e.Addr = p.rng.Uint32() & 0xFFFFFF
	case 2:
		e.Mask = p.rng.Uint32()
	case 3:
		e.Command = uint32(p.rng.IntN(6))
		e.Data = ramBase + 0x60000 + uint32(p.rng.IntN(0x1000))
		e.Mask = 0
	}
	return e
}

// push adds some descriptors to the rings of a pair.
func (p *program) push(pair int) {
	at := code + uint64(pair)*0x4000
	stride := uint64(16 + 48*p.rng.IntN(2))
	for range p.rng.IntN(12) {
		at += stride
		p.rx[pair].Elements(at, p.element(), p.element())
		d := buf(at, 16, bam.FlagCMD)
		switch p.rng.IntN(24) {
		case 0:
			d.Flags |= bam.FlagLOCK
		case 1:
			d.Flags |= bam.FlagUNLOCK | bam.FlagINT
		case 2:
			d.Size = uint32(p.rng.IntN(40))
		case 3:
			d.Flags |= uint32(p.rng.IntN(256)) << 8
		case 4:
			d = buf(data+uint64(p.rng.IntN(0x1000)), uint32(p.rng.IntN(100)), bam.FlagEOT|bam.FlagNWD)
		case 5:
			d.Addr = uint64(p.rng.Uint32())
		}
		p.rx[pair].Push(d)
	}
	for range p.rng.IntN(3) {
		p.tx[pair].Push(buf(ramBase+0x50000+uint64(p.rng.IntN(0x1000)), uint32(1+p.rng.IntN(100)), uint32(p.rng.IntN(2))*bam.FlagEOT))
	}
}

// act is something that software does between steps.
func (p *program) act() {
	pair := p.rng.IntN(2)
	rx, tx := p.rx[pair], p.tx[pair]
	if p.live && p.rng.IntN(4) == 0 {
		p.replace([]*bamtest.Ring{rx, tx}[p.rng.IntN(2)])
		return
	}
	switch p.rng.IntN(30) {
	case 0, 3, 4:
		rx.Write(bam.PRst, 1)
		rx.Tail = 0
		rx.Init(0x3F)
	case 1:
		tx.Write(bam.PRst, 1)
		tx.Tail = 0
		tx.Init(0x3F)
	case 2:
		rx.Write(bam.PHalt, uint32(p.rng.IntN(2)))
	default:
		p.push(pair)
		tx.Publish()
		rx.Publish()
		rx.Write(bam.PIRQClr, p.rng.Uint32())
		if p.rng.IntN(4) == 0 {
			p.tamper(pair)
		}
	}
}

// replace changes what a pipe is set up with, as software must not while it is enabled.
// Mostly the pipe has a ring of descriptors afterwards.
func (p *program) replace(r *bamtest.Ring) {
	switch p.rng.IntN(9) {
	case 8: // more of them, in rows
		wide := *r
		for wide.Size, wide.Tail = 0x400, 0; wide.Tail < wide.Size-8; {
			at := code + uint64(wide.Tail)*2
			wide.Elements(at, write(wide.Tail&0x3F*4, p.rng.Uint32()))
			wide.Push(buf(at, 16, bam.FlagCMD))
		}
		r.Write(bam.PEvntReg, 0x300+uint32(p.rng.IntN(32))*8)
		r.Write(bam.PFIFOSizes, wide.Size)
	case 0:
		r.Write(bam.PFIFOSizes, uint32(p.rng.IntN(0x800)))
	case 1:
		r.Write(bam.PFIFOSizes, r.Size)
	case 2:
		r.Write(bam.PDescFIFOAddr, uint32(r.Base)+uint32(p.rng.IntN(4))*8)
	case 3:
		r.Write(bam.PDescFIFOAddr, uint32(r.Base))
	case 4:
		r.Write(bam.PEvntReg, uint32(p.rng.IntN(0x800)))
	case 5:
		r.Write(bam.PCtrl, r.Ctrl()^1<<3) // the other direction
	case 6:
		r.Write(bam.PCtrl, r.Ctrl()&^2) // disabled
	case 7:
		r.Write(bam.PCtrl, r.Ctrl())
	}
}

// tamper changes what may be in flight: a bit of a ring or of an element.
func (p *program) tamper(pair int) {
	rx := p.rx[pair]
	at := rx.Base + uint64((rx.Tail+rx.Size-1-uint32(p.rng.IntN(8*8)))%rx.Size)
	if p.rng.IntN(2) == 0 {
		at = code + uint64(pair)*0x4000 + uint64(p.rng.IntN(0x100))
	}
	p.mem.Bytes(at, 1)[0] ^= 1 << p.rng.IntN(8)
}

// seen is all that software and the peripheral can tell of it.
type seen struct {
	Steps     int
	Registers []uint32
	Memory    uint32 // checksum of the rings and of where data goes
	Periph    string
	Lines     [bam.MaxEEs]bamtest.Line
	Events    []trace.Event
}

func (p *program) seen(steps int) seen {
	s := seen{Steps: steps, Memory: crc32.ChecksumIEEE(p.mem.Bytes(ramBase, 0x4000)) ^ crc32.ChecksumIEEE(p.mem.Bytes(ramBase+0x50000, 0x12000)), Periph: fmt.Sprint(p.loop.Regs[:0x100/4]), Lines: p.lines}
	if p.rec != nil {
		s.Events = append(s.Events, p.rec.Events...) // before the reads below
		p.rec.Events = p.rec.Events[:0]
	}
	for _, r := range append(p.rx[:], p.tx[:]...) {
		for _, reg := range []bam.Reg{bam.PCtrl, bam.PHalt, bam.PIRQStts, bam.PSWOfsts, bam.PEvntReg, bam.PCnsmrSdbnd, bam.PPrdcrSdbnd, bam.PPSMCntxt2, bam.PPSMCntxt3} {
			s.Registers = append(s.Registers, r.Read(reg))
		}
	}
	return s
}

// Run does what Runnable and Step do, step for step, watched or not, whatever is read
// ahead and whether there is a look-out for changes or not.
func TestRunIsSteps(t *testing.T) {
	var untraced, traced, watched int // writes in rows; where nobody sees rows, programs of which the reads tell that something was read ahead
	changed := map[string]int{}
	for seed := range uint64(120) {
		cfg := bam.Config{InFlight: seed%4 >= 2}
		live := seed/4%2 == 1
		a := newProgram(t, seed, cfg, seed%2 == 0, live)
		cfg.ReadAhead = true
		b := newProgram(t, seed, cfg, seed%2 == 0, live)
		for i := range 40 {
			a.act()
			b.act()
			n := a.rng.IntN(120)
			b.rng.IntN(120)
			want, got := a.seen(stepwise(a.bam, n)), b.seen(b.bam.Run(n))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, round %d, %d steps (-Step +Run):\n%s", seed, i, n, diff)
			}
			for _, e := range got.Events {
				if e.Kind == trace.Anomaly {
					changed[e.Rule.ID]++
				}
			}
		}
		switch {
		case b.rows == nil && !cfg.InFlight && b.mem.Reads != a.mem.Reads:
			untraced++
		case b.rows != nil && cfg.InFlight:
			watched += b.rows.made
		case b.rows != nil:
			traced += b.rows.made
		}
	}
	if untraced == 0 || traced == 0 || watched == 0 {
		t.Errorf("rows of plain writes were made %d times without a reader of events, %d with, %d with a look-out for changes", untraced, traced, watched)
	}
	if changed["BAM-DESC-007"] == 0 || changed["BAM-CMD-014"] == 0 {
		t.Errorf("changes in flight were reported %d times for descriptors, %d for elements", changed["BAM-DESC-007"], changed["BAM-CMD-014"])
	}
}

// What Run is told to do at most, it does not exceed in a row of plain writes either.
func TestRunStopsInARow(t *testing.T) {
	for n := range 30 {
		r := newRig(t, bam.Config{ReadAhead: true})
		rx := r.ring(2, 0, 0x800)
		rx.Init(0)
		for i := range 8 {
			rx.Elements(code+uint64(i)*16, write(uint32(i)*4, uint32(i)+1))
			rx.Push(buf(code+uint64(i)*16, 16, bam.FlagCMD))
		}
		rx.Publish()
		want := min(n, 24)
		if got := r.bam.Run(n); got != want {
			t.Errorf("Run(%d) made %d steps, want %d", n, got, want)
		}
		if got, done := rx.Read(bam.PSWOfsts)&0xFFFF, uint32(want/3*8); got != done {
			t.Errorf("after %d steps the pipe is at %#x, want %#x", want, got, done)
		}
	}
}

// What lies behind the ring is no descriptor, however much it looks like the next one.
func TestRunStaysInTheRing(t *testing.T) {
	const slots = 8
	r := newRig(t, bam.Config{ReadAhead: true})
	rx := r.ring(2, 0, slots*8)
	rx.Init(0)
	behind := &bamtest.Ring{B: r.bam, Mem: r.mem, Base: ramBase + slots*8, Size: slots * 8}
	for i := range uint64(slots) {
		rx.Elements(code+i*16, write(uint32(i)*4, uint32(i)+1))
		rx.Elements(code+(slots+i)*16, write(0x80, 1))
		behind.Push(buf(code+(slots+i)*16, 16, bam.FlagCMD))
	}
	for range 4 {
		for range slots - 2 {
			rx.Push(buf(code+uint64(rx.Tail)*2, 16, bam.FlagCMD))
		}
		rx.Publish()
		r.bam.Run(1000)
	}
	if diff := cmp.Diff([]uint32{1, 2, 3, 4, 5, 6, 7, 8}, r.loop.Regs[:slots]); diff != "" {
		t.Errorf("registers (-want +got):\n%s", diff)
	}
	if r.loop.Regs[0x80/4] != 0 {
		t.Error("a descriptor behind the ring was executed")
	}
}

// gate is a peripheral that takes input once a register is written.
type gate struct {
	*bamtest.Loopback
	open bool
}

func (g *gate) In(pipe int) []byte {
	if !g.open {
		return nil
	}
	return g.Loopback.In(pipe)
}

func (g *gate) WriteReg(by trace.Master, off, val, mask uint32) {
	g.open = g.open || val == 3
	g.Loopback.WriteReg(by, off, val, mask)
}

// A pipe before the one that writes registers goes first as soon as it can.
func TestRunLetsTheFirstPipeGo(t *testing.T) {
	build := func() (*rig, *bamtest.Ring, *bamtest.Ring) {
		r := &rig{loop: bamtest.NewLoopback(16, 4096, 0x6000)}
		r.build(t, bam.Config{ReadAhead: true}, &gate{Loopback: r.loop}, nil)
		first, second := r.ring(2, 0, 0x100), r.ring(4, 0x100, 0x100)
		first.Init(0)
		second.Init(0)
		first.Push(buf(data, 64, 0))
		for i := range uint64(8) {
			second.Elements(code+i*16, write(uint32(i)*4, uint32(i)))
			second.Push(buf(code+i*16, 16, bam.FlagCMD))
		}
		first.Publish()
		second.Publish()
		return r, first, second
	}
	for n := range 32 {
		a, a1, a2 := build()
		b, b1, b2 := build()
		want, got := stepwise(a.bam, n), b.bam.Run(n)
		if want != got || a1.Read(bam.PSWOfsts) != b1.Read(bam.PSWOfsts) || a2.Read(bam.PSWOfsts) != b2.Read(bam.PSWOfsts) {
			t.Errorf("after %d steps: %#x and %#x, step by step %#x and %#x", n,
				b1.Read(bam.PSWOfsts), b2.Read(bam.PSWOfsts), a1.Read(bam.PSWOfsts), a2.Read(bam.PSWOfsts))
		}
	}
}
