package cryptoblock

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/trace"
)

// Client is a user of the block beside Linux: an execution environment with a
// pipe pair, memory and an interrupt line of its own. It is either a Master,
// which acts inside the model when the schedule says so, or acts from outside
// through its Port, as Linux does.
type Client struct {
	Name   string // in messages
	EE     int
	Pair   int        // the pipes 2*Pair and 2*Pair+1 belong to EE
	Memory bus.Memory // what the pipes master; nil: Port.Attach gives it later
	Line   bus.Line   // of the EE; nil: Port.Attach gives it later
	Master Master     // nil: acts from outside
}

// Master is a bus master inside the model. Like everything in the model it is
// deterministic, and it is never called from two goroutines at a time.
type Master interface {
	// Runnable reports whether Step has something to do at a model time.
	Runnable(now uint64) bool
	// Step makes one register access, or does one piece of work of the
	// master's own.
	Step(bus Bus)
	// Deadline returns the time at which the master becomes runnable by
	// itself, if there is one.
	Deadline() (at uint64, ok bool)
	// Reset is the power-on reset of the chip.
	Reset()
}

// Bus is how a master reaches the block's registers: as the processor of its
// execution environment. Offsets are in the window.
type Bus interface {
	Read(off uint32) uint32
	Write(off, val uint32)
	Now() uint64 // model time, ns
	// Report puts a broken rule into the event stream; By is the master.
	Report(r *trace.Rule, off, size uint32, value uint64)
}

// masterBus is the bus of a client.
type masterBus struct {
	block *Block
	by    trace.Master
}

func (m *masterBus) Read(off uint32) uint32 { return m.block.read(m.by, off) }
func (m *masterBus) Write(off, val uint32)  { m.block.write(m.by, off, val) }
func (m *masterBus) Now() uint64            { return m.block.now }

func (m *masterBus) Report(r *trace.Rule, off, size uint32, value uint64) {
	m.block.stream.Emit(&trace.Event{Kind: trace.Anomaly, By: m.by, Pipe: -1, Off: off, Size: size, Value: value, Rule: r})
}

// Port is an execution environment's way into the block from outside. Its
// methods may be called from any goroutine; each access is an entry.
type Port struct {
	block *Block
	ee    int
}

// Port returns the port of Linux (EE of the profile) or of a client.
func (b *Block) Port(ee int) *Port { return &Port{block: b, ee: ee} }

// Attach gives the port's EE the memory that its pipes master and its
// interrupt line. The line is driven from inside the block: Set must not call
// back into it, and may only pass the news on to another goroutine.
func (p *Port) Attach(mem bus.Memory, line bus.Line) {
	b := p.block
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setMemory(p.ee, mem)
	b.lines[p.ee].out = line
}

// Read and Write access a register by its offset in the window.
func (p *Port) Read(off uint32) uint32 {
	e := p.block.Do(Entry{Kind: ReadEntry, EE: uint8(p.ee), Size: 4, Off: uint64(off)})
	return uint32(e.Value)
}

func (p *Port) Write(off, val uint32) {
	p.block.Do(Entry{Kind: WriteEntry, EE: uint8(p.ee), Size: 4, Off: uint64(off), Value: uint64(val)})
}

// check refuses clients that the chip has no room for.
func (p *Profile) check(clients []Client) error {
	taken := map[int]string{p.PipePair: "Linux"}
	ees := map[int]string{p.EE: "Linux"}
	for i := range clients {
		c := &clients[i]
		switch {
		case c.EE < 0 || c.EE >= p.NumEEs:
			return fmt.Errorf("SoC %s: %s: no execution environment %d; there are %d", p.Name, c.Name, c.EE, p.NumEEs)
		case c.Pair < 0 || 2*c.Pair+1 >= p.Pipes:
			return fmt.Errorf("SoC %s: %s: no pipe pair %d; there are %d", p.Name, c.Name, c.Pair, p.Pipes/2)
		case taken[c.Pair] != "":
			return fmt.Errorf("SoC %s: %s: pipe pair %d is %s's", p.Name, c.Name, c.Pair, taken[c.Pair])
		case ees[c.EE] != "":
			return fmt.Errorf("SoC %s: %s: execution environment %d is %s's", p.Name, c.Name, c.EE, ees[c.EE])
		}
		taken[c.Pair], ees[c.EE] = c.Name, c.Name
	}
	return nil
}

// Place is where a client beside Linux can sit: its EE and its pipe pair.
type Place struct{ EE, Pair int }

// Places lists the places that the chip has beside Linux's, the secure side's
// first. Which EE and which pair is whose is not public; the model hands them
// out in order [I].
func (p *Profile) Places() []Place {
	var places []Place
	pair := 0
	for i := range p.NumEEs - 1 {
		if pair == p.PipePair {
			pair++
		}
		if 2*pair+1 >= p.Pipes {
			break
		}
		places = append(places, Place{EE: (p.EE + 1 + i) % p.NumEEs, Pair: pair})
		pair++
	}
	return places
}
