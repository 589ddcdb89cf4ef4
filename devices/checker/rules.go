package checker

import "github.com/qcemu/qcemu/devices/trace"

// rule names a rule of the table below.
type rule uint8

const (
	unlockNoNWD rule = iota
	unlockBusy
	afterUnlock
	chainUnlocked
	lockLost
	lockTooLong
	lockAtEnd
	unlockAlone
	lockOfPartner

	cmdBehindData
	chainSilent
	chainDropped
	chainAtEnd

	busPartly
	busReadOnly

	irqUncleared
	irqAtEnd
	pollForever

	cfgContested
	cfgBeforeLock
	cfgCut
	statusOfOther
	lockShared
	cpuAmongCommands
	statusEarly

	inputMissing
	outputMissing
	inputStays

	numRules
)

// Driver functions that most likely broke a rule; Linux names.
const (
	startDMA   = "bam_start_dma"
	setupLock  = "bam_lock_chain, bam_fifo_put_lock (our series), bam_setup_pipe_lock (posted)"
	terminate  = "bam_dma_terminate_all"
	bamISR     = "bam_dma_irq, process_channel_irqs"
	mapBuffers = "dma_map_sg caller"
	prepSGs    = "qce_dma_prep_sgs"
	setupRegs  = "qce_setup_regs_*"
	qceDone    = "qce_*_done, qce_check_status"
)

