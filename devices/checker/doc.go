// Package checker watches the event stream of a crypto block for what software
// does against the rules of the hardware, and what no device model can tell
// alone: what two execution environments do to each other, what a chain of
// descriptors lacks as a whole, what is left over at the end.
//
// The device models report the rules that one access or one descriptor breaks
// (bam.Rules, qce.Rules). The checker reads the stream, keeps a little state for
// each pipe and each side, and adds its own (Rules): it hands an event of kind
// trace.Anomaly to the sink that collects findings. docs/locking.md explains
// the rules about the lock, docs/findings.md lists all of them.
//
// The checker costs a few nanoseconds for an event and never allocates.
package checker
