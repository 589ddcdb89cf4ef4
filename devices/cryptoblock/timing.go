package cryptoblock

import (
	"fmt"
	"math/bits"
	"strings"
)

// Timing says how long things take in model time. The zero value is the
// fastest: everything happens at once.
//
// Model time is the block's own. It passes with each register access, with
// each step that costs something, and, when nobody can move and no access
// comes, by a jump to the next thing that is due.
type Timing struct {
	Name string

	Access uint64 // ns between two accesses of a processor

	// BAM: a memory access of a pipe costs Latency, and a nanosecond for each
	// BytesPerNs bytes. Descriptors are prefetched: of each row of Prefetch
	// only the first costs the latency. 0: each does.
	Latency    uint64
	BytesPerNs uint64
	Prefetch   int

	// Engine: an operation's first bytes wait for Setup; all wait for their
	// turn, PsPerByte picoseconds each.
	Setup     uint64 // ns
	PsPerByte uint64
	Buffer    int // bytes that the engine holds at most; 0: the model's own

	// Interrupt is how long a line takes to its processor, in ns.
	Interrupt uint64

	// Wall is how many times slower than the clock on the wall model time passes
	// while no access comes. 0: it jumps to whatever is due next, so that all is
	// over before a guest has taken an interrupt. Otherwise a guest can come too
	// early: each thing that is due is waited for Wall times as long, a second at
	// most, less what passes with accesses.
	Wall uint64
}

// timings are the presets. The figures of "silicon" are inferred: an AES core
// of some hundred MB/s behind a bus of a few ns a beat, as the throughput of
// shipping chips has it. What counts is their order, not their size. An operation
// of "slow-motion" takes half a millisecond by the clock on the wall, or twenty
// accesses: more than an emulated guest needs from an interrupt to its client's
// completion.
var timings = []Timing{
	{Name: "fastest"},
	{Name: "silicon", Access: 150, Latency: 120, BytesPerNs: 4, Prefetch: 8, Setup: 400, PsPerByte: 3000, Buffer: 256, Interrupt: 1000},
	{Name: "slow-engine", Access: 50, Latency: 40, BytesPerNs: 8, Setup: 20_000, PsPerByte: 50_000, Buffer: 256, Interrupt: 200},
	{Name: "slow-bus", Access: 50, Latency: 2_000, BytesPerNs: 1, Setup: 100, PsPerByte: 500, Interrupt: 5_000},
	{Name: "slow-motion", Access: 50, Setup: 1_000, Wall: 500},
}

// Timings returns the names of all presets.
func Timings() []string {
	names := make([]string, len(timings))
	for i := range timings {
		names[i] = timings[i].Name
	}
	return names
}

// TimingByName finds a preset; the error names those that there are.
func TimingByName(name string) (Timing, error) {
	for _, t := range timings {
		if t.Name == name {
			return t, nil
		}
	}
	return Timing{}, fmt.Errorf("no timing %q; there are: %s", name, strings.Join(Timings(), ", "))
}

func (t *Timing) zero() bool {
	return t.Access|t.Latency|t.BytesPerNs|t.Setup|t.PsPerByte|t.Interrupt == 0
}

// clock is who may move when.
type clock struct {
	pipes   [32]uint64 // from when on each pipe may make its next step
	masters [32]uint64 // and each master
	fetched [32]int    // descriptors since the last one that cost the latency
	cost    uint64     // of the step in progress: its memory accesses
	due     uint64     // when the engine is through with what it has
	armed   bool       // it has something
	running bool       // it has begun with its operation
}

// advance sets the time. What is due by then becomes possible; lines change.
func (b *Block) advance(now uint64) {
	b.now = max(b.now, now)
	b.bam.Advance(b.now)
	for i := range b.lines {
		b.lines[i].tick(b.now)
	}
}

// hold takes those out of a choice whose time has not come.
func (b *Block) hold(c *Choice) {
	for w := c.Pipes; w != 0; w &= w - 1 {
		if i := bits.TrailingZeros32(w); b.clock.pipes[i] > b.now {
			c.Pipes &^= 1 << i
		}
	}
	for w := c.Masters; w != 0; w &= w - 1 {
		if i := bits.TrailingZeros32(w); b.clock.masters[i] > b.now {
			c.Masters &^= 1 << i
		}
	}
	k := &b.clock
	if !c.Engine {
		k.armed = false
		return
	}
	if !k.armed {
		k.armed = true
		k.due = b.now + uint64(b.engine.Backlog())*b.timing.PsPerByte/1000 + b.faults.stall()
		if !k.running {
			k.running = true
			k.due += b.timing.Setup
		}
	}
	c.Engine = k.due <= b.now
}

// spend charges a step.
func (b *Block) spend(p Party) {
	k := &b.clock
	switch {
	case p < Engine:
		k.pipes[p] = b.now + k.cost
	case p == Engine:
		k.armed = false
	default:
		k.masters[p-MasterParty(0)] = b.now + max(b.timing.Access, 1)
	}
	k.cost = 0
	if !b.engine.Busy() {
		k.running = false
	}
}

// charge adds the cost of a pipe's memory access to the step in progress.
func (b *Block) charge(pipe, n int) {
	t, k := &b.timing, &b.clock
	const descriptor = 8
	if n == descriptor && t.Prefetch > 0 {
		k.fetched[pipe]++
		if k.fetched[pipe] < t.Prefetch {
			return
		}
		k.fetched[pipe] = 0
	}
	k.cost += t.Latency
	if t.BytesPerNs > 0 {
		k.cost += uint64(n) / t.BytesPerNs
	}
}

// next returns the time of the next thing that is due.
func (b *Block) next() (at uint64, ok bool) {
	earlier := func(t uint64) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if b.timed {
		for w := b.bam.Runnable(); w != 0; w &= w - 1 {
			if t := b.clock.pipes[bits.TrailingZeros32(w)]; t > b.now {
				earlier(t)
			}
		}
		if b.clock.armed {
			earlier(b.clock.due)
		}
	}
	for i := range b.lines {
		if t, pending := b.lines[i].deadline(); pending {
			earlier(t)
		}
	}
	for i := range b.masters {
		m := &b.masters[i]
		if t, pending := m.master.Deadline(); pending {
			earlier(t)
		}
		if t := b.clock.masters[m.index]; t > b.now && m.master.Runnable(b.now) {
			earlier(t)
		}
	}
	if t, pending := b.bam.Deadline(); pending {
		earlier(t)
	}
	return at, ok
}
