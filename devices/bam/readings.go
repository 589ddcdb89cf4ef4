package bam

import (
	"fmt"
	"strings"
)

// Choice is one of a reading's values, as its index in Reading.Values. 0 is the
// default.
type Choice uint8

// Readings says which of several possible behaviours the model shows where no
// public source tells what the hardware does. The zero value is the default of
// each.
type Readings struct {
	Lock           Choice // LockAtFetch, LockAfterElements
	Unlock         Choice // UnlockAfterElements, UnlockBeforeElements
	LockOnPipeRst  Choice // ReleaseOnPipeRst, KeepOnPipeRst
	LockOnDisable  Choice // KeepOnDisable, ReleaseOnDisable
	Arbiter        Choice // ArbiterFIFO, ArbiterAny
	SuperGroup     Choice // SuperGroupIgnored, SuperGroupShares
	ReadElement    Choice // ElementExecuted, ElementDropped, ElementFails
	ReadWithLock   Choice // the same, for a READ in a descriptor with LOCK or UNLOCK
	ElementDecode  Choice // Decode18, Decode24
	ElementMask    Choice // MaskRMW, MaskZero
	BareOffset     Choice // BareAliased, BareDropped
	OutsideWindow  Choice // OutsideDropped, OutsideFails
	NWDScope       Choice // NWDEvery, NWDLast
	CmdDisabled    Choice // CmdStillExecuted, CmdSkipped, CmdAsData
	OutOfDesc      Choice // OutOfDescEdge, OutOfDescLevel
	ForeignGlobals Choice // ForeignIgnored, ForeignAccepted
}

// Values of the fields of Readings.
const (
	LockAtFetch       Choice = 0
	LockAfterElements Choice = 1

	UnlockAfterElements  Choice = 0
	UnlockBeforeElements Choice = 1

	ReleaseOnPipeRst Choice = 0
	KeepOnPipeRst    Choice = 1

	KeepOnDisable    Choice = 0
	ReleaseOnDisable Choice = 1

	ArbiterFIFO Choice = 0
	ArbiterAny  Choice = 1

	SuperGroupIgnored Choice = 0
	SuperGroupShares  Choice = 1

	ElementExecuted Choice = 0
	ElementDropped  Choice = 1
	ElementFails    Choice = 2

	Decode18 Choice = 0
	Decode24 Choice = 1

	MaskRMW  Choice = 0
	MaskZero Choice = 1

	BareAliased Choice = 0
	BareDropped Choice = 1

	OutsideDropped Choice = 0
	OutsideFails   Choice = 1

	NWDEvery Choice = 0
	NWDLast  Choice = 1

	CmdStillExecuted Choice = 0
	CmdSkipped       Choice = 1
	CmdAsData        Choice = 2

	OutOfDescEdge  Choice = 0
	OutOfDescLevel Choice = 1

	ForeignIgnored  Choice = 0
	ForeignAccepted Choice = 1
)

// Reading describes one open question about the hardware and its answers.
type Reading struct {
	Name     string   // as in --reading NAME=VALUE
	Question string   // what no public source answers
	Values   []string // the answers; the first is the default
	Evidence string   // why the default is the default
	field    func(*Readings) *Choice
}

