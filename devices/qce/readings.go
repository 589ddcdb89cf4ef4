package qce

import "github.com/qcemu/qcemu/devices/reading"

// Indexes into Readings.
const (
	rdSurplus = iota
	rdAxiExtra
	rdStale
	rdCfgChange
	rdBusyWrite
	rdBusyRead
	rdStatusWrite
	rdGoClears
	rdLockedBit
	rdDumpStatus
	rdDumpSize
	rdMACArea
	rdHMACCount
	rdXTSIV
	rdXTSTail
	rdForeignCPU
	rdForeignSet
	rdPipeReset
	numReadings
)

// Values of the readings, in the order of the table; 0 is the default.
const (
	surplusDrained = 1

	axiExtraNever = 1

	staleFeed = 1

	cfgChangeAbort  = 1
	cfgChangeIgnore = 2

	busyWriteDropped = 1

	busyReadError = 1

	statusClearAll = 1
	statusZeroOnly = 2

	goKeepsStatus = 1

	lockedBit2 = 1

	dumpStatusFinal = 1

	dumpSize128 = 1

	macAreaTag = 1

	hmacCountData = 1

	xtsIVStepped = 1

	xtsTailPass = 1

	foreignCPUIgnored = 1
	foreignCPUAborts  = 2

	foreignSetRefused = 1

	pipeResetWaits = 1
)

