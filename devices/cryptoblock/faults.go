package cryptoblock

import (
	"math/rand/v2"

	"github.com/qcemu/qcemu/devices/bam"
)

// Faults are disturbances that a test asks for. Each figure is a probability
// from 0 to 1; what happens is drawn by the seed. They befall Linux's side
// only: the pipes and the line of the profile's EE.
type Faults struct {
	Seed uint64

	LostInterrupt      float64 // an assertion of the line is never seen
	LateInterrupt      float64 // it is seen InterruptDelay later
	DuplicateInterrupt float64 // after its end the line rises once more
	SpuriousInterrupt  float64 // it rises at an access without a cause
	InterruptDelay     uint64  // ns; 0: 1 ms

	DescriptorError float64 // bus error at the fetch or write-back of a descriptor
	ElementError    float64 // at a command element
	DataError       float64 // at data

	StalledEngine float64 // the engine stands still for StallTime
	StallTime     uint64  // ns; 0: 10 ms
	Buffer        int     // bytes that the engine holds at most; 0: the model's own
}

func (f *Faults) none() bool {
	return f == nil || f.LostInterrupt+f.LateInterrupt+f.DuplicateInterrupt+f.SpuriousInterrupt+
		f.DescriptorError+f.ElementError+f.DataError+f.StalledEngine == 0
}

// faultState draws faults.
type faultState struct {
	Faults
	block *Block
	rand  *rand.Rand
	count FaultCounts
}

// FaultCounts says how often each fault befell.
type FaultCounts struct {
	Lost, Late, Duplicate, Spurious uint64
	Descriptor, Element, Data       uint64
	Stalls                          uint64
}

// Default times, in ns.
const (
	defaultInterruptDelay = 1_000_000
	defaultStallTime      = 10_000_000
	spikeTime             = 100_000
)

func newFaults(b *Block, f *Faults) faultState {
	s := faultState{block: b}
	if f != nil {
		s.Faults = *f
	}
	if s.InterruptDelay == 0 {
		s.InterruptDelay = defaultInterruptDelay
	}
	if s.StallTime == 0 {
		s.StallTime = defaultStallTime
	}
	s.rand = rand.New(rand.NewPCG(s.Seed, 0x6661756c7473))
	return s
}

// hit draws one fault and counts it.
func (s *faultState) hit(p float64, n *uint64) bool {
	if p <= 0 || s.rand.Float64() >= p {
		return false
	}
	*n++
	return true
}

// interrupt is asked at each change of a line: how late it is seen, or never.
func (s *faultState) interrupt(l *line, delay uint64, asserted bool) (_ uint64, lost bool) {
	if l != &s.block.lines[s.block.profile.EE] {
		return delay, false
	}
	if !asserted {
		if s.hit(s.DuplicateInterrupt, &s.count.Duplicate) {
			l.show(false)
			l.show(true)
			l.spike = s.block.now + spikeTime
			return 0, true
		}
		return delay, false
	}
	if s.hit(s.LostInterrupt, &s.count.Lost) {
		return 0, true
	}
	if s.hit(s.LateInterrupt, &s.count.Late) {
		delay += s.InterruptDelay
	}
	return delay, false
}

// access is asked at each access of Linux's processor.
func (s *faultState) access() {
	l := &s.block.lines[s.block.profile.EE]
	if !l.seen && !l.pending && s.hit(s.SpuriousInterrupt, &s.count.Spurious) {
		l.show(true)
		l.spike = s.block.now + spikeTime
	}
}

// bus is asked at each memory access of a pipe: whether it fails.
func (s *faultState) bus(pipe int) bool {
	if int(s.block.owners[pipe]) != s.block.profile.EE {
		return false
	}
	switch s.block.bam.Access(pipe) {
	case bam.DescriptorAccess:
		return s.hit(s.DescriptorError, &s.count.Descriptor)
	case bam.ElementAccess:
		return s.hit(s.ElementError, &s.count.Element)
	}
	return s.hit(s.DataError, &s.count.Data)
}

// stall is asked when the engine gets something to do: how long it stands still.
func (s *faultState) stall() uint64 {
	if s.hit(s.StalledEngine, &s.count.Stalls) {
		return s.StallTime
	}
	return 0
}

// FaultCounts returns how often each fault of Options.Faults befell.
func (b *Block) FaultCounts() FaultCounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults.count
}
