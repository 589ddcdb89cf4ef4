package qce

import (
	"fmt"

	"github.com/qcemu/qcemu/devices/reg"
)

// Bank is a register, or Count equal ones four bytes apart.
type Bank struct {
	Off   uint32
	Count int
	Since uint32 // first VERSION that has it, 0 for all
	// String: the words of the bank are a byte string, so the byte order of a
	// written word is that of CONFIG.LITTLE_ENDIAN_MODE at the time of the
	// write (datasheet §15).
	String bool
	reg.Register

	// What each write needs to know.
	implemented uint32 // Implemented()
	role        role
}

// role says what becomes of a write to a register.
type role uint8

const (
	stored   role = iota
	dataPort      // input by registers
	starts        // GO
	cleared       // STATUS and STATUS2: the engine's own bits
	fixed         // read-only
)

func roleOf(off uint32, a reg.Access) role {
	switch {
	case off == DataIn0:
		return dataPort
	case IsGo(off):
		return starts
	case off == Status || off == Status2:
		return cleared
	case a.ReadOnly():
		return fixed
	}
	return stored
}

func one(off uint32, r reg.Register) Bank { return words(off, 1, r) }

func words(off uint32, n int, r reg.Register) Bank {
	return Bank{Off: off, Count: n, Register: r, implemented: r.Implemented(), role: roleOf(off, r.Access)}
}

func text(off uint32, n int, r reg.Register) Bank {
	b := words(off, n, r)
	b.String = true
	return b
}

func since(version uint32, b Bank) Bank {
	b.Since = version
	return b
}

// Versions at which registers or behaviour came (datasheet §12).
const (
	version541 = 0x05040001
	version55  = 0x05050000
	version553 = 0x05050003
	version56  = 0x05060000
	version58  = 0x05080000
	version59  = 0x05090000
)

var versionFields = []reg.Field{
	reg.Bits(31, 24, "MAJOR", ""), reg.Bits(23, 16, "MINOR", ""), reg.Bits(15, 0, "STEP", ""),
}

var goFields = []reg.Field{
	reg.Bit(0, "GO", "start the operation"),
	reg.Bit(1, "CLR_CNTXT", "clear keys and IVs when the operation ends"),
	reg.Bit(2, "RESULTS_DUMP", "append the result dump to the output"),
	reg.Bit(3, "RESULTS_DUMP_USE_OUT_SID", "newer cores"),
}

