package qce

import "github.com/qcemu/qcemu/devices/trace"

// Rules of the engine that software can break. Off in the event is the
// register; Value and Size are as the comment says.
var (
	// Off, Value: what was written.
	ruleBusyWrite = rule("QCE-CFG-001", trace.Error, "register written while an operation runs", "§19 [D]", "qce_setup_regs_*")
	// Value: of GOPROC.
	ruleBusyGo = rule("QCE-CFG-002", trace.Error, "GO while an operation runs", "§19 [D]", "qce_crypto_go")
	ruleNoAlg  = rule("QCE-CFG-003", trace.Error, "GO with neither cipher nor hash configured", "§14 [I]", "qce_setup_regs_*")
	// Off: the register, Value: what is in it.
	ruleBadAlg = rule("QCE-CFG-004", trace.Error, "combination of algorithms that this engine does not have", "§12, §14 [D]", "qce_encr_cfg, qce_auth_cfg")
	// Size: the region's end.
	ruleEncrRegion = rule("QCE-CFG-005", trace.Error, "ciphered region reaches past SEG_SIZE", "§14 [D]", "qce_setup_regs_*")
	ruleAuthRegion = rule("QCE-CFG-006", trace.Error, "authenticated region reaches past SEG_SIZE", "§14 [D]", "qce_setup_regs_*")
	// Size: of the region.
	ruleEncrBlock = rule("QCE-CFG-007", trace.Error, "ciphered region is not a multiple of the block; the rest passes unchanged", "§18 [C]", "qce_skcipher_crypt")
	ruleAuthBlock = rule("QCE-CFG-008", trace.Error, "part of a hash without LAST is not a multiple of the block; the rest is not hashed", "§18.2 [D]", "qce_ahash_update")
	// Value: XTS_DU_SIZE.
	ruleDataUnit = rule("QCE-CFG-009", trace.Warning, "XTS data unit of 0 bytes, or not a multiple of 16", "§14 [D]", "qce_xtskey")
	// Off: the mask.
	ruleCntrMask = rule("QCE-CFG-010", trace.Warning, "counter mask is not all ones: the counter is narrower than 128 bits", "§14 [D]", "qce_setup_regs_*")
	// Value: number of writes.
	ruleForeign = rule("QCE-CFG-011", trace.Error, "another EE wrote registers between the first write of an operation's configuration and its GO", "§8, §24 [D]", "no lock around qce_setup_regs_*")
	// Off: the register, Value: the EE.
	ruleStaleCfg  = rule("QCE-CFG-012", trace.Warning, "operation uses a register that another EE wrote last, before the last GO", "§23 [C]", "qce_setup_regs_*")
	ruleBigEndian = rule("QCE-CFG-013", trace.Info, "data phase in big-endian mode, which no driver uses; data is not swapped", "§15 [?]", "qce_config_reg")
	ruleZeroSize  = rule("QCE-CFG-014", trace.Warning, "operation on 0 bytes", "§16.5 [D]", "qce_*_async_req_handle")
	// Off, Value.
	ruleNonceWords = rule("QCE-CFG-015", trace.Warning, "CCM with other than 4 nonce words", "§18.5 [D]", "qce_auth_cfg")
	// Size: bytes of tag that the region holds.
	ruleTagRegion = rule("QCE-CFG-016", trace.Error, "decryption with a ciphered region too short for its tag", "§18.5 [D]", "qce_setup_regs_aead")
	ruleFirstIV   = rule("QCE-CFG-017", trace.Warning, "hash starts with FIRST and byte count 0, but not from the standard state", "§18.2 [C]", "qce_setup_regs_ahash")
	// Value: the pipe set.
	ruleNoPipeSet      = rule("QCE-PIPE-001", trace.Error, "GO on a pipe set that the engine does not have", "§14 [D]", "qce_config_reg")
	ruleForeignPipeSet = rule("QCE-PIPE-002", trace.Error, "GO on a pipe set of another EE", "§14 [D]", "qce_config_reg")
	ruleOtherPipeSet   = rule("QCE-PIPE-003", trace.Warning, "GO came through a pipe of another set than the one selected", "§14 [C]", "qce_config_reg")

	ruleXTSKeys = rule("QCE-KEY-001", trace.Info, "XTS with two equal keys; the engine does not check", "§15 [D]", "qce_skcipher_setkey")
	// Size: number of key words that are not 0.
	ruleKeysLeft = rule("QCE-KEY-002", trace.Info, "keys left in the engine when the lock was released", "§14 [D]", "qce_crypto_go (no CLR_CNTXT)")
	// Off, Value.
	ruleHWKey    = rule("QCE-KEY-003", trace.Error, "key selected that is not there (hardware, pipe or common key)", "§14 [D]", "")
	ruleWeakDES  = rule("QCE-KEY-004", trace.Info, "weak DES key; the engine does not check, nor does it check parity", "§18.7 [I]", "qce_des_setkey")
	ruleEqual3D  = rule("QCE-KEY-005", trace.Info, "3DES with equal keys; the engine does not check", "§18.7 [I]", "qce_des3_setkey")
	ruleKeyWords = rule("QCE-KEY-006", trace.Error, "more key words written than the key size field has: the key is cut short", "§28 [C]", "qce_setup_regs_aead (AES-192)")

	// Size: SEG_SIZE.
	ruleSurplus  = rule("QCE-DATA-001", trace.Info, "input goes on after SEG_SIZE", "§16.3 [C]", "qce_ahash_async_req_handle, qce_skcipher_async_req_handle")
	ruleNoEOT    = rule("QCE-DATA-010", trace.Info, "the input's last descriptor has no EOT: only SEG_SIZE says where it ends", "§16.1 [C]", "qce_dma_prep_sgs")
	ruleEarlyEOT = rule("QCE-DATA-002", trace.Error, "end of transfer before SEG_SIZE: the engine waits for the rest", "§16.3 [C]", "qce_dma_prep_sgs (too little), qce_setup_regs_* (SEG_SIZE)")
	// Size: bytes dropped.
	ruleStale     = rule("QCE-DATA-003", trace.Error, "bytes of an earlier request waited in the pipe when the operation started", "§16.3 [C]", "qce_dma_terminate_all")
	ruleDataFault = rule("QCE-DATA-004", trace.Error, "bus error while data moved", "§19 [D]", "qce_dma_prep_sgs")
	ruleMidReset  = rule("QCE-DATA-005", trace.Warning, "pipe reset while an operation used it", "§7 [C]", "bam_dma_terminate_all, bam_chan_init_hw (first use of the pipe: issue tx before rx)")
	// Off.
	rulePIOOver  = rule("QCE-DATA-006", trace.Error, "DATA_IN written without room, or without an operation that takes it", "§19 [D]", "")
	rulePIOUnder = rule("QCE-DATA-007", trace.Error, "DATA_OUT read without output there", "§19 [D]", "")

	// Off; Value: what was written, Size 1 for a read.
	ruleUnmodelled = rule("QCE-REG-001", trace.Info, "register that the model does not have; each once", "§13 [I]", "")
	// Off, Value.
	ruleReadOnly   = rule("QCE-REG-002", trace.Warning, "write to a read-only register", "§13 [D]", "")
	ruleReserved   = rule("QCE-REG-003", trace.Warning, "reserved bits written", "§14 [D]", "")
	ruleWriteOnly  = rule("QCE-REG-004", trace.Info, "read of a write-only register", "§13 [C]", "")
	ruleUnaligned  = rule("QCE-REG-005", trace.Error, "access that is not an aligned word", "§13 [C]", "")
	ruleForeignCPU = rule("QCE-REG-006", trace.Warning, "access by a CPU while another EE holds the lock", "§8 [D]", "qce_check_status")
)

