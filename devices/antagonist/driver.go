package antagonist

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/reading"
)

// state is what an antagonist does next.
//
//	       begin          ring, or write the registers        interrupt
//	idle ────────► fill ──────────────────────────────► wait ──────────► irq
//	  ▲                                                   ▲               │ not all is there yet
//	  │                                                   ├───────────────┤
//	  │                        UNLOCK in a chain of its own               │
//	  │                                                   └──── unlock ◄──┤ output is there: check
//	  └──────────────────────────────────────────────────────────── done ◄┘
//
// Before the first request, and when a request hung, it sets its pipes up.
type state uint8

const (
	idle   state = iota
	fill         // puts a request into memory
	write        // makes the register accesses of the program
	wait         // for the interrupt
	irq          // handles it
	status       // reads STATUS
	expire       // an interrupt has not come in time
)

// timeout is how long an interrupt may take, in ns of model time. It passes
// only while nobody can move, so it can be long.
const timeout = 1_000_000_000

// access is one register write; set makes it read-modify-write.
type access struct {
	off, val uint32
	set      bool
}

// antagonist is one of the other users of the engine. Make one with newAntagonist, and
// put its Client into the block's options.
type antagonist struct {
	name    string
	policy  Policy
	place   cryptoblock.Place
	profile *cryptoblock.Profile
	layout  bam.Layout
	rand    *rand.Rand
	answers []answer
	mem     ram
	rx, tx  ring
	want    []want // requests to make, in order

	state     state
	program   []access // what is left of it
	scratch   []access
	ready     bool // the pipes are set up
	line      bool
	handling  []handling // what is left of the interrupt handler
	stts      uint32     // as the handler has read it
	current   *answer
	how       How
	inlined   bool // UNLOCK is in the chain of the request
	checked   bool
	unlocking bool
	keep      bool   // the lock, for ever
	deadline  uint64 // 0: none
	status    uint32

	mu     sync.Mutex // guards counts, which others read
	counts Counts
}

// handling is one access of the interrupt handler.
type handling struct {
	reg  bam.Reg
	ring *ring
}

// want is a request to make: of an algorithm, or of any.
type want struct{ alg string }

// newAntagonist returns an antagonist for a chip, at one of its places.
func newAntagonist(name string, p *cryptoblock.Profile, place cryptoblock.Place, policy Policy, readings reading.Choice, seed uint64) (*antagonist, error) {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		return nil, err
	}
	a := &antagonist{name: name, policy: policy, place: place, profile: p, layout: layout,
		rand: rand.New(rand.NewPCG(seed, uint64(place.EE)<<32|0x616e7461)), rx: ring{pipe: 2 * place.Pair, base: rxFIFO}, tx: ring{pipe: 2*place.Pair + 1, base: txFIFO}}
	a.counts = Counts{Name: name, Policy: policy.String(), EE: place.EE, Pair: place.Pair, byAlg: map[string]*AlgCount{}}
	a.answers, err = answers(p, readings, place.Pair, policy.Algs, seed)
	return a, err
}

// Client is the antagonist as the block has it.
func (a *antagonist) Client() cryptoblock.Client {
	return cryptoblock.Client{Name: a.name, EE: a.place.EE, Pair: a.place.Pair, Memory: &a.mem, Line: a, Master: a}
}

// Set is the antagonist's interrupt line.
func (a *antagonist) Set(asserted bool) { a.line = asserted }

// Reset is the power-on reset of the chip: a request in progress is forgotten.
func (a *antagonist) Reset() {
	a.tally(func(c *Counts) {
		if a.current != nil {
			c.Dropped++
		}
		c.Blocked = false
	})
	a.state, a.program, a.ready, a.line = idle, nil, false, false
	a.current, a.want, a.deadline, a.keep = nil, nil, 0, false
}

// tally changes the counts.
func (a *antagonist) tally(f func(*Counts)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.counts)
}

// Counts returns what came of the requests so far. It may be called while the
// model runs.
func (a *antagonist) Counts() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts.snapshot()
}

// begin asks for a request. It is ignored where too many wait already.
func (a *antagonist) begin(alg string) {
	if len(a.want) < 64 && !a.keep {
		a.want = append(a.want, want{alg})
	}
}

// rearm gives an antagonist that waits for a lock another chance to notice that
// it hangs.
func (a *antagonist) rearm(now uint64) {
	if a.state == wait && a.deadline == 0 {
		a.deadline = now + timeout
	}
}

// busy reports whether a request is in progress or asked for.
func (a *antagonist) busy() bool { return a.state != idle || len(a.want) > 0 }

// Runnable implements cryptoblock.Master.
func (a *antagonist) Runnable(now uint64) bool {
	switch a.state {
	case idle:
		return len(a.want) > 0
	case wait:
		return a.line || a.deadline != 0 && a.deadline <= now
	}
	return true
}

// Deadline implements cryptoblock.Master.
func (a *antagonist) Deadline() (uint64, bool) {
	return a.deadline, a.state == wait && a.deadline != 0 && !a.line
}

