package cryptoblock

import (
	"math/bits"

	"github.com/qcemu/qcemu/devices/trace"
)

// RuleDeadlock is the one rule of the block itself. Pipe is one that waits,
// Value the pipe that holds the lock.
var RuleDeadlock = &trace.Rule{ID: "BLK-LOCK-001", Severity: trace.Error,
	Title:  "nothing can move: a pipe waits for the lock, and who holds it has nothing left to do",
	Source: "datasheet §8 [D]", Driver: "a chain with LOCK and without UNLOCK"}

// stuck reports pipes that wait for a lock while nothing is left to happen, once
// for each taking of the lock. It goes for masters inside the model alone: of a
// processor outside nobody knows what it is about to do.
func (b *Block) stuck() {
	waiting := b.bam.Waiting()
	owner, held := b.bam.Lock()
	if !held || waiting == 0 || !b.inside(int(owner.EE)) || !b.stream.fan.Wants(trace.Anomaly) {
		b.deadlock = false
		return
	}
	if b.deadlock {
		return
	}
	b.deadlock = true
	pipe := bits.TrailingZeros32(waiting)
	b.stream.Emit(&trace.Event{Kind: trace.Anomaly, Rule: RuleDeadlock, Pipe: int8(pipe), Value: uint64(owner.Pipe),
		By: trace.Master{Via: trace.Command, EE: b.owners[pipe], Pipe: int8(pipe)}})
}