func init() { ruleUnmodelled.PerRegister = true }

// Rules are all rules of the engine, in order of their IDs.
var Rules = []*trace.Rule{
	ruleBusyWrite, ruleBusyGo, ruleNoAlg, ruleBadAlg, ruleEncrRegion, ruleAuthRegion, ruleEncrBlock, ruleAuthBlock,
	ruleDataUnit, ruleCntrMask, ruleForeign, ruleStaleCfg, ruleBigEndian, ruleZeroSize, ruleNonceWords, ruleTagRegion, ruleFirstIV,
	ruleSurplus, ruleNoEOT, ruleEarlyEOT, ruleStale, ruleDataFault, ruleMidReset, rulePIOOver, rulePIOUnder,
	ruleXTSKeys, ruleKeysLeft, ruleHWKey, ruleWeakDES, ruleEqual3D, ruleKeyWords,
	ruleNoPipeSet, ruleForeignPipeSet, ruleOtherPipeSet,
	ruleUnmodelled, ruleReadOnly, ruleReserved, ruleWriteOnly, ruleUnaligned, ruleForeignCPU,
}

func rule(id string, s trace.Severity, title, source, driver string) *trace.Rule {
	return &trace.Rule{ID: id, Title: title, Severity: s, Source: "datasheet " + source, Driver: driver}
}