// Registers is the register file of all versions, in order of offsets.
var Registers = []Bank{
	one(Version, reg.Register{Name: "VERSION", Access: reg.RO, Fields: versionFields, Source: "§12 [D]", Doc: "Core version; a write is harmless and the official dummy access."}),
	one(LibVersion, reg.Register{Name: "LIB_VERSION", Access: reg.RO, Fields: versionFields, Source: "§13 [D]", Doc: "Version of the crypto library block.", Unused: true}),
	one(FIPSID, reg.Register{Name: "FIPS_ID", Access: reg.RO, Fields: []reg.Field{reg.Bits(15, 0, "ID", "")}, Source: "§13 [D]", Doc: "FIPS identification.", Unused: true}),
	words(DataIn0, 4, reg.Register{Name: "DATA_IN", Access: reg.WO, Source: "§13 [D]", Doc: "Data port of the register path, input."}),
	words(DataOut0, 4, reg.Register{Name: "DATA_OUT", Access: reg.RO, Source: "§13 [D]", Doc: "Data port of the register path, output."}),

	one(Status, reg.Register{Name: "STATUS", Fields: statusFields, Source: "§14 [D]", Doc: "State and errors; writing 0 clears."}),
	one(Status2, reg.Register{Name: "STATUS2", Fields: status2Fields, Source: "§14 [D]", Doc: "More errors, and the BAM's lock."}),
	one(EnginesAvail, reg.Register{Name: "ENGINES_AVAIL", Access: reg.RO, Fields: enginesFields, Source: "§12 [D]", Doc: "What this core is built with."}),
	one(FIFOSizes, reg.Register{Name: "FIFO_SIZES", Access: reg.RO, Fields: []reg.Field{reg.Bits(7, 0, "DIN", "words of the input FIFO"), reg.Bits(15, 8, "DOUT", "words of the output FIFO")}, Source: "§13 [D]", Doc: "Depths of the register path's FIFOs."}),
	one(SegSize, reg.Register{Name: "SEG_SIZE", Source: "§14 [D]", Doc: "Bytes that the operation takes from its input."}),
	one(BISTStatus, reg.Register{Name: "BIST_STATUS", Access: reg.RO, Source: "§13 [D]", Doc: "Result of each self-test.", Unused: true}),
	one(BISTFinish, reg.Register{Name: "BIST_FINISH", Access: reg.RO, Source: "§13 [D]", Doc: "Self-tests that have ended.", Unused: true}),
	since(version56, one(Status3, reg.Register{Name: "STATUS3", Fields: []reg.Field{
		reg.Bit(0, "TIMER_EXPIRED", ""), reg.Bit(4, "PIPE_KEY_TIMER_ERR", ""), reg.Bit(8, "PAUSE_DET", ""), reg.Bit(12, "PIPE_KEY_PAUSE_ERR", ""), reg.Bits(23, 16, "KEY_INDEX", ""),
	}, Source: "§13 [D]", Doc: "State of the pipe keys.", Unused: true})),
	one(GoProc, reg.Register{Name: "GOPROC", Access: reg.WO, Fields: goFields, Source: "§14 [D]", Doc: "Starts the operation."}),
	since(version56, words(0x124, 2, reg.Register{Name: "STATUS4", Access: reg.RO, Source: "§13 [D]", Doc: "STATUS4 and STATUS5: key timers.", Unused: true})),
	since(version56, words(0x130, 3, reg.Register{Name: "KEY_TIMER", Access: reg.RO, Source: "§13 [D]", Doc: "Mirrors of the pipe and global key timers.", Unused: true})),
	since(version56, one(0x13c, reg.Register{Name: "STATUS6", Access: reg.RO, Source: "§13 [D]", Doc: "State of the key table.", Unused: true})),
	since(version56, one(0x140, reg.Register{Name: "ENGINES_AVAIL2", Access: reg.RO, Source: "§13 [D]", Doc: "More of what this core is built with.", Unused: true})),
	since(version56, one(0x144, reg.Register{Name: "COMMON_KEY_SEL", Source: "§13 [D]", Doc: "Choice of a common key.", Unused: true})),
	since(version56, words(0x180, 3, reg.Register{Name: "PARITY", Source: "§13 [D]", Doc: "PARITY, KP_LS and CLIB_LS.", Unused: true})),
	since(version56, one(0x1c0, reg.Register{Name: "FIPS_APPROVED", Access: reg.RO, Source: "§13 [D]", Doc: "", Unused: true})),
	since(version56, one(0x1e0, reg.Register{Name: "FIPS_NON_APPROVED", Access: reg.RO, Source: "§13 [D]", Doc: "", Unused: true})),
	since(version56, words(0x1f0, 2, reg.Register{Name: "IRQ_STTS", Access: reg.RO, Source: "§13 [D]", Doc: "SEC_IRQ_STTS and NSEC_IRQ_STTS.", Unused: true})),

	one(EncrSegCfg, reg.Register{Name: "ENCR_SEG_CFG", Fields: encrFields, Source: "§14 [D]", Doc: "Cipher, mode and direction."}),
	one(EncrSegSize, reg.Register{Name: "ENCR_SEG_SIZE", Source: "§14 [D]", Doc: "Bytes of the ciphered region."}),
	one(EncrSegStart, reg.Register{Name: "ENCR_SEG_START", Source: "§14 [D]", Doc: "First byte of the ciphered region in the segment."}),
	text(CntrIV0, 4, reg.Register{Name: "CNTR_IV", Source: "§15 [C]", Doc: "IV, counter or tweak number; afterwards that of the next operation."}),
	one(CntrMask, reg.Register{Name: "CNTR_MASK", Source: "§14 [D]", Doc: "Bits of CNTR3_IV3 that count."}),
	text(EncrCCMInitCnt0, 4, reg.Register{Name: "ENCR_CCM_INIT_CNTR", Source: "§18.5 [D]", Doc: "Counter block that masks the tag."}),
	one(EncrXTSDUSize, reg.Register{Name: "ENCR_XTS_DU_SIZE", Fields: []reg.Field{reg.Bits(19, 0, "SIZE", "bytes of a data unit")}, Source: "§14 [D]", Doc: "The tweak number grows by one at each data unit."}),
	one(CntrMask2, reg.Register{Name: "CNTR_MASK2", Source: "§14 [D]", Doc: "Bits of CNTR2_IV2 that count."}),
	one(CntrMask1, reg.Register{Name: "CNTR_MASK1", Source: "§14 [D]", Doc: "Bits of CNTR1_IV1 that count."}),
	one(CntrMask0, reg.Register{Name: "CNTR_MASK0", Source: "§14 [D]", Doc: "Bits of CNTR0_IV0 that count."}),
	since(version58, one(GCMIVLength, reg.Register{Name: "GCM_IV_LENGTH", Source: "§13 [D]", Doc: "Bytes of CNTR_IV that are a GCM IV; 0: it is the first counter block [I]."})),

	one(AuthSegCfg, reg.Register{Name: "AUTH_SEG_CFG", Fields: authFields, Source: "§14 [D]", Doc: "Hash or MAC, and where in the data path."}),
	one(AuthSegSize, reg.Register{Name: "AUTH_SEG_SIZE", Source: "§14 [D]", Doc: "Bytes of the authenticated region."}),
	one(AuthSegStart, reg.Register{Name: "AUTH_SEG_START", Source: "§14 [D]", Doc: "First byte of the authenticated region in the segment."}),
	since(version58, one(0x30c, reg.Register{Name: "AUTH_SHA3_SQUEEZE_CNTR", Fields: []reg.Field{reg.Bits(30, 0, "COUNT", ""), reg.Bit(31, "RESTORE", "")}, Source: "§13 [D]", Doc: "SHA-3 output position.", Unused: true})),
	text(AuthIV0, 16, reg.Register{Name: "AUTH_IV", Source: "§15 [C]", Doc: "State of the hash before the operation; afterwards its result."}),
	text(AuthInfoNonce0, 4, reg.Register{Name: "AUTH_INFO_NONCE", Source: "§18.5 [D]", Doc: "First block of a CCM authentication (B0)."}),
	words(AuthByteCnt0, 4, reg.Register{Name: "AUTH_BYTECNT", Source: "§18.2 [C]", Doc: "Bytes hashed before, low word first."}),
	text(AuthExpMAC0, 8, reg.Register{Name: "AUTH_EXP_MAC", Source: "§13 [D]", Doc: "MAC to compare with."}),
	since(version541, text(AuthExpMAC0+8*4, 8, reg.Register{Name: "AUTH_EXP_MAC8", Source: "§13 [D]", Doc: "Words 8 to 15 of AUTH_EXP_MAC; present since 5.4.1 inferred."})),
	one(ConfigReg, reg.Register{Name: "CONFIG", Reset: configParking, Fields: configFields, Source: "§14 [D]; reset value [I]", Doc: "Byte order, data path, pipe set, interrupt masks."}),
	since(version56, one(0x404, reg.Register{Name: "KM_KEY_INDEX", Source: "§13 [D]", Doc: "", Unused: true})),
	since(version56, one(0x408, reg.Register{Name: "PWR_CTRL", Source: "§13 [D]", Doc: "", Unused: true})),
	since(version56, words(0x410, 8, reg.Register{Name: "QACTIVE", Source: "§13 [D]", Doc: "", Unused: true})),
	since(version58, text(0x440, 34, reg.Register{Name: "AUTH_IV16", Source: "§13 [D]", Doc: "AUTH_IV16 to AUTH_IV49, SHA-3 state.", Unused: true})),
	since(version55, one(0x500, reg.Register{Name: "DATA_PATT_PROC_CFG", Source: "§13 [D]", Doc: "Pattern encryption (CENC).", Unused: true})),
	since(version55, one(0x504, reg.Register{Name: "DATA_PARTIAL_BLOCK_PROC_CFG", Source: "§13 [D]", Doc: "Partial blocks (CENC).", Unused: true})),
	one(GoProcQCKey, reg.Register{Name: "GOPROC_QC_KEY", Access: reg.WO, Fields: goFields, Source: "§13 [I]", Doc: "Starts the operation with the vendor's hardware key."}),
	one(GoProcOEMKey, reg.Register{Name: "GOPROC_OEM_KEY", Access: reg.WO, Fields: goFields, Source: "§13 [I]", Doc: "Starts the operation with the device maker's hardware key."}),
	text(EncrKey0, 8, reg.Register{Name: "ENCR_KEY", Access: reg.WO, Secret: true, Source: "§13 [I]", Doc: "Cipher key."}),
	text(EncrXTSKey0, 8, reg.Register{Name: "ENCR_XTS_KEY", Access: reg.WO, Secret: true, Source: "§13 [I]", Doc: "Tweak key of XTS."}),
	text(AuthKey0, 16, reg.Register{Name: "AUTH_KEY", Access: reg.WO, Secret: true, Source: "§13 [I]", Doc: "Key of the MAC."}),
	one(0x5004, reg.Register{Name: "DEBUG", Source: "§13 [D]", Doc: "Debug register of old boot loaders.", Unused: true}),
}

