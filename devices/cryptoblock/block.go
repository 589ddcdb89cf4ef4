package cryptoblock

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/trace"
)

// Options are what a run chooses beside the chip.
type Options struct {
	Readings reading.Choice // where the hardware guide is silent; nil: the defaults
	Sinks    []trace.Sink   // readers of the event stream
	Observer qce.Observer   // nil: none
}

// stepsPerEntry bounds what one register access may set off before it returns;
// the rest goes on in the background. It is far more than any driver's request
// takes, so only a guest that publishes huge chains meets it: the peer must
// have its answer within seconds (docs/protocol.md).
const stepsPerEntry = 1 << 15

// Block is one crypto block. Its methods may be called from any goroutine.
type Block struct {
	profile Profile
	layout  bam.Layout
	stream  stream
	line    proxyLine // of Linux's EE

	mu     sync.Mutex // guards everything below, and with it the order of all events
	bam    *bam.BAM
	engine *qce.Engine
	bg     bool // a goroutine goes on with what an access has set off
}

// New returns a block as after power-on.
func New(p Profile, o Options) (*Block, error) {
	b := &Block{profile: p, stream: stream{sinks: o.Sinks}}
	bamConfig, err := p.bamConfig(o.Readings)
	if err != nil {
		return nil, err
	}
	qceConfig, err := p.qceConfig(o.Readings)
	if err != nil {
		return nil, err
	}
	qceConfig.Observer = o.Observer
	b.layout = bamConfig.Layout
	var sink trace.Sink
	if len(o.Sinks) > 0 {
		sink = &b.stream
	}
	lines := make([]bus.Line, p.NumEEs)
	lines[p.EE] = &b.line
	b.engine = qce.New(qceConfig, sink)
	b.bam = bam.New(bamConfig, b.engine, lines, sink)
	b.attach(bus.None)
	return b, nil
}

// Attach gives the block the memory that Linux's pipes master, and Linux's
// interrupt line.
func (b *Block) Attach(mem bus.Memory, line bus.Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attach(mem)
	b.line.out = line
}

func (b *Block) attach(mem bus.Memory) {
	for pipe, ee := range b.profile.owners() {
		m := bus.None
		if int(ee) == b.profile.EE {
			m = mem
		}
		b.bam.SetPipeMemory(pipe, m)
	}
}

// Reset is the power-on reset of the whole chip.
func (b *Block) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bam.Reset()
	b.engine.Reset()
}

// ReadRegion is a load by Linux's processor from the block's window, of 1, 2, 4
// or 8 bytes, which end inside the window.
func (b *Block) ReadRegion(off uint64, p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	by := trace.CPUOf(b.profile.EE)
	switch len(p) {
	case 4:
		binary.LittleEndian.PutUint32(p, b.read(by, uint32(off)))
	case 8:
		binary.LittleEndian.PutUint32(p, b.read(by, uint32(off)))
		binary.LittleEndian.PutUint32(p[4:], b.read(by, uint32(off)+4))
	default:
		b.oddAccess(by, uint32(off))
		clear(p)
	}
	b.run()
	return nil
}

// WriteRegion is the store that ReadRegion is the load of.
func (b *Block) WriteRegion(off uint64, p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	by := trace.CPUOf(b.profile.EE)
	switch len(p) {
	case 4:
		b.write(by, uint32(off), binary.LittleEndian.Uint32(p))
	case 8:
		b.write(by, uint32(off), binary.LittleEndian.Uint32(p))
		b.write(by, uint32(off)+4, binary.LittleEndian.Uint32(p[4:]))
	default:
		b.oddAccess(by, uint32(off))
	}
	b.run()
	return nil
}

func (b *Block) read(by trace.Master, off uint32) uint32 {
	switch p := &b.profile; {
	case off-p.BAMOffset < p.BAMSize:
		return b.bam.Read(by, off-p.BAMOffset)
	case off-p.QCEOffset < p.QCESize:
		return b.engine.Read(by, off-p.QCEOffset)
	}
	return 0
}

func (b *Block) write(by trace.Master, off, val uint32) {
	switch p := &b.profile; {
	case off-p.BAMOffset < p.BAMSize:
		b.bam.Write(by, off-p.BAMOffset, val)
	case off-p.QCEOffset < p.QCESize:
		b.engine.Write(by, off-p.QCEOffset, val)
	}
}

