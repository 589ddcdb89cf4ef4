package bam

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/reading"
)

// Answer is one of the values of a reading, as its index in the table. 0 is the
// default.
type Answer uint8

// Readings says which of several possible behaviours the model shows where no
// public source tells what the hardware does. The zero value is the default of
// each.
type Readings struct {
	Lock           Answer // LockAtFetch, LockAfterElements
	Unlock         Answer // UnlockAfterElements, UnlockBeforeElements
	LockOnPipeRst  Answer // ReleaseOnPipeRst, KeepOnPipeRst
	LockOnDisable  Answer // KeepOnDisable, ReleaseOnDisable
	Arbiter        Answer // ArbiterFIFO, ArbiterAny
	SuperGroup     Answer // SuperGroupIgnored, SuperGroupShares
	ReadElement    Answer // ElementExecuted, ElementDropped, ElementFails
	ReadWithLock   Answer // the same, for a READ in a descriptor with LOCK or UNLOCK
	ElementDecode  Answer // Decode18, Decode24
	ElementMask    Answer // MaskRMW, MaskZero
	BareOffset     Answer // BareAliased, BareDropped
	OutsideWindow  Answer // OutsideDropped, OutsideFails
	NWDScope       Answer // NWDEvery, NWDLast
	CmdDisabled    Answer // CmdStillExecuted, CmdSkipped, CmdAsData
	OutOfDesc      Answer // OutOfDescEdge, OutOfDescLevel
	ForeignGlobals Answer // ForeignIgnored, ForeignAccepted
}

// Values of the fields of Readings.
const (
	LockAtFetch       Answer = 0
	LockAfterElements Answer = 1

	UnlockAfterElements  Answer = 0
	UnlockBeforeElements Answer = 1

	ReleaseOnPipeRst Answer = 0
	KeepOnPipeRst    Answer = 1

	KeepOnDisable    Answer = 0
	ReleaseOnDisable Answer = 1

	ArbiterFIFO Answer = 0
	ArbiterAny  Answer = 1

	SuperGroupIgnored Answer = 0
	SuperGroupShares  Answer = 1

	ElementExecuted Answer = 0
	ElementDropped  Answer = 1
	ElementFails    Answer = 2

	Decode18 Answer = 0
	Decode24 Answer = 1

	MaskRMW  Answer = 0
	MaskZero Answer = 1

	BareAliased Answer = 0
	BareDropped Answer = 1

	OutsideDropped Answer = 0
	OutsideFails   Answer = 1

	NWDEvery Answer = 0
	NWDLast  Answer = 1

	CmdStillExecuted Answer = 0
	CmdSkipped       Answer = 1
	CmdAsData        Answer = 2

	OutOfDescEdge  Answer = 0
	OutOfDescLevel Answer = 1

	ForeignIgnored  Answer = 0
	ForeignAccepted Answer = 1
)

// question is an open question and where its answer is kept.
type question struct {
	reading.Reading
	field func(*Readings) *Answer
}

func v(name, meaning, evidence string) reading.Value {
	return reading.Value{Name: name, Meaning: meaning, Evidence: evidence}
}

