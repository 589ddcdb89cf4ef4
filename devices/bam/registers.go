package bam

import "github.com/qcemu/qcemu/devices/reg"

// Reg names a register.
type Reg uint8

// The registers, in the order of the documentation.
const (
	None Reg = iota

	BAMCtrl
	BAMRevision
	SWRevision
	BAMNumPipes
	BAMTimer
	BAMTimerCtrl
	BAMDescCntTrshld
	IRQSrcs
	IRQSrcsMsk
	IRQSrcsUnmasked
	BAMIRQStts
	BAMIRQClr
	BAMIRQEn
	IRQSICSel
	IRQDest
	PeriphIRQDest
	AHBMasterErrCtrls
	AHBMasterErrAddr
	AHBMasterErrAddrLSB
	AHBMasterErrAddrMSB
	AHBMasterErrData
	TrustReg
	TestBusSel
	TestBusReg
	CnfgBits
	CnfgBits2

	IRQSrcsEE
	IRQSrcsMskEE
	IRQSrcsUnmaskedEE
	PipeAttrEE

	PTrustReg
	PCtrl
	PRst
	PHalt
	PIRQStts
	PIRQClr
	PIRQEn
	PTimer
	PTimerCtrl
	PPrdcrSdbnd
	PCnsmrSdbnd
	PSWOfsts
	PAUPSMCntxt1
	PPSMCntxt2
	PPSMCntxt3
	PPSMCntxt4
	PPSMCntxt5
	PEvntReg
	PDescFIFOAddr
	PFIFOSizes
	PDataFIFOAddr
	PEvntGenTrshld
	PEvntDestAddr
	PDFCntxt
	PRetrCntxt
	PSICntxt
	PIRQDestAddr
	PPSMCntxt3LSB
	PPSMCntxt3MSB
	PDescFIFOAddrLSB
	PDescFIFOAddrMSB
	PDataFIFOAddrMSB
	PEvntDestAddrMSB

	numRegs
)

func (r Reg) String() string {
	if r < numRegs {
		return registers[r].Name
	}
	return "?"
}

// RegByName finds a register by its name.
func RegByName(name string) (Reg, bool) {
	for r := None + 1; r < numRegs; r++ {
		if registers[r].Name == name {
			return r, true
		}
	}
	return None, false
}

// Register returns the description of the register.
func (r Reg) Register() *reg.Register { return &registers[min(r, numRegs)%numRegs].Register }

// Bits that the model acts on. The tables below name them, and all others.
const (
	ctrlSWRst = 1 << 0
	ctrlEN    = 1 << 1

	revCmdDescEn  = 1 << 23
	revInactivTmr = 1 << 19

	globalIRQ = 1 << 31 // in the source registers

	bamIRQHresp = 1 << 1
	bamIRQTimer = 1 << 4

	cnfgCmdEnable = 1 << 27

	trustRstBlock = 1 << 7

	timerRst  = 1 << 31 // 0: held in reset
	timerRun  = 1 << 30
	timerMode = 1 << 29

	pctrlEN        = 1 << 1
	pctrlDirection = 1 << 3
	pctrlSysStrm   = 1 << 4
	pctrlSysMode   = 1 << 5
	pctrlGroupLo   = 16

	phaltHalt       = 1 << 0
	phaltProdHalted = 1 << 1
	phaltPipeEmpty  = 1 << 3
	phaltStored     = phaltHalt | 1<<4

	sdbndNWD      = 2 << 16 // CTRL value of an outstanding NWD
	sdbndWait4Ack = 1 << 23
)

// Pipe events: bits of P_IRQ_STTS, P_IRQ_CLR and P_IRQ_EN (§6.2).
const (
	IRQPrcsdDesc = 1 << iota // a descriptor with INT is finished
	IRQTimer                 // the inactivity timer ran out
	IRQWake
	IRQOutOfDesc // no descriptor left
	IRQErr
	IRQTrnsfrEnd // a descriptor with EOT is finished, or the peripheral ended the transfer
	IRQPipeRstError
	IRQHrespErr // bus error
)

// scope says how often a register exists.
type scope uint8

const (
	global scope = iota
	perEE
	perPipe
)

func (s scope) count() int { return [...]int{1, MaxEEs, MaxPipes}[s] }

// place is where a register stands in a layout: base + index·stride.
type place struct{ base, stride uint32 }

const absent = ^uint32(0)

// entry is one line of the register table.
type entry struct {
	reg.Register
	scope scope
	at    [numLayouts]place
}

// The offsets of a register in the four layouts. Strides belong to the kind of
// register (§2.1): v1.3 packs the pipes, and their event part more densely.

func inGlobal(v13, v14, v17, v20 uint32) [numLayouts]place {
	return [numLayouts]place{{v13, 0}, {v14, 0}, {v17, 0}, {v20, 0}}
}