// Step implements cryptoblock.Master.
func (a *antagonist) Step(bus cryptoblock.Bus) {
	switch a.state {
	case idle:
		a.next()
	case fill:
		a.fill()
	case write:
		a.write(bus)
	case wait:
		a.wake(bus)
	case irq:
		a.interrupt(bus)
	case status:
		a.readStatus(bus)
	case expire:
		a.expire(bus)
	}
}

func (a *antagonist) off(r bam.Reg, index int) uint32 {
	off, ok := a.layout.Offset(r, index)
	if !ok {
		panic("antagonist: no " + r.String() + " in layout " + a.layout.String())
	}
	return a.profile.BAMOffset + off
}

// next begins the next request, or sets the pipes up before.
func (a *antagonist) next() {
	if !a.ready {
		a.setUp()
		return
	}
	if len(a.want) == 0 {
		return
	}
	w := a.want[0]
	a.want = slices.Delete(a.want, 0, 1)
	a.current = a.choose(w.alg)
	a.how = a.policy.How
	a.inlined = a.how == NoNWD || a.how == Locked && a.rand.IntN(2) == 0
	a.checked, a.unlocking, a.status = false, false, 0
	a.state = fill
}

// choose picks a request by chance, of an algorithm if one is asked for. What a
// CCM request leaves in the registers goes with no other cipher, so gentle
// antagonists make none.
func (a *antagonist) choose(alg string) *answer {
	i := a.rand.IntN(len(a.answers))
	for n := range a.answers {
		q := &a.answers[(i+n)%len(a.answers)]
		if alg == q.alg || alg == "" && !(a.policy.Gentle && q.alg == "ccm-aes") {
			return q
		}
	}
	return &a.answers[i]
}

// setUp is the program that sets both pipes up (datasheet §7).
func (a *antagonist) setUp() {
	a.program = a.scratch[:0]
	mask := uint32(0)
	for _, r := range []*ring{&a.tx, &a.rx} {
		r.tail, r.done = 0, 0
		ctrl := uint32(pipeOn) | uint32(a.policy.Group)<<16
		if r == &a.tx {
			ctrl |= pipeProducer
		}
		mask |= 1 << r.pipe
		a.program = append(a.program,
			access{off: a.off(bam.PRst, r.pipe), val: 1}, access{off: a.off(bam.PRst, r.pipe)},
			access{off: a.off(bam.IRQSrcsMskEE, a.place.EE), val: mask, set: true},
			access{off: a.off(bam.PIRQEn, r.pipe), val: bam.IRQPrcsdDesc | bam.IRQErr | bam.IRQTrnsfrEnd},
			access{off: a.off(bam.PDescFIFOAddr, r.pipe), val: r.base},
			access{off: a.off(bam.PFIFOSizes, r.pipe), val: fifoSize},
			access{off: a.off(bam.PCtrl, r.pipe), val: ctrl})
	}
	a.scratch = a.program
	a.state = write
	a.ready = true
	a.current = nil
}

// P_CTRL of an enabled pipe in system mode.
const (
	pipeOn       = 1<<1 | 1<<5
	pipeProducer = 1 << 3
)

// fill puts the request into memory, and makes the program that starts it.
func (a *antagonist) fill() {
	q := a.current
	m := &a.mem
	copy(m.bytes(input, len(q.input)), q.input)
	clear(m.bytes(output, len(q.payload)))
	clear(m.bytes(dumpAt, 128))
	a.rx.begin, a.tx.begin = a.rx.tail, a.tx.tail
	if len(q.payload) > 0 {
		flags := uint32(0)
		if q.dump == nil {
			flags = bam.FlagEOT
		}
		m.push(&a.tx, output, len(q.payload), flags)
	}
	if q.dump != nil {
		m.push(&a.tx, dumpAt, 128, bam.FlagEOT|bam.FlagINT)
	}
	a.program = a.scratch[:0]
	switch a.how {
	case MMIO:
		m.push(&a.rx, input, len(q.input), bam.FlagEOT)
		a.ring(&a.rx)
		a.ring(&a.tx)
		for _, w := range q.writes {
			a.program = append(a.program, access{off: a.profile.QCEOffset + w.Off, val: w.Val})
		}
	default:
		a.lists()
		a.ring(&a.tx)
		a.ring(&a.rx)
	}
	a.scratch = a.program
	a.state = write
}

// lists puts the request's command list and data into the consumer's FIFO.
func (a *antagonist) lists() {
	q, m := a.current, &a.mem
	at := uint32(lists)
	put := func(w qcetest.Write) {
		m.element(at, a.profile.QCEOffset+w.Off, w.Val)
		at += bam.ElementSize
	}
	for _, w := range q.writes {
		put(w)
	}
	flags := uint32(bam.FlagCMD)
	if a.how != NoLock {
		flags |= bam.FlagLOCK
	}
	m.push(&a.rx, lists, int(at-lists), flags)
	flags = bam.FlagEOT | bam.FlagNWD
	if a.how == NoNWD {
		flags = bam.FlagEOT
	}
	m.push(&a.rx, input, len(q.input), flags)
	if a.inlined {
		put(qcetest.Write{Off: qce.Version})
		m.push(&a.rx, at-bam.ElementSize, bam.ElementSize, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT)
	}
}