var readings = []Reading{
	{"bam-lock", "When does LOCK take effect?", []string{"at-fetch", "after-elements"},
		"§8.6, Part F.2 [?]: not stated; at fetch, since the lock is to protect the elements of its own descriptor [I]",
		func(r *Readings) *Choice { return &r.Lock }},
	{"bam-unlock", "When does UNLOCK take effect?", []string{"after-elements", "before-elements"},
		"§8.6, Part F.2 [?]: not stated; after, since vendor drivers put the write that parks the engine into the UNLOCK descriptor (§26) [I]",
		func(r *Readings) *Choice { return &r.Unlock }},
	{"bam-lock-on-pipe-reset", "Does P_RST of the owner release the lock?", []string{"release", "keep"},
		"§8, Part F.1 [?]: a vendor driver's comment says a re-initialised pipe unlocks; newest cores name it as an optional feature",
		func(r *Readings) *Choice { return &r.LockOnPipeRst }},
	{"bam-lock-on-disable", "Does clearing P_EN of the owner release the lock?", []string{"keep", "release"},
		"no source; kept, since a disabled pipe keeps the rest of its state too [I]",
		func(r *Readings) *Choice { return &r.LockOnDisable }},
	{"bam-arbiter", "Which waiting pipe goes first after UNLOCK?", []string{"fifo", "any"},
		"no source; in the order they began to wait, so that no pipe starves [I]; any leaves it to the scheduler",
		func(r *Readings) *Choice { return &r.Arbiter }},
	{"bam-super-group", "What does P_TRUST_REG.P_SUP_GROUP do?", []string{"ignored", "shares-lock"},
		"§8.7: only the name is public; shares-lock lets pipes of one non-zero super group share a lock across EEs [I]",
		func(r *Readings) *Choice { return &r.SuperGroup }},
	{"bam-read-element", "What does a READ element do?", []string{"execute", "drop", "bus-error"},
		"§9: executed for NAND [C]; one engineer saw a READ crash an SM8650 (Part F.14 [?])",
		func(r *Readings) *Choice { return &r.ReadElement }},
	{"bam-read-with-lock", "What does a READ element do in a descriptor with LOCK or UNLOCK?", []string{"execute", "drop", "bus-error"},
		"§8: the NAND series ends with UNLOCK on read elements [C]; with QCE a READ crashed (Part F.14 [?])",
		func(r *Readings) *Choice { return &r.ReadWithLock }},
	{"bam-element-decode", "How many address bits of an element are decoded?", []string{"18", "24"},
		"§9: two drivers of one NAND block differ in bits 19, 20 and 23 and both work [C]; 18 fits all [I]",
		func(r *Readings) *Choice { return &r.ElementDecode }},
	{"bam-element-mask", "What happens to the unmasked bits of a partial write element?", []string{"read-modify-write", "zero"},
		"§9, Part F.5 [?]: never exercised; the name \"write mask\" suggests that they stay [I]",
		func(r *Readings) *Choice { return &r.ElementMask }},
	{"bam-bare-offset", "What does an element do whose address is a bare register offset?", []string{"alias", "drop"},
		"§24 quirk 1 [?]: the first requests of series v16 may carry them; aliased to the engine, or those requests would hang [I]",
		func(r *Readings) *Choice { return &r.BareOffset }},
	{"bam-outside-window", "What does an element do whose address is outside the engine?", []string{"drop", "bus-error"},
		"§9, Part F.4 [?]",
		func(r *Readings) *Choice { return &r.OutsideWindow }},
	{"bam-nwd-scope", "Does NWD hold the pipe on a data descriptor without EOT?", []string{"every", "last-only"},
		"§5.3: legal with EOT or CMD only, yet said to be set on every data descriptor; then each is acknowledged when its bytes are consumed [I]",
		func(r *Readings) *Choice { return &r.NWDScope }},
	{"bam-cmd-disabled", "What does CMD do while CNFG_BITS.CMD_ENABLE is 0?", []string{"execute", "skip", "data"},
		"§3 [?]; executed, since drivers of the crypto BAM never find it 0",
		func(r *Readings) *Choice { return &r.CmdDisabled }},
	{"bam-out-of-desc", "Is OUT_OF_DESC an event or a level?", []string{"edge", "level"},
		"§6.2, Part F.15 [?]: the one driver that enables it ignores it",
		func(r *Readings) *Choice { return &r.OutOfDesc }},
	{"bam-foreign-globals", "Does a write to a global register by another EE than the controlling one count?", []string{"ignore", "accept"},
		"Part E.2 [I]: Linux does not try on a remotely controlled BAM",
		func(r *Readings) *Choice { return &r.ForeignGlobals }},
}

// AllReadings returns all open questions about the BAM, in a fixed order.
func AllReadings() []Reading { return readings }

// Set chooses an answer by name.
func (r *Readings) Set(name, value string) error {
	for i := range readings {
		if readings[i].Name != name {
			continue
		}
		for c, v := range readings[i].Values {
			if v == value {
				*readings[i].field(r) = Choice(c)
				return nil
			}
		}
		return fmt.Errorf("reading %s: no value %q; there are: %s", name, value, strings.Join(readings[i].Values, ", "))
	}
	return fmt.Errorf("no reading %q of the BAM", name)
}

// Get returns the chosen answer of a reading, "" when there is no such reading.
func (r *Readings) Get(name string) string {
	for i := range readings {
		if readings[i].Name == name {
			return readings[i].Values[*readings[i].field(r)]
		}
	}
	return ""
}

// validate refuses choices that no reading has.
func (r *Readings) validate() error {
	for i := range readings {
		if c := *readings[i].field(r); int(c) >= len(readings[i].Values) {
			return fmt.Errorf("bam: reading %s: choice %d of %d", readings[i].Name, c, len(readings[i].Values))
		}
	}
	return nil
}