func inEE(v13, v14, v17, v20 uint32) [numLayouts]place {
	return [numLayouts]place{{v13, 0x80}, {v14, 0x80}, {v17, 0x1000}, {v20, 0x1000}}
}

func inPipe(v13, v14, v17, v20 uint32) [numLayouts]place {
	return [numLayouts]place{{v13, 0x80}, {v14, 0x1000}, {v17, 0x1000}, {v20, 0x1000}}
}

func inEvent(v13, v14, v17, v20 uint32) [numLayouts]place {
	return [numLayouts]place{{v13, 0x40}, {v14, 0x1000}, {v17, 0x1000}, {v20, 0x1000}}
}

const (
	linux  = "§2.1 [D]"           // offsets known to Linux
	vendor = "§2.2 [D]; v2.0 [I]" // offsets known to the vendor's driver only
	older  = "§2.2 [D]"           // the same, not in v2.0
	na     = absent               // shorter in the table
)

var sourceFields = []reg.Field{
	reg.Bit(31, "BAM_IRQ", "a global event"),
	reg.Bits(30, 0, "P_IRQ", "a bit for each pipe with an enabled event"),
}

var globalIRQFields = []reg.Field{
	reg.Bit(1, "HRESP_ERR", "bus error on an access of the BAM's master"),
	reg.Bit(2, "ERROR", "protocol error, e.g. peripheral access to a disabled pipe; never raised by the model"),
	reg.Bit(3, "EMPTY", "BAM-Lite only; never raised by the model"),
	reg.Bit(4, "TIMER", "the global inactivity timer ran out"),
}

var pipeIRQFields = []reg.Field{
	reg.Bit(0, "PRCSD_DESC", "a descriptor with INT is finished"),
	reg.Bit(1, "TIMER", "the pipe's inactivity timer ran out"),
	reg.Bit(2, "WAKE", "the peripheral woke up; never raised by the model"),
	reg.Bit(3, "OUT_OF_DESC", "no descriptor left"),
	reg.Bit(4, "ERR", "pipe error"),
	reg.Bit(5, "TRNSFR_END", "a descriptor with EOT is finished, or the peripheral ended the transfer"),
	reg.Bit(6, "PIPE_RST_ERROR", "pipe reset failed; never raised by the model"),
	reg.Bit(7, "HRESP_ERR", "bus error on an access for this pipe; in v1.3 ERR stands for it"),
}

var timerCtrlFields = []reg.Field{
	reg.Bit(31, "TIMER_RST", "0 holds the timer in reset"),
	reg.Bit(30, "RUN", "the timer runs"),
	reg.Bit(29, "MODE", "0 one-shot; periodic mode does not exist in hardware"),
	reg.Bits(15, 0, "TRSHLD", "time to the event, in eighths of a millisecond"),
}