func (a *antagonist) ring(r *ring) {
	a.program = append(a.program, access{off: a.off(bam.PEvntReg, r.pipe), val: r.tail})
}

// write makes the next access of the program.
func (a *antagonist) write(bus cryptoblock.Bus) {
	if len(a.program) > 0 {
		c := a.program[0]
		a.program = a.program[1:]
		if c.set {
			c.val |= bus.Read(c.off)
		}
		bus.Write(c.off, c.val)
	}
	if len(a.program) > 0 {
		return
	}
	if a.current == nil {
		a.state = idle
		return
	}
	a.state = wait
	a.deadline = bus.Now() + timeout
}

// wake ends the wait for the interrupt.
func (a *antagonist) wake(bus cryptoblock.Bus) {
	if !a.line {
		a.state = expire
		return
	}
	srcs := bus.Read(a.off(bam.IRQSrcsEE, a.place.EE))
	a.handling = a.handling[:0]
	for _, r := range []*ring{&a.rx, &a.tx} {
		if srcs>>r.pipe&1 == 1 {
			a.handling = append(a.handling, handling{bam.PIRQStts, r}, handling{bam.PIRQClr, r}, handling{bam.PSWOfsts, r})
		}
	}
	a.state = irq
}

// interrupt makes the next access of the interrupt handler: status, clear,
// offset of each pipe.
func (a *antagonist) interrupt(bus cryptoblock.Bus) {
	if len(a.handling) > 0 {
		h := a.handling[0]
		a.handling = a.handling[1:]
		off := a.off(h.reg, h.ring.pipe)
		switch h.reg {
		case bam.PIRQStts:
			a.stts = bus.Read(off)
		case bam.PIRQClr:
			bus.Write(off, a.stts)
		default:
			h.ring.done = bus.Read(off) & 0xFFFF
		}
	}
	if len(a.handling) == 0 {
		a.progress(bus)
	}
}

// progress goes on after an interrupt was handled.
func (a *antagonist) progress(bus cryptoblock.Bus) {
	a.tally(func(c *Counts) { c.Blocked = false })
	rx, tx := a.rx.done == a.rx.tail, a.tx.done == a.tx.tail
	switch {
	case a.unlocking && rx:
		a.finish(bus)
	case a.unlocking:
		a.state = wait
	case !tx || a.inlined && !rx:
		a.state = wait
	case a.inlined:
		// The lock is gone, so STATUS is no longer the antagonist's to read:
		// the result dump has to do.
		a.finish(bus)
	default:
		a.state = status
	}
}

// readStatus reads STATUS while the engine is still the antagonist's own, and
// gives the engine back.
func (a *antagonist) readStatus(bus cryptoblock.Bus) {
	a.status = bus.Read(a.profile.QCEOffset + qce.Status)
	a.checked = true
	if a.how != Locked {
		a.keep = a.how == Hold
		a.finish(bus)
		return
	}
	a.mem.element(lists, a.profile.QCEOffset+qce.Version, 0)
	a.mem.push(&a.rx, lists, bam.ElementSize, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT)
	a.program = a.scratch[:0]
	a.ring(&a.rx)
	a.scratch = a.program
	a.unlocking = true
	a.state = write
}

// finish checks the result.
func (a *antagonist) finish(bus cryptoblock.Bus) {
	q := a.current
	d, bad := q.compare(a.mem.bytes(output, len(q.payload)), a.mem.bytes(dumpAt, len(q.dump)))
	st := a.status
	if !a.checked && q.dump != nil {
		st = binary.BigEndian.Uint32(a.mem.bytes(dumpAt+dumpStatus, 4)) | qce.OperationDone
	} else if !a.checked {
		st = qce.OperationDone
	}
	const fatal = qce.SwErr | qce.AxiErr | qce.HsdErr | qce.MACFailed
	if !bad && (st&fatal != 0 || st&qce.OperationDone == 0) {
		d, bad = difference{"status", int(st)}, true
	}
	a.tally(func(c *Counts) { c.add(q, d, bad) })
	a.state, a.current, a.deadline = idle, nil, 0
	if bad {
		bus.Report(ruleCorrupted, uint32(d.at), uint32(len(q.input)), 0)
	}
}

// expire looks why the interrupt does not come. A request of which nothing was
// fetched waits for another side's lock, for as long as it takes; any other has
// hung, and the pipes are set up again.
func (a *antagonist) expire(bus cryptoblock.Bus) {
	a.rx.done = bus.Read(a.off(bam.PSWOfsts, a.rx.pipe)) & 0xFFFF
	a.deadline = 0
	if a.rx.done == a.rx.begin && a.how != MMIO {
		a.tally(func(c *Counts) { c.Blocked = true })
		a.state = wait
		return
	}
	if a.current != nil {
		a.tally(func(c *Counts) { c.hung(a.current) })
	}
	bus.Report(ruleHung, 0, 0, 0)
	a.setUp()
}
