package bam

import "github.com/qcemu/qcemu/devices/trace"

// rule names a rule of the table below.
type rule uint8

const (
	fifoBase rule = iota
	fifoSize
	fifoEmpty
	evntOutside
	evntUnaligned
	fifoOverrun
	fifoChanged
	fifoFull

	descZero
	descImme
	descNWDAlone
	descHighAddr
	descCmdOnProducer
	descChanged

	cmdSize
	cmdZero
	cmdUnknown
	cmdOutside
	cmdBareOffset
	cmdWriteLite
	cmdWithEOT
	cmdPartialMask
	cmdReserved
	cmdUnaligned
	cmdDisabled
	cmdRead
	cmdHighDest
	cmdChanged
	cmdEmpty

	lockOnData
	lockAndUnlock
	lockTwice
	lockOfPeer
	unlockWithout
	unlockByOther
	lockAtPipeRst
	lockAtDisable
	lockUnsupported
	lockAtBAMRst
	lockGroupChanged

	regReserved
	regForeign
	regUnmodelled
	regSize
	regReadOnly
	regGlobal
	regBAMOff
	regBAM2BAM
	regStreaming
	regNoPipe
	regTimerMode

	busDesc
	busElement
	busDataRead
	busDataWrite
	busWriteBack
	busReadDest

	numRules
)

// Driver functions that most likely broke a rule; Linux names.
const (
	chanInit   = "bam_chan_init_hw"
	startDMA   = "bam_start_dma"
	prepSG     = "bam_prep_slave_sg"
	writeDMA   = "qce_dma_add_cmd (our series), qce_write_dma (posted), bam_prep_ce elsewhere"
	setupLock  = "bam_lock_chain, bam_fifo_put_lock (our series), bam_setup_pipe_lock (posted)"
	terminate  = "bam_dma_terminate_all"
	bamInit    = "bam_init"
	mapBuffers = "dma_map_sg caller"
)