// registers is the register table: description, scope and place of each.
var registers = [numRegs]entry{
	None: {Register: reg.Register{Name: "none"}, at: inGlobal(na, na, na, na)},

	BAMCtrl: {Register: reg.Register{Name: "BAM_CTRL", Source: linux, Doc: "Resets and enables the BAM.",
		Fields: []reg.Field{
			reg.Bit(0, "SW_RST", "1 holds the whole BAM in reset"),
			reg.Bit(1, "EN", "enables the BAM"),
			reg.Bit(4, "EN_ACCUM", ""),
			reg.Bits(10, 5, "TESTBUS_SEL", "older versions"),
			reg.Bits(14, 13, "DESC_CACHE_SEL", ""),
			reg.Bit(15, "CACHED_DESC_STORE", ""),
			reg.Bit(16, "IBC_DISABLE", ""),
			reg.Bits(18, 17, "LOCAL_CLK_GATING", ""),
			reg.Bit(19, "CACHE_MISS_ERR_RESP_EN", ""),
			reg.Bit(20, "MESS_ONLY_CANCEL_WB", ""),
		}}, at: inGlobal(0x0F80, 0x0000, 0x00000, 0x0000)},
	BAMRevision: {Register: reg.Register{Name: "BAM_REVISION", Access: reg.RO, Source: linux, Doc: "Says what the BAM is; the value is the profile's.",
		Fields: []reg.Field{
			reg.Bits(7, 0, "REVISION", "revision of the block, not the version in the device tree"),
			reg.Bits(11, 8, "NUM_EES", "execution environments"),
			reg.Bits(13, 12, "CE_BUFFER_SIZE", ""),
			reg.Bit(14, "AXI_ACTIVE", ""),
			reg.Bit(15, "USE_VMIDMT", ""),
			reg.Bit(16, "SECURED", ""),
			reg.Bit(17, "BAM_HAS_NO_BYPASS", ""),
			reg.Bit(18, "HIGH_FREQUENCY_BAM", ""),
			reg.Bit(19, "INACTIV_TMRS_EXST", "there are inactivity timers"),
			reg.Bit(20, "NUM_INACTIV_TMRS", "1: a single, global one"),
			reg.Bits(22, 21, "DESC_CACHE_DEPTH", "descriptors that a pipe caches, minus 1"),
			reg.Bit(23, "CMD_DESC_EN", "knows command descriptors"),
			reg.Bits(31, 24, "INACTIV_TMR_BASE", ""),
		}}, at: inGlobal(0x0F84, 0x0004, 0x01000, 0x1000)},
	SWRevision: {Register: reg.Register{Name: "SW_REVISION", Access: reg.RO, Source: vendor, Doc: "Version of the programming model; the value is the profile's.",
		Fields: []reg.Field{
			reg.Bits(31, 28, "MAJOR", ""),
			reg.Bits(27, 16, "MINOR", ""),
			reg.Bits(15, 0, "STEP", ""),
		}}, at: inGlobal(na, 0x80, 0x1004, 0x1004)},
	BAMNumPipes: {Register: reg.Register{Name: "BAM_NUM_PIPES", Access: reg.RO, Source: linux, Doc: "How many pipes there are; the value is the profile's.",
		Fields: []reg.Field{
			reg.Bits(7, 0, "NUM_PIPES", "pipes"),
			reg.Bits(15, 14, "DATA_ADDR_BUS_WIDTH", "0: 32, 1: 36, 2: 40 bits"),
			reg.Bits(23, 16, "PERIPH_NON_PIPE_GRP", ""),
			reg.Bits(31, 24, "BAM_NON_PIPE_GRP", ""),
		}}, at: inGlobal(0x0FBC, 0x003C, 0x01008, 0x1008)},
	BAMTimer: {Register: reg.Register{Name: "BAM_TIMER", Access: reg.RO, Source: vendor, Doc: "The global inactivity timer.",
		Fields: []reg.Field{reg.Bits(15, 0, "TIMER", "time since the last activity, in eighths of a millisecond")}},
		at: inGlobal(na, 0x40, 0x40, 0x40)},
	BAMTimerCtrl: {Register: reg.Register{Name: "BAM_TIMER_CTRL", Source: vendor, Doc: "Controls the global inactivity timer.", Fields: timerCtrlFields},
		at: inGlobal(na, 0x44, 0x44, 0x44)},
	BAMDescCntTrshld: {Register: reg.Register{Name: "BAM_DESC_CNT_TRSHLD", Source: linux, Unused: true, Doc: "How much descriptor size is shown to the peripheral at a time.",
		Fields: []reg.Field{reg.Bits(15, 0, "CNT_TRSHLD", "bytes")}},
		at: inGlobal(0x0F88, 0x0008, 0x00008, 0x0008)},
	IRQSrcs: {Register: reg.Register{Name: "BAM_IRQ_SRCS", Access: reg.RO, Source: linux, Doc: "Sources of all execution environments behind BAM_IRQ_SRCS_MSK; drives no line.", Fields: sourceFields},
		at: inGlobal(0x0F8C, 0x000C, 0x03010, 0x3010)},
	IRQSrcsMsk: {Register: reg.Register{Name: "BAM_IRQ_SRCS_MSK", Source: linux, Doc: "Mask of BAM_IRQ_SRCS.", Fields: sourceFields},
		at: inGlobal(0x0F90, 0x0010, 0x03014, 0x3014)},
	IRQSrcsUnmasked: {Register: reg.Register{Name: "BAM_IRQ_SRCS_UNMASKED", Access: reg.RO, Source: linux, Doc: "Sources of all execution environments.", Fields: sourceFields},
		at: inGlobal(0x0FB0, 0x0030, 0x03018, 0x3018)},
	BAMIRQStts: {Register: reg.Register{Name: "BAM_IRQ_STTS", Access: reg.RO, Source: linux, Doc: "Global events.", Fields: globalIRQFields},
		at: inGlobal(0x0F94, 0x0014, 0x00014, 0x0014)},
	BAMIRQClr: {Register: reg.Register{Name: "BAM_IRQ_CLR", Access: reg.W1C, Source: linux, Doc: "Clears bits of BAM_IRQ_STTS.", Fields: globalIRQFields},
		at: inGlobal(0x0F98, 0x0018, 0x00018, 0x0018)},
	BAMIRQEn: {Register: reg.Register{Name: "BAM_IRQ_EN", Source: linux, Doc: "Which global events become source 31.", Fields: globalIRQFields},
		at: inGlobal(0x0F9C, 0x001C, 0x0001C, 0x001C)},
	IRQSICSel: {Register: reg.Register{Name: "BAM_IRQ_SIC_SEL", Source: older, Unused: true, Doc: "Routing to the secondary interrupt controller."},
		at: inGlobal(0xFA0, na, na, na)},
	IRQDest: {Register: reg.Register{Name: "BAM_IRQ_DEST", Source: older, Unused: true, Doc: "Interrupt destination."},
		at: inGlobal(0xFB4, na, na, na)},
	PeriphIRQDest: {Register: reg.Register{Name: "BAM_PERIPH_IRQ_DEST", Source: older, Unused: true, Doc: "Interrupt destination in the peripheral."},
		at: inGlobal(0xFB8, na, na, na)},
	AHBMasterErrCtrls: {Register: reg.Register{Name: "BAM_AHB_MASTER_ERR_CTRLS", Access: reg.RO, Source: vendor, Doc: "What kind of access met the first bus error since HRESP_ERR was cleared.",
		Fields: []reg.Field{
			reg.Bits(1, 0, "HTRANS", "2: non-sequential"),
			reg.Bit(2, "HWRITE", "a write"),
			reg.Bits(4, 3, "HSIZE", "log2 of the bytes of a beat"),
			reg.Bits(7, 5, "HBURST", ""),
			reg.Bits(11, 8, "HPROT", ""),
			reg.Bits(16, 12, "HCID", ""),
			reg.Bit(17, "DIRECT_MODE", ""),
			reg.Bits(22, 18, "HVMID", "VMID of the pipe"),
			reg.Bit(23, "BAM_IDLE", ""),
			reg.Bit(24, "OPB_IDLE", ""),
			reg.Bit(25, "RB_IDLE", ""),
			reg.Bit(26, "CONFIG_IDLE", ""),
		}}, at: inGlobal(0xFA4, 0x24, 0x1024, 0x1024)},
	AHBMasterErrAddr: {Register: reg.Register{Name: "BAM_AHB_MASTER_ERR_ADDR", Access: reg.RO, Source: vendor, Doc: "Its address, low 32 bits."},
		at: inGlobal(0xFA8, 0x28, 0x1028, 0x1028)},
	AHBMasterErrAddrLSB: {Register: reg.Register{Name: "BAM_AHB_MASTER_ERR_ADDR_LSB", Access: reg.RO, Source: vendor, Doc: "The same."},
		at: inGlobal(na, na, 0x1100, 0x1100)},
	AHBMasterErrAddrMSB: {Register: reg.Register{Name: "BAM_AHB_MASTER_ERR_ADDR_MSB", Access: reg.RO, Source: vendor, Doc: "Its address above 32 bits."},
		at: inGlobal(na, 0x104, 0x1104, 0x1104)},
	AHBMasterErrData: {Register: reg.Register{Name: "BAM_AHB_MASTER_ERR_DATA", Access: reg.RO, Source: vendor, Doc: "Its data; always 0 in the model, since data may be secret."},
		at: inGlobal(0xFAC, 0x2C, 0x102C, 0x102C)},
	TrustReg: {Register: reg.Register{Name: "BAM_TRUST_REG", Source: vendor, Doc: "Security of the global part; writable by the controlling EE only.",
		Fields: []reg.Field{
			reg.Bits(2, 0, "BAM_EE", "EE that gets the global interrupt"),
			reg.Bit(7, "RST_BLOCK", "others than the controlling EE may not reset the BAM"),
			reg.Bits(12, 8, "VMID", ""),
			reg.Bit(13, "LOCK_EE_CTRL", "no effect in the model"),
		}}, at: inGlobal(0xFF0, 0x70, 0x2000, 0x2000)},
	TestBusSel: {Register: reg.Register{Name: "BAM_TEST_BUS_SEL", Source: vendor, Unused: true, Doc: "Selects a probe.",
		Fields: []reg.Field{
			reg.Bits(6, 0, "SEL", ""),
			reg.Bit(16, "CLK_ALWAYS_ON", ""),
			reg.Bit(17, "DATA_FLUSH", ""),
			reg.Bit(18, "DATA_ERASE", ""),
			reg.Bits(20, 19, "SW_EVENTS_SEL", ""),
			reg.Bit(21, "SW_EVENTS_ZERO", ""),
		}}, at: inGlobal(0xFF4, 0x74, 0x1010, 0x1010)},
	TestBusReg: {Register: reg.Register{Name: "BAM_TEST_BUS_REG", Access: reg.RO, Source: vendor, Unused: true, Doc: "The probe's value; always 0."},
		at: inGlobal(0xFF8, 0x78, 0x1014, 0x1014)},
	CnfgBits: {Register: reg.Register{Name: "BAM_CNFG_BITS", Source: linux, Doc: "Switches of hardware workarounds; only CMD_ENABLE has an effect in the model.",
		Fields: []reg.Field{
			reg.Bit(0, "ADML_INCR4_EN_N", ""), reg.Bit(1, "ADML_DEEP_CONS_FIFO", ""), reg.Bit(2, "PIPE_CNFG", ""), reg.Bit(3, "ADML_SYNC_BRIDGE", ""),
			reg.Bit(11, "FULL_PIPE", ""), reg.Bit(12, "NO_EXT_P_RST", ""), reg.Bit(13, "IBC_DISABLE", ""), reg.Bit(14, "SB_CLK_REQ", ""),
			reg.Bit(15, "PSM_CSW_REQ", ""), reg.Bit(16, "PSM_P_RES", ""), reg.Bit(17, "AU_P_RES", ""), reg.Bit(18, "SI_P_RES", ""),
			reg.Bit(19, "WB_P_RES", ""), reg.Bit(20, "WB_BLK_CSW", ""), reg.Bit(21, "WB_CSW_ACK_IDL", ""), reg.Bit(22, "WB_RETR_SVPNT", ""),
			reg.Bit(23, "WB_DSC_AVL_P_RST", ""), reg.Bit(24, "REG_P_EN", ""), reg.Bit(25, "PSM_P_HD_DATA", ""), reg.Bit(26, "AU_ACCUMED", ""),
			reg.Bit(27, "CMD_ENABLE", "command descriptors are executed; drivers read it to learn whether they may use them"),
			reg.Bit(28, "ZLT_W_CD_SUPPORT", ""), reg.Bit(29, "MULTIPLE_EVENTS_SIZE_EN", ""),
			reg.Bit(30, "MULTIPLE_EVENTS_DESC_AVAIL_EN", ""), reg.Bit(31, "AOS_OVERFLOW_PRVNT", ""),
		}}, at: inGlobal(0x0FFC, 0x007C, 0x0007C, 0x007C)},
	CnfgBits2: {Register: reg.Register{Name: "BAM_CNFG_BITS_2", Source: vendor, Unused: true, Doc: "More of them, in newer versions.",
		Fields: []reg.Field{
			reg.Bit(0, "NO_ACCEPT_AT_FIFO_FULL", ""), reg.Bit(1, "NO_SW_OFFSET_REVERT_BACK", ""),
			reg.Bit(2, "ACTIVE_PIPE_RST_SUPPORT", ""), reg.Bit(3, "SUP_GRP_LOCKER_RST_SUPPORT", ""),
		}}, at: inGlobal(na, na, 0x84, 0x84)},

	IRQSrcsEE: {Register: reg.Register{Name: "BAM_IRQ_SRCS_EE", Access: reg.RO, Source: linux, Doc: "Sources of this EE behind its mask; any bit drives the EE's line.", Fields: sourceFields},
		scope: perEE, at: inEE(0x1800, 0x0800, 0x03000, 0x3000)},
	IRQSrcsMskEE: {Register: reg.Register{Name: "BAM_IRQ_SRCS_MSK_EE", Source: linux, Doc: "Mask of BAM_IRQ_SRCS_EE.", Fields: sourceFields},
		scope: perEE, at: inEE(0x1804, 0x0804, 0x03004, 0x3004)},
	IRQSrcsUnmaskedEE: {Register: reg.Register{Name: "BAM_IRQ_SRCS_UNMASKED_EE", Access: reg.RO, Source: vendor, Doc: "Sources of this EE.", Fields: sourceFields},
		scope: perEE, at: inEE(0x1808, 0x808, 0x3008, 0x3008)},
	PipeAttrEE: {Register: reg.Register{Name: "BAM_PIPE_ATTR_EE", Access: reg.RO, Source: vendor, Doc: "What an EE may use of a BAM that another one controls.",
		Fields: []reg.Field{
			reg.Bit(31, "BAM_ENABLED", "BAM_CTRL.EN"),
			reg.Bits(30, 0, "P_ATTR", "pipes that belong to the EE"),
		}}, scope: perEE, at: inEE(na, 0x80C, 0x300C, 0x300C)},

	PTrustReg: {Register: reg.Register{Name: "P_TRUST_REG", Source: vendor, Doc: "Who owns the pipe; writable by the controlling EE only.",
		Fields: []reg.Field{
			reg.Bits(2, 0, "P_EE", "owner"),
			reg.Bits(7, 3, "P_SUP_GROUP", "super group, see the reading super-group"),
			reg.Bits(12, 8, "P_VMID", "VMID of its bus accesses"),
		}}, scope: perPipe, at: [numLayouts]place{{0x30, 0x80}, {0x1030, 0x1000}, {0x2020, 4}, {0x2020, 4}}},
	PCtrl: {Register: reg.Register{Name: "P_CTRL", Source: linux, Doc: "Mode and enable of a pipe.",
		Fields: []reg.Field{
			reg.Bit(1, "P_EN", "the pipe works"),
			reg.Bit(3, "P_DIRECTION", "1: producer (device to memory)"),
			reg.Bit(4, "P_SYS_STRM", "streaming: a producer gets no EOT; not modelled"),
			reg.Bit(5, "P_SYS_MODE", "1: system mode, 0: BAM-to-BAM, which is not modelled"),
			reg.Bit(6, "P_AUTO_EOB", "no effect in the model"),
			reg.Bits(8, 7, "AUTO_EOB_SEL", "no effect in the model"),
			reg.Bits(10, 9, "PREFETCH_LIMIT", "no effect in the model"),
			reg.Bit(11, "WRITE_NWD", "no effect in the model"),
			reg.Bits(20, 16, "LOCK_GROUP", "pipes of one group and EE do not lock each other out"),
		}}, scope: perPipe, at: inPipe(0x0000, 0x1000, 0x13000, 0xC000)},
	PRst: {Register: reg.Register{Name: "P_RST", Source: linux, Doc: "Resets a pipe: its registers and all that is in flight.",
		Fields: []reg.Field{reg.Bit(0, "P_SW_RST", "1 holds the pipe in reset")}},
		scope: perPipe, at: inPipe(0x0004, 0x1004, 0x13004, 0xC004)},
	PHalt: {Register: reg.Register{Name: "P_HALT", Source: linux, Doc: "Stops a pipe without losing its state.",
		Fields: []reg.Field{
			reg.Bit(0, "P_HALT", "stop"),
			reg.Bit(1, "P_PROD_HALTED", "read-only: a halted producer"),
			reg.Bit(2, "P_LAST_DESC_ZLT", "read-only, always 0 in the model"),
			reg.Bit(3, "P_PIPE_EMPTY", "read-only: nothing to do"),
			reg.Bit(4, "P_FORCE_DESC_FIFO_FULL", "no effect in the model"),
		}}, scope: perPipe, at: inPipe(0x0008, 0x1008, 0x13008, 0xC008)},
	PIRQStts: {Register: reg.Register{Name: "P_IRQ_STTS", Access: reg.RO, Source: linux, Doc: "Events of a pipe, enabled or not.", Fields: pipeIRQFields},
		scope: perPipe, at: inPipe(0x0010, 0x1010, 0x13010, 0xC010)},
	PIRQClr: {Register: reg.Register{Name: "P_IRQ_CLR", Access: reg.W1C, Source: linux, Doc: "Clears bits of P_IRQ_STTS.", Fields: pipeIRQFields},
		scope: perPipe, at: inPipe(0x0014, 0x1014, 0x13014, 0xC014)},
	PIRQEn: {Register: reg.Register{Name: "P_IRQ_EN", Source: linux, Doc: "Which events of a pipe become its source.", Fields: pipeIRQFields},
		scope: perPipe, at: inPipe(0x0018, 0x1018, 0x13018, 0xC018)},
	PTimer: {Register: reg.Register{Name: "P_TIMER", Access: reg.RO, Source: vendor, Doc: "The pipe's inactivity timer.",
		Fields: []reg.Field{reg.Bits(15, 0, "TIMER", "time since the last activity, in eighths of a millisecond")}},
		scope: perPipe, at: inPipe(0x1C, 0x101C, 0x1301C, 0xC01C)},
	PTimerCtrl: {Register: reg.Register{Name: "P_TIMER_CTRL", Source: vendor, Doc: "Controls the pipe's inactivity timer.", Fields: timerCtrlFields},
		scope: perPipe, at: inPipe(0x20, 0x1020, 0x13020, 0xC020)},
	PPrdcrSdbnd: {Register: reg.Register{Name: "P_PRDCR_SDBND", Access: reg.RO, Source: vendor, Doc: "Sideband of a producer, for debugging.",
		Fields: []reg.Field{
			reg.Bits(15, 0, "BYTES_FREE", "space left in the open descriptor"),
			reg.Bits(19, 16, "CTRL", "always 0 in the model"),
			reg.Bit(20, "TOGGLE", "always 0 in the model"),
			reg.Bit(24, "SB_UPDATED", "always 0 in the model"),
		}}, scope: perPipe, at: inPipe(0x24, 0x1024, 0x13024, 0xC024)},
	PCnsmrSdbnd: {Register: reg.Register{Name: "P_CNSMR_SDBND", Access: reg.RO, Source: vendor, Doc: "Sideband of a consumer; drivers poll CTRL to see whether an NWD is outstanding.",
		Fields: []reg.Field{
			reg.Bits(15, 0, "BYTES_AVAIL", "bytes left of the open descriptor"),
			reg.Bits(19, 16, "CTRL", "2: an NWD is outstanding"),
			reg.Bit(20, "TOGGLE", ""), reg.Bit(21, "ACK_TOGGLE_R", ""), reg.Bit(22, "ACK_TOGGLE", ""),
			reg.Bit(23, "WAIT_4_ACK", "waits for the acknowledgement"),
			reg.Bit(24, "NWD_TOGGLE_R", ""), reg.Bit(25, "NWD_TOGGLE", ""), reg.Bit(26, "SB_UPDATED", ""),
			reg.Bit(27, "ACK_ON_SUCCESS_TOGGLE", ""), reg.Bits(29, 28, "ACK_ON_SUCCESS_CTRL", ""), reg.Bit(30, "ACK_ON_SUCCESS_TOGGLE_R", ""),
		}}, scope: perPipe, at: inPipe(0x28, 0x1028, 0x13028, 0xC028)},

	PSWOfsts: {Register: reg.Register{Name: "P_SW_OFSTS", Access: reg.RO, Source: linux, Doc: "How far the pipe is; up to date before the status bits are.",
		Fields: []reg.Field{
			reg.Bits(15, 0, "SW_DESC_OFST", "offset of the first unfinished descriptor"),
			reg.Bits(31, 16, "SW_OFST_IN_DESC", "bytes done in it"),
		}}, scope: perPipe, at: inEvent(0x1000, 0x1800, 0x13800, 0xC800)},
	PAUPSMCntxt1: {Register: reg.Register{Name: "P_AU_PSM_CNTXT_1", Access: reg.RO, Source: vendor, Unused: true, Doc: "Debugging; always 0."},
		scope: perPipe, at: inEvent(0x1004, 0x1804, 0x13804, 0xC804)},
	PPSMCntxt2: {Register: reg.Register{Name: "P_PSM_CNTXT_2", Access: reg.RO, Source: vendor, Doc: "Debugging: the open descriptor.",
		Fields: []reg.Field{
			reg.Bit(31, "DESC_VALID", "a descriptor is open"),
			reg.Bit(30, "DESC_IRQ", "it has INT"),
			reg.Bit(29, "IRQ_DONE", ""), reg.Bits(28, 25, "GENERAL", ""), reg.Bits(24, 22, "CONS_STATE", ""),
			reg.Bits(21, 19, "PROD_SYS_STATE", ""), reg.Bits(18, 16, "PROD_B2B_STATE", ""),
			reg.Bits(15, 0, "DESC_SIZE", "its size"),
		}}, scope: perPipe, at: inEvent(0x1008, 0x1808, 0x13808, 0xC808)},
	PPSMCntxt3: {Register: reg.Register{Name: "P_PSM_CNTXT_3", Access: reg.RO, Source: vendor, Doc: "Debugging: its buffer address."},
		scope: perPipe, at: inEvent(0x100C, 0x180C, 0x1380C, 0xC80C)},
	PPSMCntxt4: {Register: reg.Register{Name: "P_PSM_CNTXT_4", Access: reg.RO, Source: vendor, Doc: "Debugging: its offset in the FIFO.",
		Fields: []reg.Field{reg.Bits(31, 16, "DESC_OFST", "offset"), reg.Bits(15, 0, "SAVED_ACCUMED", "always 0 in the model")}},
		scope: perPipe, at: inEvent(0x1010, 0x1810, 0x13810, 0xC810)},
	PPSMCntxt5: {Register: reg.Register{Name: "P_PSM_CNTXT_5", Access: reg.RO, Source: vendor, Doc: "Debugging: progress in it.",
		Fields: []reg.Field{reg.Bits(31, 16, "BLOCK_BYTE_CNT", "always 0 in the model"), reg.Bits(15, 0, "OFST_IN_DESC", "bytes done")}},
		scope: perPipe, at: inEvent(0x1014, 0x1814, 0x13814, 0xC814)},
	PEvntReg: {Register: reg.Register{Name: "P_EVNT_REG", Source: linux, Doc: "Publishes descriptors: everything up to the offset.",
		Fields: []reg.Field{
			reg.Bits(15, 0, "DESC_FIFO_PEER_OFST", "offset behind the last valid descriptor"),
			reg.Bits(31, 16, "BYTES_CONSUMED", "BAM-to-BAM only"),
		}}, scope: perPipe, at: inEvent(0x1018, 0x1818, 0x13818, 0xC818)},
	PDescFIFOAddr: {Register: reg.Register{Name: "P_DESC_FIFO_ADDR", Source: linux, Doc: "Base of the descriptor FIFO, low 32 bits, a multiple of 8."},
		scope: perPipe, at: inEvent(0x101C, 0x181C, 0x1381C, 0xC81C)},
	PFIFOSizes: {Register: reg.Register{Name: "P_FIFO_SIZES", Source: linux, Doc: "Sizes of the FIFOs.",
		Fields: []reg.Field{
			reg.Bits(15, 0, "DESC_FIFO_SIZE", "bytes, a multiple of 8"),
			reg.Bits(31, 16, "DATA_FIFO_SIZE", "BAM-to-BAM only"),
		}}, scope: perPipe, at: inEvent(0x1020, 0x1820, 0x13820, 0xC820)},
	PDataFIFOAddr: {Register: reg.Register{Name: "P_DATA_FIFO_ADDR", Source: linux, Unused: true, Doc: "BAM-to-BAM only."},
		scope: perPipe, at: inEvent(0x1024, 0x1824, 0x13824, 0xC824)},
	PEvntGenTrshld: {Register: reg.Register{Name: "P_EVNT_GEN_TRSHLD", Source: linux, Unused: true, Doc: "BAM-to-BAM only.",
		Fields: []reg.Field{reg.Bits(15, 0, "TRSHLD", "bytes")}},
		scope: perPipe, at: inEvent(0x1028, 0x1828, 0x13828, 0xC828)},
	PEvntDestAddr: {Register: reg.Register{Name: "P_EVNT_DEST_ADDR", Source: linux, Unused: true, Doc: "BAM-to-BAM only: the other pipe's P_EVNT_REG."},
		scope: perPipe, at: inEvent(0x102C, 0x182C, 0x1382C, 0xC82C)},
	PDFCntxt: {Register: reg.Register{Name: "P_DF_CNTXT", Access: reg.RO, Source: vendor, Unused: true, Doc: "Debugging; always 0."},
		scope: perPipe, at: inEvent(0x1030, 0x1830, 0x13830, 0xC830)},
	PRetrCntxt: {Register: reg.Register{Name: "P_RETR_CNTXT", Access: reg.RO, Source: vendor, Doc: "Debugging: where the pipe is.",
		Fields: []reg.Field{reg.Bits(31, 16, "DESC_OFST", "offset of the descriptor"), reg.Bits(15, 0, "OFST_IN_DESC", "bytes done in it")}},
		scope: perPipe, at: inEvent(0x1034, 0x1834, 0x13834, 0xC834)},
	PSICntxt: {Register: reg.Register{Name: "P_SI_CNTXT", Access: reg.RO, Source: vendor, Doc: "Debugging: where the pipe is.",
		Fields: []reg.Field{reg.Bits(15, 0, "DESC_OFST", "offset of the descriptor")}},
		scope: perPipe, at: inEvent(0x1038, 0x1838, 0x13838, 0xC838)},
	PIRQDestAddr: {Register: reg.Register{Name: "P_IRQ_DEST_ADDR", Source: older, Unused: true, Doc: "Where the interrupt goes."},
		scope: perPipe, at: inEvent(0x103C, na, na, na)},
	PPSMCntxt3LSB: {Register: reg.Register{Name: "P_PSM_CNTXT_3_LSB", Access: reg.RO, Source: vendor, Doc: "P_PSM_CNTXT_3 again."},
		scope: perPipe, at: inEvent(na, na, 0x13900, 0xC900)},
	PPSMCntxt3MSB: {Register: reg.Register{Name: "P_PSM_CNTXT_3_MSB", Access: reg.RO, Source: vendor, Doc: "Its address above 32 bits.",
		Fields: []reg.Field{reg.Bits(7, 0, "ADDR", "")}},
		scope: perPipe, at: inEvent(na, 0x1904, 0x13904, 0xC904)},
	PDescFIFOAddrLSB: {Register: reg.Register{Name: "P_DESC_FIFO_ADDR_LSB", Source: vendor, Doc: "P_DESC_FIFO_ADDR again."},
		scope: perPipe, at: inEvent(na, na, 0x13910, 0xC910)},
	PDescFIFOAddrMSB: {Register: reg.Register{Name: "P_DESC_FIFO_ADDR_MSB", Source: vendor, Doc: "Base of the descriptor FIFO above 32 bits, on a BAM with wide addresses.",
		Fields: []reg.Field{reg.Bits(7, 0, "ADDR", "4 bits for 36, 8 bits for 40 bit addresses")}},
		scope: perPipe, at: inEvent(na, 0x1914, 0x13914, 0xC914)},
	PDataFIFOAddrMSB: {Register: reg.Register{Name: "P_DATA_FIFO_ADDR_MSB", Source: vendor, Unused: true, Doc: "BAM-to-BAM only."},
		scope: perPipe, at: inEvent(na, 0x1924, 0x13924, 0xC924)},
	PEvntDestAddrMSB: {Register: reg.Register{Name: "P_EVNT_DEST_ADDR_MSB", Source: vendor, Unused: true, Doc: "BAM-to-BAM only."},
		scope: perPipe, at: inEvent(na, 0x1934, 0x13934, 0xC934)},
}
