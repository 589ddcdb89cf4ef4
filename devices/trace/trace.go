// Package trace is the stream of events that the device models emit: what
// happened, who caused it, and which rule of the hardware it broke, if any.
//
// Attestation, findings, logs, the lock checker and recordings are all readers
// of this one stream. A model with no reader pays one nil check per event.
package trace

import "fmt"

// Kind says what happened.
type Kind uint8

const (
	RegRead   Kind = iota + 1 // Block, Off, Value
	RegWrite                  // Block, Off, Value (0 for a secret register)
	DescFetch                 // Pipe, Off (in the FIFO), Addr, Size, Flags
	DescDone                  // the same, when its effects are complete
	WriteBack                 // producer descriptor written back: Size is the byte count
	Element                   // command element executed: Off is the element's 24-bit address, Value its data
	DataIn                    // Pipe, Addr, Size: bytes moved from memory into the engine
	DataOut                   // Pipe, Addr, Size: bytes moved from the engine to memory
	Lock                      // Pipe took the lock
	Unlock                    // Pipe released it; Value is an UnlockCause
	LockWait                  // Pipe stalled because of another pipe's lock
	NWDWait                   // Pipe waits for the engine's acknowledgement
	NWDAck                    // and has it
	PipeEnable
	PipeDisable
	PipeReset
	PipeIRQ  // Value is the raised P_IRQ_STTS bits
	LineSet  // EE in By.EE, Value 0 or 1
	OpStart  // engine started: Op
	OpDone   // engine finished: Op
	OpAbort  // operation dropped by a reset: Op
	BusFault // Pipe, Addr, Size; Value is a FaultReason
	Anomaly  // Rule was broken; Off, Addr, Size, Value as the rule's text says
)

var kindNames = [...]string{
	RegRead: "reg-read", RegWrite: "reg-write", DescFetch: "desc-fetch", DescDone: "desc-done",
	WriteBack: "write-back", Element: "element", DataIn: "data-in", DataOut: "data-out",
	Lock: "lock", Unlock: "unlock", LockWait: "lock-wait", NWDWait: "nwd-wait", NWDAck: "nwd-ack",
	PipeEnable: "pipe-enable", PipeDisable: "pipe-disable", PipeReset: "pipe-reset",
	PipeIRQ: "pipe-irq", LineSet: "line", OpStart: "op-start", OpDone: "op-done", OpAbort: "op-abort",
	BusFault: "bus-fault", Anomaly: "anomaly",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// UnlockCause is the Value of an Unlock event.
type UnlockCause uint8

const (
	ByUnlock    UnlockCause = iota + 1 // an UNLOCK descriptor
	ByPipeReset                        // P_RST of the owner
	ByBAMReset                         // BAM_CTRL.SW_RST or a device reset
	ByDisable                          // P_CTRL.EN of the owner cleared
)

// FaultReason is the Value of a BusFault event: what was wrong with the address.
type FaultReason uint8

const (
	FaultOther    FaultReason = iota // no memory access, or a reason of none of these
	FaultUnmapped                    // no memory there
	FaultPartly                      // memory at the first byte, but not at all of them
	FaultReadOnly                    // a write to memory that may be read only
)

// Block names the register block of a RegRead or RegWrite.
type Block uint8

const (
	BAM Block = iota + 1
	QCE
)

func (b Block) String() string { return [...]string{"?", "BAM", "QCE"}[min(int(b), 2)] }

// Via says by which way a master reached a register.
type Via uint8

const (
	CPU     Via = iota // a load or store over the bus (MMIO)
	Command            // a command element of the pipe Master.Pipe
	Model              // the model itself
)

func (v Via) String() string { return [...]string{"cpu", "command", "model"}[min(int(v), 2)] }

// Master identifies who acts: an execution environment, by MMIO or through a
// pipe.
type Master struct {
	Via  Via
	EE   uint8
	Pipe int8 // -1 when Via is not Command
}

// CPUOf is the processor of an execution environment.
func CPUOf(ee int) Master { return Master{Via: CPU, EE: uint8(ee), Pipe: -1} }

func (m Master) String() string {
	if m.Via == Command {
		return fmt.Sprintf("EE%d pipe %d", m.EE, m.Pipe)
	}
	return fmt.Sprintf("EE%d %s", m.EE, m.Via)
}

// Event is one thing that happened. Which fields are set depends on Kind.
// Pointers in an event are valid during the call of Emit only.
type Event struct {
	Seq   uint64 // position in the stream, from 1
	Time  uint64 // model time, ns
	Kind  Kind
	Block Block
	By    Master
	Pipe  int8 // -1: none
	Flags uint16
	Off   uint32
	Size  uint32 // bytes
	Addr  uint64
	Value uint64
	Op    *Op
	Rule  *Rule
}

// Sink reads the stream. Emit is called from inside the model: it must not call
// back into it, block, or keep e.
type Sink interface {
	Emit(e *Event)
}

// Selective is a Sink that reads only some kinds of events; the head of the
// stream need not call it for others.
type Selective interface {
	Sink
	Wants(Kind) bool
}

// Op describes one engine operation, for attestation and for the oracle.
type Op struct {
	Alg     string // canonical name, e.g. "cbc-aes", "hmac-sha256", "authenc-hmac-sha1-cbc-des3_ede", "xts-aes"; "" if the configuration names none
	Encrypt bool   // meaningless for hashes
	KeyBits int    // cipher key, 0 for a plain hash; for XTS of one half
	Bytes   uint32 // SEG_SIZE
	EE      uint8  // of the master that wrote GO
	PipeSet uint8
	// How the EE that wrote GO configured the operation since its previous GO.
	ByCPU     uint32 // register writes by MMIO
	ByCommand uint32 // register writes by command element
	Locked    bool   // the pipe pair's side held the BAM lock at GO
	LockHeld  bool   // and still held it when the operation finished
	Foreign   uint32 // register writes of other EEs in between
	Status    uint32 // STATUS when finished
	Status2   uint32
}

// Severity grades a rule.
type Severity uint8

const (
	Info    Severity = iota // worth knowing, allowed
	Warning                 // works, but not by the hardware's rules
	Error                   // wrong data, a hang or a bus error may follow
)

func (s Severity) String() string { return [...]string{"info", "warning", "error"}[min(int(s), 2)] }

// Rule is one rule of the hardware that software can break. Its ID is stable:
// it stands in reports, documents and bug mails.
type Rule struct {
	ID       string // FAMILY-TOPIC-NNN, e.g. "BAM-LOCK-003"
	Title    string // one sentence: what was seen
	Severity Severity
	Source   string // where the rule comes from: datasheet section and evidence mark
	Driver   string // the driver function that most likely did it, "" if unknown
	// PerRegister rules are reported once for each register; who reads the
	// stream counts the accesses that follow.
	PerRegister bool
}