// rules is the table of what the checker looks for. In an event with one of
// them, Off, Addr, Size and Flags are the descriptor's or the register's, and
// Value is what the title says in brackets.
var rules = [numRules]trace.Rule{
	unlockNoNWD:   {ID: "BAM-LOCK-012", Title: "UNLOCK behind a data descriptor without NWD: it can overtake the engine", Severity: trace.Error, Source: "datasheet §5.3 [D], §24 [C]", Driver: "qce_dma_prep_sgs (no NWD on the last input descriptor)"},
	unlockBusy:    {ID: "BAM-LOCK-013", Title: "UNLOCK took effect while the operation that it protects was running", Severity: trace.Error, Source: "datasheet §5.3, §19 [D]", Driver: setupLock},
	afterUnlock:   {ID: "BAM-LOCK-014", Title: "descriptors of the same chain follow UNLOCK, and run without the lock", Severity: trace.Error, Source: "datasheet §8.1 [D]", Driver: setupLock},
	chainUnlocked: {ID: "BAM-LOCK-015", Title: "a chain without LOCK on a pipe that has locked before, while it does not hold the lock", Severity: trace.Error, Source: "datasheet §8.1 [D], §25 [C]", Driver: setupLock},
	lockLost:      {ID: "BAM-LOCK-016", Title: "a chain without LOCK after a reset of the pipe has lost its lock", Severity: trace.Error, Source: "datasheet §8, §24 quirk 9 [C]", Driver: "bam_dma_terminate_all, bam_release_lock (our series): lock state not cleared"},
	lockTooLong:   {ID: "BAM-LOCK-017", Title: "the lock is held for [value] events, far longer than any request takes", Severity: trace.Warning, Source: "datasheet §8 [I]", Driver: setupLock},
	lockAtEnd:     {ID: "BAM-LOCK-018", Title: "the lock is still held at the end", Severity: trace.Error, Source: "datasheet §8.2 [D]", Driver: setupLock},
	unlockAlone:   {ID: "BAM-LOCK-019", Title: "UNLOCK behind an operation that ran without the lock: its LOCK is missing", Severity: trace.Error, Source: "datasheet §8.1 [D]", Driver: setupLock},
	lockOfPartner: {ID: "BAM-LOCK-020", Title: "a pipe waits for the lock that the other pipe of its pair [value] holds: they are in different lock groups, and the request cannot end", Severity: trace.Error, Source: "datasheet §8 [D]", Driver: "bam_chan_init_hw (P_CTRL.LOCK_GROUP)"},

	cmdBehindData: {ID: "BAM-DESC-006", Title: "a command descriptor behind a data descriptor without NWD: it can reach the engine while it works", Severity: trace.Error, Source: "datasheet §5.3 [D]", Driver: prepSGs},
	chainSilent:   {ID: "BAM-CHAIN-001", Title: "the last published descriptor has neither INT nor EOT: nobody learns that it is done", Severity: trace.Warning, Source: "datasheet §5.3, §6.2 [D]", Driver: startDMA},
	chainDropped:  {ID: "BAM-CHAIN-002", Title: "a pipe is reset with published descriptors [value] that are not done", Severity: trace.Info, Source: "datasheet §7 [C]", Driver: terminate},
	chainAtEnd:    {ID: "BAM-CHAIN-003", Title: "published descriptors [value] are not done at the end", Severity: trace.Warning, Source: "datasheet §5.2 [C]", Driver: startDMA},

	busPartly:   {ID: "BAM-BUS-007", Title: "a buffer lies in memory with its first byte only, not with all of them", Severity: trace.Error, Source: "datasheet §10 [I]", Driver: mapBuffers},
	busReadOnly: {ID: "BAM-BUS-008", Title: "a write to memory that is mapped for reading only", Severity: trace.Error, Source: "datasheet §10 [I]", Driver: mapBuffers + " (direction)"},

	irqUncleared: {ID: "BAM-IRQ-001", Title: "an enabled interrupt was seen pending [value] times and never cleared: the processor does nothing else", Severity: trace.Error, Source: "datasheet §6.1 [C]", Driver: bamISR},
	irqAtEnd:     {ID: "BAM-IRQ-002", Title: "the interrupt line is asserted at the end", Severity: trace.Info, Source: "datasheet §6.1 [C]", Driver: bamISR},
	pollForever:  {ID: "BAM-POLL-001", Title: "a register was read [value] times in a row while nothing in the block can change it", Severity: trace.Error, Source: "datasheet §16.3, §19 [C]", Driver: ""},

	cfgContested:     {ID: "QCE-LOCK-001", Title: "the engine is configured without the lock while another side uses or waits for it", Severity: trace.Error, Source: "datasheet §8, §11 [D]", Driver: setupRegs + " (MMIO, or a chain without LOCK)"},
	cfgBeforeLock:    {ID: "QCE-LOCK-002", Title: "GO under the lock, but [value] registers of its configuration, this one first, were written before LOCK", Severity: trace.Error, Source: "datasheet §8.1 [D]", Driver: setupRegs + " (MMIO, or a chain before LOCK)"},
	cfgCut:           {ID: "QCE-LOCK-003", Title: "UNLOCK between the configuration of an operation and its GO", Severity: trace.Error, Source: "datasheet §8.1 [D]", Driver: setupLock},
	statusOfOther:    {ID: "QCE-LOCK-004", Title: "STATUS is read after another side [EE in value] has used the engine: it tells of that one's operation", Severity: trace.Error, Source: "datasheet §8.5, §14 [C]", Driver: qceDone},
	lockShared:       {ID: "QCE-LOCK-005", Title: "a second operation under one LOCK: the other sides wait for longer than a request takes", Severity: trace.Warning, Source: "datasheet §8 [I]", Driver: setupLock},
	cpuAmongCommands: {ID: "QCE-LOCK-006", Title: "a processor writes a register while command descriptors of its own chain are under way: which comes first is left to chance", Severity: trace.Error, Source: "datasheet §8.1 [I]", Driver: setupRegs + " (MMIO behind the doorbell)"},
	statusEarly:      {ID: "QCE-DONE-001", Title: "STATUS is read after an interrupt, before the operation has run: a completion was reported too early", Severity: trace.Error, Source: "datasheet §6.2, §16.1 [C]", Driver: "process_channel_irqs, vchan_cookie_complete"},

	inputMissing:  {ID: "QCE-DATA-008", Title: "an operation waits for input [bytes that came in value] of which less than SEG_SIZE is queued: it hangs", Severity: trace.Error, Source: "datasheet §16.3 [C]", Driver: prepSGs + " (too little), " + setupRegs + " (SEG_SIZE)"},
	outputMissing: {ID: "QCE-DATA-009", Title: "an operation has all its input and waits for room for its output: it hangs", Severity: trace.Error, Source: "datasheet §16.3 [I]", Driver: prepSGs + " (room for the output and its result dump)"},
	inputStays:    {ID: "QCE-DATA-011", Title: "input waits, of which [value] bytes were taken, and no operation runs that takes the rest: SEG_SIZE is too small, or there was no GO", Severity: trace.Error, Source: "datasheet §16.3 [C]", Driver: setupRegs + " (SEG_SIZE, GOPROC), " + prepSGs + " (too much)"},
}

// Rules returns the rules that the checker adds to those of the models.
func Rules() []*trace.Rule {
	list := make([]*trace.Rule, len(rules))
	for i := range rules {
		list[i] = &rules[i]
	}
	return list
}
