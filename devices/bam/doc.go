// Package bam models Qualcomm's BAM (Bus Access Module), the DMA engine in front
// of a peripheral: registers of four layouts, pipes with descriptor FIFOs, command
// descriptors, pipe locking, execution environments and the interrupt tree.
//
// A [BAM] is a state machine that one party at a time enters. Nothing happens by
// itself: the owner reads and writes registers on behalf of a bus master, asks
// [BAM.Runnable] which pipes could move, and lets one of them make a small step
// with [BAM.Step]. Any order of steps is a legal behaviour of the hardware; which
// one is taken is the owner's choice. Time comes from outside too, by [BAM.Advance].
//
// Where public sources are silent about the hardware, the model follows one of
// several named readings ([Readings]). What software does against the rules of
// the hardware is reported on the event stream with one of the rules of [Rules];
// it is never an error of the model.
//
// Not modelled: BAM-to-BAM mode (such a pipe never moves), the streaming mode's
// missing EOT, sideband throttling (BAM_DESC_CNT_TRSHLD), descriptor prefetch, the
// test bus, and the fatal error of a peripheral that uses a disabled pipe. Their
// registers are stored, and turning one of the modes on is reported.
//
// Section numbers in comments ("§8") are those of the project's datasheet of
// BAM and QCE. The marks behind them grade the evidence: [D] documented, [C] what
// a shipping driver relies on, [O] observed, [I] inferred, [?] unknown.
package bam