// Readings are the questions that the guide leaves open about the engine
// (datasheet Part F, and the sections named).
var Readings = reading.Table{
	rdSurplus: {Name: "qce-surplus-input", Question: "What happens to input beyond SEG_SIZE?", Source: "§16.3, F.3", Values: []reading.Value{
		{Name: "left", Meaning: "it stays in the BAM; the descriptor stays open", Evidence: "[I] the engine pulls what it needs"},
		{Name: "drained", Meaning: "the engine takes and drops it, up to the descriptor with EOT", Evidence: "[I] as safe as far as Linux can see"},
	}},
	rdAxiExtra: {Name: "qce-axi-extra", Question: "Does surplus input set STATUS2.AXI_EXTRA?", Source: "§16.3, F.3", Values: []reading.Value{
		{Name: "set", Meaning: "it does", Evidence: "[I] from the name"},
		{Name: "never", Meaning: "it does not", Evidence: "LK takes the flag for an error [C]"},
	}},
	rdStale: {Name: "qce-stale-input", Question: "What becomes of surplus input that still waits in the pipe when the next operation of the pair starts?", Source: "§16.3", Values: []reading.Value{
		{Name: "discard", Meaning: "it is dropped, up to the descriptor with EOT", Evidence: "[I] safe: no byte of one request reaches another"},
		{Name: "feed", Meaning: "it is the first input of that operation", Evidence: "[I] nothing in the guide says that the engine looks for a border"},
	}},
	rdCfgChange: {Name: "qce-cfg-change", Question: "How hard is CFG_CHNG_ERR?", Source: "§19, E.10", Values: []reading.Value{
		{Name: "flag", Meaning: "CFG_CHNG_ERR and SW_ERR are set, the operation goes on to its end", Evidence: "[C] Linux gets its completion and an error"},
		{Name: "abort", Meaning: "the operation ends at once, without an end of transfer", Evidence: "[D] \"operation fails\" on the list"},
		{Name: "ignore", Meaning: "no bit is set; only the event tells", Evidence: "none; to tell effects apart"},
	}},
	rdBusyWrite: {Name: "qce-busy-write", Question: "Does a write while busy change the register?", Source: "§19", Values: []reading.Value{
		{Name: "stored", Meaning: "yes, for the next operation", Evidence: "[I] configuration *change* error"},
		{Name: "dropped", Meaning: "no", Evidence: "none"},
	}},
	rdBusyRead: {Name: "qce-busy-read", Question: "Does reading a configuration register while busy raise CFG_CHNG_ERR?", Source: "§19", Values: []reading.Value{
		{Name: "harmless", Meaning: "no", Evidence: "[C] for STATUS: drivers poll it"},
		{Name: "error", Meaning: "yes, except STATUS, STATUS2, VERSION and the data port", Evidence: "a list mail says \"write/read\""},
	}},
	rdStatusWrite: {Name: "qce-status-write", Question: "What does a write to STATUS do?", Source: "§14, F.7", Values: []reading.Value{
		{Name: "and", Meaning: "bits written as 0 are cleared", Evidence: "[I] writing 0 clears all [C]"},
		{Name: "clear-all", Meaning: "any write clears", Evidence: "none"},
		{Name: "zero-only", Meaning: "only the value 0 clears", Evidence: "none"},
	}},
	rdGoClears: {Name: "qce-go-clears-status", Question: "Does GO clear the errors of the previous operation?", Source: "§14, F.7", Values: []reading.Value{
		{Name: "yes", Meaning: "it does", Evidence: "[I]"},
		{Name: "no", Meaning: "they stay until STATUS is written", Evidence: "Linux writes STATUS first anyway [C]"},
	}},
	rdLockedBit: {Name: "qce-locked-bit", Question: "Where in STATUS2 is LOCKED?", Source: "§14, F.8", Values: []reading.Value{
		{Name: "0", Meaning: "bit 0", Evidence: "[D] the newer header"},
		{Name: "2", Meaning: "bit 2", Evidence: "[D] Linux's header"},
	}},
	rdDumpStatus: {Name: "qce-dump-status", Question: "Which STATUS is in the result dump?", Source: "§16.1", Values: []reading.Value{
		{Name: "early", Meaning: "the one before the operation is done", Evidence: "[C] Linux says not to use it"},
		{Name: "final", Meaning: "the one that software reads afterwards", Evidence: "none"},
	}},
	rdDumpSize: {Name: "qce-dump-size", Question: "How many bytes is the result dump?", Source: "§16.2, F.9", Values: []reading.Value{
		{Name: "104", Meaning: "the 26 words", Evidence: "[D] the structures of two drivers"},
		{Name: "128", Meaning: "padded with zeros to two bursts", Evidence: "[D] a driver names the rest burst alignment"},
	}},
	rdMACArea: {Name: "qce-ccm-mac-area", Question: "How many bytes follow the ciphertext of a CCM or GCM encryption?", Source: "§18.5, F.9", Values: []reading.Value{
		{Name: "64", Meaning: "the tag, then zeros up to 64 bytes", Evidence: "[D] padding in two drivers"},
		{Name: "tag", Meaning: "the tag", Evidence: "none"},
	}},
	rdHMACCount: {Name: "qce-hmac-byte-count", Question: "Does AUTH_BYTECNT of a partial HMAC count the key block?", Source: "§18.3, F.10", Values: []reading.Value{
		{Name: "with-key", Meaning: "yes", Evidence: "[I] the counter counts what enters the hash"},
		{Name: "data", Meaning: "no", Evidence: "[I]; Linux works with either"},
	}},
	rdXTSIV: {Name: "qce-xts-iv-out", Question: "What is in CNTR_IV after XTS?", Source: "§17, F.10", Values: []reading.Value{
		{Name: "unchanged", Meaning: "the number of the first data unit", Evidence: "none: nobody reads it"},
		{Name: "stepped", Meaning: "the number after the last data unit", Evidence: "none"},
	}},
	rdXTSTail: {Name: "qce-xts-stealing", Question: "What happens to the last bytes of a data unit that is not a multiple of 16?", Source: "§18.1, F.10", Values: []reading.Value{
		{Name: "steal", Meaning: "ciphertext stealing, as IEEE 1619 has it", Evidence: "none: Linux sends multiples of 512"},
		{Name: "pass", Meaning: "they pass unchanged", Evidence: "none"},
	}},
	rdForeignCPU: {Name: "qce-foreign-cpu-access", Question: "What does a CPU access do while another EE holds the lock?", Source: "§8.5, F.11", Values: []reading.Value{
		{Name: "through", Meaning: "it works", Evidence: "[C] the series reads STATUS by MMIO after its UNLOCK"},
		{Name: "ignored", Meaning: "reads 0, writes are ignored", Evidence: "none"},
		{Name: "abort", Meaning: "the same, and ACCESS_VIOL is set", Evidence: "a single claim of an external abort on the list"},
	}},
	rdForeignSet: {Name: "qce-foreign-pipe-set", Question: "Can an EE start an operation on a pipe set of another?", Source: "§19", Values: []reading.Value{
		{Name: "run", Meaning: "yes", Evidence: "none"},
		{Name: "refuse", Meaning: "no: PIPE_ACTIVE_ERR", Evidence: "[D] the name of the bit"},
	}},
	rdPipeReset: {Name: "qce-pipe-reset-in-operation", Question: "What does resetting a pipe do to the operation that uses it?", Source: "§7, E.8", Values: []reading.Value{
		{Name: "abort", Meaning: "it ends without result: HSD_ERR and SW_ERR, not done", Evidence: "[I] E.8; the next request must not find a busy engine"},
		{Name: "wait", Meaning: "what is in the buffers is lost, the operation waits on", Evidence: "[C] there is no timeout in hardware"},
	}},
}
