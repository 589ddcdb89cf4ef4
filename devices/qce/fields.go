package qce

import "github.com/qcemu/qcemu/devices/reg"

var statusFields = []reg.Field{
	reg.Bit(0, "SW_ERR", "summary of the software errors"),
	reg.Bit(1, "OPERATION_DONE", "the operation has finished"),
	reg.Bit(2, "DIN_RDY", "register path: room for input"),
	reg.Bit(3, "DOUT_RDY", "register path: output waits"),
	reg.Bit(4, "ERR_INTR", "interrupt cause: error"),
	reg.Bit(5, "OP_DONE_INTR", "interrupt cause: done"),
	reg.Bit(6, "DIN_INTR", "interrupt cause: data in"),
	reg.Bit(7, "DOUT_INTR", "interrupt cause: data out"),
	reg.Bit(8, "AUTH_BUSY", "the authenticator works"),
	reg.Bit(9, "ENCR_BUSY", "the cipher works"),
	reg.Bits(13, 10, "CRYPTO_STATE", "internal state; encoding unknown, 0 in the model"),
	reg.Bit(14, "AXI_ERR", "bus error"),
	reg.Bit(15, "DIN_ERR", "input against the protocol"),
	reg.Bit(16, "DOUT_ERR", "output against the protocol"),
	reg.Bit(17, "CFG_CHNG_ERR", "a register was written while busy"),
	reg.Bit(18, "PIPE_ACTIVE_ERR", "wrong pipe set"),
	reg.Bit(19, "ACCESS_VIOL", "security violation"),
	reg.Bit(20, "HSD_ERR", "error on the BAM's side"),
	reg.Bits(25, 21, "DIN_SIZE_AVAIL", "free words of the input FIFO"),
	reg.Bits(30, 26, "DOUT_SIZE_AVAIL", "words in the output FIFO"),
	reg.Bit(31, "MAC_FAILED", "tag or MAC differs"),
}

var status2Fields = []reg.Field{
	reg.Bit(0, "LOCKED", "a pipe of the BAM holds the lock"),
	reg.Bit(1, "AXI_EXTRA", "more input than SEG_SIZE"),
	reg.Bit(2, "INVALID_ALGO_CFG", "no such combination of algorithms"),
	reg.Bit(3, "HMAC_KEY_ERR", ""),
	reg.Bit(16, "PIPE_KEY_PAUSE_ERR", ""),
	reg.Bit(24, "PIPE_KEY_TIMER_ERR", ""),
	reg.Bit(27, "HW_KEY_USAGE_ERR", "hardware key not there or not to be used so"),
	reg.Bit(28, "PIPE_KEY_USAGE_ERR", "pipe key not there"),
	reg.Bit(29, "KEY_ERR", "summary of the key errors"),
	reg.Bit(30, "BIST_BUSY", ""),
	reg.Bit(31, "BIST_ERROR", ""),
}

var enginesFields = []reg.Field{
	reg.Bit(0, "ENCR_AES", ""), reg.Bit(1, "DES", ""), reg.Bit(2, "ENCR_SNOW3G", ""), reg.Bit(3, "ENCR_KASUMI", ""),
	reg.Bit(4, "SHA", ""), reg.Bit(5, "SHA512", ""), reg.Bit(6, "AUTH_AES", ""), reg.Bit(7, "AUTH_SNOW3G", ""), reg.Bit(8, "AUTH_KASUMI", ""),
	reg.Bits(12, 9, "BAM_PIPE_SETS", "pairs of pipes"),
	reg.Bits(18, 13, "AXI_WR_BEATS", ""), reg.Bits(25, 19, "AXI_RD_BEATS", "bit 25 inferred from values seen on 5.3 and later"),
	reg.Bit(26, "ENCR_ZUC", ""), reg.Bit(27, "AUTH_ZUC", ""), reg.Bit(28, "ZUC_ENABLE", ""), reg.Bits(31, 29, "ENCR_AES_NUM_DP", ""),
}