func (b *Block) oddAccess(by trace.Master, off uint32) {
	switch p := &b.profile; {
	case off-p.BAMOffset < p.BAMSize:
		b.bam.OddAccess(by, off-p.BAMOffset)
	case off-p.QCEOffset < p.QCESize:
		b.engine.OddAccess(by, off-p.QCEOffset)
	}
}

// run lets pipes and engine move until nothing can, or until the access has set
// off too much.
func (b *Block) run() {
	if !b.steps(stepsPerEntry) && !b.bg {
		b.bg = true
		go b.background()
	}
}

// steps makes at most n steps and reports whether nothing can move any more.
// The order is the fastest one: pipes first, as they are numbered.
func (b *Block) steps(n int) bool {
	for range n {
		if m := b.bam.Runnable(); m != 0 {
			b.bam.Step(bits.TrailingZeros32(m))
		} else if b.engine.Runnable() {
			b.engine.Step()
		} else {
			return true
		}
	}
	return false
}

// background goes on with a long chain, and lets accesses in between.
func (b *Block) background() {
	for {
		b.mu.Lock()
		if b.steps(stepsPerEntry) {
			b.bg = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}

// Wait returns when nothing can move: at once, but after an access that has set
// off a very long chain.
func (b *Block) Wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.steps(stepsPerEntry) {
	}
}

// Describe renders an event in one line.
func (b *Block) Describe(e *trace.Event) string {
	return describe(b.layout, e)
}

// Rules returns the rules that the models of the block check.
func Rules() []*trace.Rule {
	return slices.Concat(bam.Rules(), qce.Rules)
}

// stream numbers the events and hands them to every reader.
type stream struct {
	sinks []trace.Sink
	seq   uint64
}

func (s *stream) Emit(e *trace.Event) {
	s.seq++
	e.Seq = s.seq
	for _, sink := range s.sinks {
		sink.Emit(e)
	}
}

// proxyLine is the block's side of a line that is connected later.
type proxyLine struct {
	level bool
	out   bus.Line
}

func (l *proxyLine) Set(asserted bool) {
	l.level = asserted
	if l.out != nil {
		l.out.Set(asserted)
	}
}

// bamConfig derives the BAM's configuration from the chip.
func (p *Profile) bamConfig(c reading.Choice) (bam.Config, error) {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		return bam.Config{}, fmt.Errorf("SoC %s: %w", p.Name, err)
	}
	readings, err := bam.ResolveReadings(c)
	if err != nil {
		return bam.Config{}, err
	}
	cfg := bam.Config{
		Layout: layout, Revision: p.Revision, NumPipes: p.Pipes, NumEEs: p.NumEEs, AddrBits: p.AddrBits,
		Remote: bam.Remote(p.DT.Remote), ControlEE: p.controlEE(), Owners: p.owners(),
		Window:   bam.Window{Base: p.QCEOffset, Size: p.QCESize},
		Secret:   qce.Secret,
		Readings: readings,
	}
	return cfg, cfg.Validate()
}

// qceConfig derives the engine's configuration from the chip.
func (p *Profile) qceConfig(c reading.Choice) (qce.Config, error) {
	readings, err := qce.Readings.Resolve(c)
	if err != nil {
		return qce.Config{}, err
	}
	sets := make([]uint8, p.Pipes/2)
	for i, owners := 0, p.owners(); i < len(sets); i++ {
		sets[i] = owners[2*i]
	}
	return qce.Config{
		Version: p.Version, Engines: p.Engines, GCM: p.GCM,
		PipeSetEE: sets, Readings: readings,
	}, nil
}

// SecureEE is the execution environment of the secure side. Which one it is on
// a chip is not public; the model takes the one after Linux's [I].
func (p *Profile) SecureEE() int { return (p.EE + 1) % p.NumEEs }

// controlEE is who may write the BAM's global registers.
func (p *Profile) controlEE() int {
	if p.DT.Remote == Controlled {
		return p.SecureEE()
	}
	return p.EE
}

// owners says which execution environment each pipe belongs to: Linux has its
// own pair, the secure side the rest (datasheet §11).
func (p *Profile) owners() []uint8 {
	owners := make([]uint8, p.Pipes)
	for i := range owners {
		owners[i] = uint8(p.SecureEE())
		if i/2 == p.PipePair {
			owners[i] = uint8(p.EE)
		}
	}
	return owners
}
