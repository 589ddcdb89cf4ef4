package cryptoblock

import "github.com/qcemu/qcemu/devices/bus"

// pipeMemory is a pipe's way to memory where somebody wants to know of it: a
// recording, the clock, or faults. Other pipes reach their memory directly.
type pipeMemory struct {
	block  *Block
	pipe   int
	mem    bus.Memory
	tapped bool
}

// Read implements bus.Memory.
func (m *pipeMemory) Read(addr uint64, p []byte) error {
	b := m.block
	err := error(nil)
	if b.faulty && b.faults.bus(m.pipe) {
		err = &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Injected}
	} else {
		err = m.mem.Read(addr, p)
		if m.tapped {
			b.tap.MemoryRead(m.pipe, addr, p, err)
		}
	}
	if b.timed {
		b.charge(m.pipe, len(p))
	}
	return err
}

// Write implements bus.Memory.
func (m *pipeMemory) Write(addr uint64, p []byte) error {
	b := m.block
	err := error(nil)
	if b.faulty && b.faults.bus(m.pipe) {
		err = &bus.Fault{Addr: addr, Len: len(p), Write: true, Reason: bus.Injected}
	} else {
		err = m.mem.Write(addr, p)
		if m.tapped {
			b.tap.MemoryWrite(m.pipe, addr, p, err)
		}
	}
	if b.timed {
		b.charge(m.pipe, len(p))
	}
	return err
}

// setMemory gives the pipes of an execution environment their memory.
func (b *Block) setMemory(ee int, mem bus.Memory) {
	tapped := b.tap != nil && !b.inside(ee)
	for pipe, owner := range b.owners {
		if int(owner) != ee {
			continue
		}
		m := mem
		if tapped || b.timed || b.faulty {
			m = &pipeMemory{block: b, pipe: pipe, mem: mem, tapped: tapped}
		}
		b.bam.SetPipeMemory(pipe, m)
	}
}

// inside reports whether an execution environment is that of a master.
func (b *Block) inside(ee int) bool {
	for i := range b.masters {
		if b.masters[i].bus.by.EE == uint8(ee) {
			return true
		}
	}
	return false
}