var (
	encrAlg  = reg.Bits(2, 0, "ALG", "0 none, 1 DES, 2 AES; 3 SM4, 4 Kasumi, 5 Snow3G and 6 ZUC are not modelled")
	encrSize = reg.Bits(5, 3, "KEY_SZ", "AES: 0 128 bits, 2 256 bits; DES: 0 DES, 1 3DES, 2 3DES with two keys")
	encrMode = reg.Bits(9, 6, "MODE", "0 ECB, 1 CBC, 2 CTR, 3 XTS, 4 CCM, 6 GCM")
)

var encrFields = []reg.Field{
	encrAlg, encrSize, encrMode,
	reg.Bit(10, "ENCODE", "1 encrypt, 0 decrypt"),
	reg.Bits(12, 11, "CNTR_ALG", "0 NIST"),
	reg.Bit(13, "LAST", "last CCM or GCM segment"),
	reg.Bit(14, "USE_HW_KEY", ""), reg.Bit(15, "USE_PIPE_KEY", "not modelled"),
	reg.Bit(16, "F8_DIRECTION", ""), reg.Bit(17, "F8_KEYSTREAM_EN", ""), reg.Bit(18, "ODD_KEY", ""), reg.Bit(20, "COMMON_KEY", "not modelled"),
}

var (
	authAlg     = reg.Bits(2, 0, "ALG", "0 none, 1 SHA, 2 AES; 3 Kasumi, 4 Snow3G, 5 ZUC and 7 SM3 are not modelled")
	authKeySize = reg.Bits(5, 3, "KEY_SIZE", "AES: 0 128 bits, 2 256 bits")
	authMode    = reg.Bits(8, 6, "MODE", "SHA: 0 hash, 1 HMAC; AES: 0 CCM, 1 CMAC, 2 GCM")
	authSize    = reg.Bits(13, 9, "SIZE", "SHA: 0 SHA-1, 1 SHA-256, 2 SHA-384, 3 SHA-512; AES: bytes of the MAC less 1")
	authPos     = reg.Bits(15, 14, "POS", "0 before the cipher, 1 after it")
	nonceWords  = reg.Bits(22, 20, "NONCE_NUM_WORDS", "4 for CCM")
)

var authFields = []reg.Field{
	authAlg, authKeySize, authMode, authSize, authPos,
	reg.Bit(16, "LAST", "pad and finish"), reg.Bit(17, "FIRST", "HMAC: start with the key block"),
	reg.Bit(18, "USE_HW_KEY", ""), reg.Bit(19, "USE_PIPE_KEY", "not modelled"),
	nonceWords,
	reg.Bit(23, "F9_DIRECTION", ""),
	reg.Bit(24, "COMP_EXP_MAC", "compare the result with AUTH_EXP_MAC"),
	reg.Bits(29, 26, "PARTIAL_BIT_SIZE", ""), reg.Bit(30, "COMMON_KEY", "not modelled"),
}

var configFields = []reg.Field{
	reg.Bit(0, "MASK_ERR_INTR", ""), reg.Bit(1, "MASK_OP_DONE_INTR", ""), reg.Bit(2, "MASK_DIN_INTR", ""), reg.Bit(3, "MASK_DOUT_INTR", ""),
	reg.Bit(4, "HIGH_SPD_EN_N", "0 data by the BAM, 1 by registers"),
	reg.Bits(8, 5, "PIPE_SET_SELECT", "pair of pipes"),
	reg.Bit(9, "LITTLE_ENDIAN_MODE", "byte order of strings that are written from now on"),
	reg.Bits(13, 10, "IRQ_ENABLES", ""), reg.Bits(16, 14, "MAX_QUEUED_REQS", ""), reg.Bits(20, 17, "REQ_SIZE", "beats of 8 bytes, less 1"),
}