// rules is the table of what software can do wrong. Of an event with one of them, Value is
// what the title says in brackets. A rule that a register access broke has Block BAM and the
// register's offset in Off; one that a descriptor broke has the offset in the FIFO, and in
// Addr, Size and Flags the descriptor.
var rules = [numRules]trace.Rule{
	fifoBase:      {ID: "BAM-FIFO-001", Title: "a pipe is enabled with a FIFO base [value] that is not a multiple of 8", Severity: trace.Error, Source: "§4 [D]", Driver: chanInit},
	fifoSize:      {ID: "BAM-FIFO-002", Title: "a pipe is enabled with a FIFO size [value] that is not a multiple of 8", Severity: trace.Error, Source: "§4 [D]", Driver: chanInit},
	fifoEmpty:     {ID: "BAM-FIFO-003", Title: "a pipe is enabled with a FIFO of no entry", Severity: trace.Error, Source: "§5.2 [D]", Driver: chanInit},
	evntOutside:   {ID: "BAM-FIFO-004", Title: "P_EVNT_REG [value] points outside the FIFO; nothing is published", Severity: trace.Error, Source: "§5.2 [C]", Driver: startDMA},
	evntUnaligned: {ID: "BAM-FIFO-005", Title: "P_EVNT_REG [value] is not a multiple of 8; rounded down", Severity: trace.Error, Source: "§4 [D]", Driver: startDMA},
	fifoOverrun:   {ID: "BAM-FIFO-006", Title: "P_EVNT_REG [value] publishes more descriptors than the FIFO has free, or moves backwards", Severity: trace.Error, Source: "§5.2 [C], §28", Driver: startDMA},
	fifoChanged:   {ID: "BAM-FIFO-007", Title: "the FIFO's base or size is changed while the pipe is enabled", Severity: trace.Warning, Source: "§7 [C]", Driver: chanInit},
	fifoFull:      {ID: "BAM-FIFO-008", Title: "P_EVNT_REG [value] is written as it is while the FIFO is empty: nothing is published; a ring that is filled up looks empty", Severity: trace.Warning, Source: "§5.2 [C], §28", Driver: startDMA},

	descZero:          {ID: "BAM-DESC-001", Title: "a data descriptor of size 0", Severity: trace.Warning, Source: "§5.3, §16.5 [D]", Driver: prepSG},
	descImme:          {ID: "BAM-DESC-002", Title: "a descriptor with IMME, which no known driver uses; it has no effect", Severity: trace.Warning, Source: "§5.3 [?]", Driver: prepSG},
	descNWDAlone:      {ID: "BAM-DESC-003", Title: "NWD on a descriptor with neither EOT nor CMD", Severity: trace.Info, Source: "§5.3 [D]", Driver: prepSG},
	descHighAddr:      {ID: "BAM-DESC-004", Title: "address bits above 32 [value] in a descriptor of a BAM with narrower addresses; ignored", Severity: trace.Error, Source: "§5.1 [D]", Driver: prepSG},
	descCmdOnProducer: {ID: "BAM-DESC-005", Title: "CMD on a producer pipe; the descriptor is taken for data", Severity: trace.Error, Source: "§5.3 [D]", Driver: prepSG},
	descChanged:       {ID: "BAM-DESC-007", Title: "a descriptor was changed between its publication and its end", Severity: trace.Error, Source: "§5.2 [C]", Driver: startDMA},

	cmdSize:        {ID: "BAM-CMD-001", Title: "the size of a command descriptor is not a multiple of 16; the rest is ignored", Severity: trace.Error, Source: "§9 [D]", Driver: prepSG},
	cmdZero:        {ID: "BAM-CMD-002", Title: "a command descriptor of size 0", Severity: trace.Warning, Source: "§5.3, §24 quirk 3 [D]", Driver: prepSG},
	cmdUnknown:     {ID: "BAM-CMD-003", Title: "an element [first word] with an unknown command; skipped", Severity: trace.Error, Source: "§9 [D]", Driver: writeDMA},
	cmdOutside:     {ID: "BAM-CMD-004", Title: "an element's address [value] is outside the peripheral's registers", Severity: trace.Error, Source: "§9 [?]", Driver: writeDMA},
	cmdBareOffset:  {ID: "BAM-CMD-005", Title: "an element's address [value] is a bare register offset: the base was still 0", Severity: trace.Error, Source: "§24 quirk 1 [C]", Driver: "qce_crypto_probe (posted series): algorithms registered before the base was known"},
	cmdWriteLite:   {ID: "BAM-CMD-006", Title: "an element [first word] with command 4; taken for a write", Severity: trace.Info, Source: "§9 [D]", Driver: writeDMA},
	cmdWithEOT:     {ID: "BAM-CMD-007", Title: "EOT on a command descriptor", Severity: trace.Info, Source: "§5.3 [C]", Driver: prepSG},
	cmdPartialMask: {ID: "BAM-CMD-008", Title: "a write element with a partial mask [value]: what becomes of the other bits is not documented", Severity: trace.Info, Source: "§9 [?]", Driver: writeDMA},
	cmdReserved:    {ID: "BAM-CMD-009", Title: "an element's reserved word is not 0", Severity: trace.Info, Source: "§9 [D]", Driver: writeDMA},
	cmdUnaligned:   {ID: "BAM-CMD-010", Title: "an element's address [value] is not a multiple of 4; rounded down", Severity: trace.Error, Source: "§9 [I]", Driver: writeDMA},
	cmdDisabled:    {ID: "BAM-CMD-011", Title: "a command descriptor while CNFG_BITS.CMD_ENABLE is 0", Severity: trace.Warning, Source: "§3 [?]", Driver: bamInit},
	cmdRead:        {ID: "BAM-CMD-012", Title: "a READ element [address]; with QCE one was seen to crash an SM8650", Severity: trace.Warning, Source: "§9 [D]", Driver: writeDMA},
	cmdHighDest:    {ID: "BAM-CMD-013", Title: "a READ element whose destination has bits above 32 [value] on a BAM with narrower addresses; ignored", Severity: trace.Error, Source: "§9 [D]", Driver: writeDMA},
	cmdChanged:     {ID: "BAM-CMD-014", Title: "command elements were changed between the publication and the end of their descriptor", Severity: trace.Error, Source: "§5.2 [C]", Driver: writeDMA},
	cmdEmpty:       {ID: "BAM-CMD-015", Title: "a command element of zeros: it was never filled in, or cleared before its descriptor was done", Severity: trace.Error, Source: "§9 [I]", Driver: writeDMA + "; qce_dma_clear_cmds (our series)"},

	lockOnData:       {ID: "BAM-LOCK-001", Title: "LOCK or UNLOCK on a descriptor that is no command descriptor; ignored", Severity: trace.Error, Source: "§8.1 [D]", Driver: setupLock},
	lockAndUnlock:    {ID: "BAM-LOCK-002", Title: "LOCK and UNLOCK on one descriptor; both ignored", Severity: trace.Error, Source: "§5.3 [D]", Driver: setupLock},
	lockTwice:        {ID: "BAM-LOCK-003", Title: "LOCK by the pipe that holds the lock already", Severity: trace.Warning, Source: "§8, §24 quirk 8 [C]", Driver: setupLock},
	lockOfPeer:       {ID: "BAM-LOCK-004", Title: "LOCK while another pipe of the same group [value] holds the lock; ignored", Severity: trace.Warning, Source: "§8 [I]", Driver: setupLock},
	unlockWithout:    {ID: "BAM-LOCK-005", Title: "UNLOCK while nothing is locked", Severity: trace.Warning, Source: "§8 [C]", Driver: setupLock},
	unlockByOther:    {ID: "BAM-LOCK-006", Title: "UNLOCK by another pipe than the one [value] that locked; ignored", Severity: trace.Error, Source: "§8.3 [D]", Driver: setupLock},
	lockAtPipeRst:    {ID: "BAM-LOCK-007", Title: "a pipe is reset while it holds the lock", Severity: trace.Warning, Source: "§8, Part F.1 [?]", Driver: terminate},
	lockAtDisable:    {ID: "BAM-LOCK-008", Title: "a pipe is disabled while it holds the lock", Severity: trace.Warning, Source: "§8 [I]", Driver: terminate},
	lockUnsupported:  {ID: "BAM-LOCK-009", Title: "LOCK or UNLOCK on a BAM that has no pipe lock; ignored", Severity: trace.Error, Source: "§8.4 [D]", Driver: setupLock},
	lockAtBAMRst:     {ID: "BAM-LOCK-010", Title: "the BAM is reset while a pipe [value] holds the lock", Severity: trace.Warning, Source: "§8 [I]", Driver: bamInit},
	lockGroupChanged: {ID: "BAM-LOCK-011", Title: "the lock group of an enabled pipe is changed", Severity: trace.Warning, Source: "§7 [I]", Driver: chanInit},

	regReserved:   {ID: "BAM-REG-001", Title: "reserved bits [value] written", Severity: trace.Warning, Source: "§3, §4 [D]", Driver: ""},
	regForeign:    {ID: "BAM-REG-002", Title: "access to a register that belongs to another execution environment", Severity: trace.Error, Source: "§10, §11 [?]", Driver: chanInit},
	regUnmodelled: {ID: "BAM-REG-003", Title: "access to an offset with no known register", Severity: trace.Warning, Source: "§2", Driver: "", PerRegister: true},
	regSize:       {ID: "BAM-REG-004", Title: "a register access that is not one aligned word", Severity: trace.Warning, Source: "§2 [I]", Driver: ""},
	regReadOnly:   {ID: "BAM-REG-005", Title: "write to a read-only register", Severity: trace.Warning, Source: "§3, §4 [D]", Driver: ""},
	regGlobal:     {ID: "BAM-REG-006", Title: "a global or trust register is written by an execution environment that does not control the BAM", Severity: trace.Error, Source: "§11 [D]", Driver: bamInit},
	regBAMOff:     {ID: "BAM-REG-007", Title: "a pipe is enabled while the BAM or the pipe is disabled or in reset", Severity: trace.Warning, Source: "§7 [I]", Driver: chanInit},
	regBAM2BAM:    {ID: "BAM-REG-008", Title: "BAM-to-BAM mode is enabled, which is not modelled: the pipe does nothing", Severity: trace.Warning, Source: "§5.4 [D]", Driver: chanInit},
	regStreaming:  {ID: "BAM-REG-009", Title: "streaming mode is enabled, which is not modelled: the pipe works as in system mode", Severity: trace.Warning, Source: "§5.4 [D]", Driver: chanInit},
	regNoPipe:     {ID: "BAM-REG-010", Title: "access to a register of a pipe or an execution environment that this BAM does not have", Severity: trace.Error, Source: "§3 [D]", Driver: chanInit},
	regTimerMode:  {ID: "BAM-REG-011", Title: "periodic mode of an inactivity timer, which the hardware does not have", Severity: trace.Warning, Source: "§3 [D]", Driver: ""},

	busDesc:      {ID: "BAM-BUS-001", Title: "bus error on a descriptor fetch; the pipe stops", Severity: trace.Error, Source: "§10 [I]", Driver: chanInit},
	busElement:   {ID: "BAM-BUS-002", Title: "bus error on a command element fetch; the pipe stops", Severity: trace.Error, Source: "§10 [I]", Driver: writeDMA},
	busDataRead:  {ID: "BAM-BUS-003", Title: "bus error on a read of data; the pipe stops", Severity: trace.Error, Source: "§10 [I]", Driver: mapBuffers},
	busDataWrite: {ID: "BAM-BUS-004", Title: "bus error on a write of data; the pipe stops", Severity: trace.Error, Source: "§10 [I]", Driver: mapBuffers},
	busWriteBack: {ID: "BAM-BUS-005", Title: "bus error on the write-back of a descriptor; the pipe stops", Severity: trace.Error, Source: "§5.2, §10 [I]", Driver: chanInit},
	busReadDest:  {ID: "BAM-BUS-006", Title: "bus error on the result of a READ element; the pipe stops", Severity: trace.Error, Source: "§9, §10 [I]", Driver: writeDMA},
}

// Rules returns all rules that the model checks, for documents and reports. The
// events of the stream point into the same table.
func Rules() []*trace.Rule {
	all := make([]*trace.Rule, len(rules))
	for i := range rules {
		all[i] = &rules[i]
	}
	return all
}