// questions lists the values in the order of the constants above.
var questions = []question{
	{reading.Reading{Name: "bam-lock", Question: "When does LOCK take effect?", Source: "§8.6, Part F.2 [?]", Values: []reading.Value{
		v("at-fetch", "before the elements of its own descriptor", "the lock is to protect what comes with it [I]"),
		v("after-elements", "when its descriptor is finished", ""),
	}}, func(r *Readings) *Answer { return &r.Lock }},
	{reading.Reading{Name: "bam-unlock", Question: "When does UNLOCK take effect?", Source: "§8.6, Part F.2 [?]", Values: []reading.Value{
		v("after-elements", "when its descriptor is finished", "vendor drivers put the write that parks the engine into the UNLOCK descriptor (§26) [I]"),
		v("before-elements", "at the fetch of its descriptor", ""),
	}}, func(r *Readings) *Answer { return &r.Unlock }},
	{reading.Reading{Name: "bam-lock-on-pipe-reset", Question: "Does P_RST of the owner release the lock?", Source: "§8, Part F.1 [?]", Values: []reading.Value{
		v("release", "it does", "a vendor driver's comment says that initialising the pipe again unlocks [D]"),
		v("keep", "it does not", "the newest cores have it as an optional feature (§3, CNFG_BITS_2) [I]"),
	}}, func(r *Readings) *Answer { return &r.LockOnPipeRst }},
	{reading.Reading{Name: "bam-lock-on-disable", Question: "Does clearing P_EN of the owner release the lock?", Source: "§8 [?]", Values: []reading.Value{
		v("keep", "it does not", "a disabled pipe keeps the rest of its state too [I]"),
		v("release", "it does", ""),
	}}, func(r *Readings) *Answer { return &r.LockOnDisable }},
	{reading.Reading{Name: "bam-arbiter", Question: "Which waiting pipe goes first after UNLOCK?", Source: "§8 [?]", Values: []reading.Value{
		v("fifo", "the one that has waited longest", "no pipe starves [I]"),
		v("any", "whichever the scheduler picks", ""),
	}}, func(r *Readings) *Answer { return &r.Arbiter }},
	{reading.Reading{Name: "bam-super-group", Question: "What does P_TRUST_REG.P_SUP_GROUP do?", Source: "§8.7 [?]", Values: []reading.Value{
		v("ignored", "nothing", "only the name is public [I]"),
		v("shares-lock", "pipes of one non-zero super group share a lock across EEs and groups", "the name [I]"),
	}}, func(r *Readings) *Answer { return &r.SuperGroup }},
	{reading.Reading{Name: "bam-read-element", Question: "What does a READ element do?", Source: "§9, Part F.14 [?]", Values: []reading.Value{
		v("execute", "stores the register's value in memory", "NAND drivers rely on it [C]"),
		v("drop", "nothing", ""),
		v("bus-error", "stops the pipe with HRESP_ERR", "a READ of the QCE crashed an SM8650 [D]"),
	}}, func(r *Readings) *Answer { return &r.ReadElement }},
	{reading.Reading{Name: "bam-read-with-lock", Question: "What does a READ element do in a descriptor with LOCK or UNLOCK?", Source: "§8, Part F.14 [?]", Values: []reading.Value{
		v("execute", "stores the register's value in memory", "the NAND lock series ends with UNLOCK on read elements [C]"),
		v("drop", "nothing", ""),
		v("bus-error", "stops the pipe with HRESP_ERR", "a READ of the QCE crashed an SM8650 [D]"),
	}}, func(r *Readings) *Answer { return &r.ReadWithLock }},
	{reading.Reading{Name: "bam-element-decode", Question: "How many address bits of an element are decoded?", Source: "§9, Part F.4 [?]", Values: []reading.Value{
		v("18", "18: a local window of 256 KiB", "two drivers of one NAND block differ in bits 19, 20 and 23, and both work [C]"),
		v("24", "all 24 that there are", "stricter, and enough for QCE drivers [I]"),
	}}, func(r *Readings) *Answer { return &r.ElementDecode }},
	{reading.Reading{Name: "bam-element-mask", Question: "What happens to the unmasked bits of a write element?", Source: "§9, Part F.5 [?]", Values: []reading.Value{
		v("read-modify-write", "they stay", "the field's name, \"register write mask\" [I]"),
		v("zero", "they become 0", ""),
	}}, func(r *Readings) *Answer { return &r.ElementMask }},
	{reading.Reading{Name: "bam-bare-offset", Question: "What does an element do whose address is a bare register offset?", Source: "§24 quirk 1 [?]", Values: []reading.Value{
		v("alias", "reaches the register", "the first requests of series v16 may carry them, and would hang otherwise [I]"),
		v("drop", "nothing", "by the decode, the address is not the engine's [I]"),
	}}, func(r *Readings) *Answer { return &r.BareOffset }},
	{reading.Reading{Name: "bam-outside-window", Question: "What does an element do whose address is outside the engine?", Source: "§9, Part F.4 [?]", Values: []reading.Value{
		v("drop", "nothing", "[I]"),
		v("bus-error", "stops the pipe with HRESP_ERR", ""),
	}}, func(r *Readings) *Answer { return &r.OutsideWindow }},
	{reading.Reading{Name: "bam-nwd-scope", Question: "Does NWD hold the pipe on a data descriptor without EOT?", Source: "§5.3 [?]", Values: []reading.Value{
		v("every", "until the engine has consumed its bytes", "it is said to be set on every data descriptor, so it must not hang there [I]"),
		v("last-only", "no", "software checks allow it with EOT or CMD only [D]"),
	}}, func(r *Readings) *Answer { return &r.NWDScope }},
	{reading.Reading{Name: "bam-cmd-disabled", Question: "What does CMD do while CNFG_BITS.CMD_ENABLE is 0?", Source: "§3 [?]", Values: []reading.Value{
		v("execute", "the same as always", "drivers of the crypto BAM never find it 0 [I]"),
		v("skip", "nothing, the descriptor is finished at once", ""),
		v("data", "nothing, the elements are taken for data", ""),
	}}, func(r *Readings) *Answer { return &r.CmdDisabled }},
	{reading.Reading{Name: "bam-out-of-desc", Question: "Is OUT_OF_DESC an event or a level?", Source: "§6.2, Part F.15 [?]", Values: []reading.Value{
		v("edge", "an event: the last descriptor was finished", "the one driver that enables it clears it and goes on [I]"),
		v("level", "a level: there is no descriptor", ""),
	}}, func(r *Readings) *Answer { return &r.OutOfDesc }},
	{reading.Reading{Name: "bam-foreign-globals", Question: "Does a write to a global register by another EE than the controlling one count?", Source: "Part E.2 [?]", Values: []reading.Value{
		v("ignore", "no", "the controlling EE is there to protect them [I]"),
		v("accept", "yes, but for trust registers, and for SW_RST under RST_BLOCK", "RST_BLOCK would not be needed otherwise [I]"),
	}}, func(r *Readings) *Answer { return &r.ForeignGlobals }},
}

// ReadingTable returns all open questions about the BAM.
func ReadingTable() reading.Table {
	t := make(reading.Table, len(questions))
	for i := range questions {
		t[i] = questions[i].Reading
	}
	return t
}

// ResolveReadings picks the BAM's part of a choice.
func ResolveReadings(c reading.Choice) (Readings, error) {
	var r Readings
	s, err := ReadingTable().Resolve(c)
	if err != nil {
		return r, err
	}
	for i, v := range s {
		*questions[i].field(&r) = Answer(v)
	}
	return r, nil
}

// validate refuses choices that no reading has.
func (r *Readings) validate() error {
	for i := range questions {
		if c := *questions[i].field(r); int(c) >= len(questions[i].Values) {
			return fmt.Errorf("bam: reading %s: choice %d of %d", questions[i].Name, c, len(questions[i].Values))
		}
	}
	return nil
}