// Name names the register at an offset, with its index when it is one of a
// bank; it is the offset itself where there is none.
func Name(off uint32) string {
	for i := range Registers {
		b := &Registers[i]
		if off < b.Off || off >= b.Off+4*uint32(b.Count) {
			continue
		}
		if b.Count == 1 {
			return b.Register.Name
		}
		return fmt.Sprintf("%s%d", b.Register.Name, (off-b.Off)/4)
	}
	return fmt.Sprintf("%#x", off)
}

// Section is the register file as a document shows it.
func Section() reg.Section {
	s := reg.Section{
		Title:   "QCE",
		Intro:   "Offsets are from the engine's base. A register of a later core reads 0 and ignores writes on an earlier one.",
		Columns: []string{"offset", "since"},
	}
	for i := range Registers {
		b := &Registers[i]
		off := fmt.Sprintf("0x%03x", b.Off)
		if b.Count > 1 {
			off += fmt.Sprintf("…0x%03x", b.Off+4*uint32(b.Count-1))
		}
		from := ""
		if b.Since != 0 {
			from = fmt.Sprintf("%d.%d.%d", b.Since>>24, b.Since>>16&0xff, b.Since&0xffff)
		}
		s.Rows = append(s.Rows, reg.Row{Register: &b.Register, Offsets: []string{off, from}})
	}
	return s
}
