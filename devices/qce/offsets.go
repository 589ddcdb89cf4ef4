package qce

// Register offsets in bytes from the engine's base (datasheet §13).
const (
	Version      = 0x000
	LibVersion   = 0x004
	FIPSID       = 0x00c
	DataIn0      = 0x010
	DataOut0     = 0x020
	Status       = 0x100
	Status2      = 0x104
	EnginesAvail = 0x108
	FIFOSizes    = 0x10c
	SegSize      = 0x110
	BISTStatus   = 0x114
	BISTFinish   = 0x118
	Status3      = 0x11c
	GoProc       = 0x120

	EncrSegCfg      = 0x200
	EncrSegSize     = 0x204
	EncrSegStart    = 0x208
	CntrIV0         = 0x20c
	CntrMask        = 0x21c // for IV3
	EncrCCMInitCnt0 = 0x220
	EncrXTSDUSize   = 0x230
	CntrMask2       = 0x234 // for IV2
	CntrMask1       = 0x238 // for IV1
	CntrMask0       = 0x23c // for IV0
	GCMIVLength     = 0x240

	AuthSegCfg     = 0x300
	AuthSegSize    = 0x304
	AuthSegStart   = 0x308
	AuthIV0        = 0x310
	AuthInfoNonce0 = 0x350
	AuthByteCnt0   = 0x390
	AuthExpMAC0    = 0x3a0
	ConfigReg      = 0x400

	GoProcQCKey  = 0x1000
	GoProcOEMKey = 0x2000
	EncrKey0     = 0x3000
	EncrXTSKey0  = 0x3020
	AuthKey0     = 0x3040
)

// WindowSize is the size of the register window in bytes.
const WindowSize = 0x6000

const windowWords = WindowSize / 4

// Bits of STATUS (datasheet §14).
const (
	SwErr         = 1 << 0
	OperationDone = 1 << 1
	DinRdy        = 1 << 2
	DoutRdy       = 1 << 3
	ErrIntr       = 1 << 4
	OpDoneIntr    = 1 << 5
	DinIntr       = 1 << 6
	DoutIntr      = 1 << 7
	AuthBusy      = 1 << 8
	EncrBusy      = 1 << 9
	AxiErr        = 1 << 14
	DinErr        = 1 << 15
	DoutErr       = 1 << 16
	CfgChngErr    = 1 << 17
	PipeActiveErr = 1 << 18
	AccessViol    = 1 << 19
	HsdErr        = 1 << 20
	MACFailed     = 1 << 31

	dinAvailShift  = 21
	doutAvailShift = 26
	maxAvail       = 31
)

// Bits of STATUS2 (datasheet §14). LOCKED stands at bit 0 or 2: a reading.
const (
	AxiExtra        = 1 << 1
	InvalidAlgoCfg  = 1 << 2
	HMACKeyErr      = 1 << 3
	HWKeyUsageErr   = 1 << 27
	PipeKeyUsageErr = 1 << 28
	KeyErr          = 1 << 29
)

// Bits of CONFIG (datasheet §14).
const (
	maskErrIntr   = 1 << 0
	maskDoneIntr  = 1 << 1
	highSpdEnN    = 1 << 4 // 1: data by registers, 0: by the BAM
	pipeSetShift  = 5
	pipeSetMask   = 0xf
	littleEndian  = 1 << 9
	reqSizeShift  = 17
	burst64       = 7 // REQ_SIZE of a 64-byte burst
	configParking = maskErrIntr | maskDoneIntr | 3<<2 | 0xf<<pipeSetShift | burst64<<reqSizeShift
)

// Bits of GOPROC (datasheet §14).
const (
	Go          = 1 << 0
	ClrCntxt    = 1 << 1
	ResultsDump = 1 << 2
)

// ENCR_SEG_CFG (datasheet §14).
const (
	encrAlgDES = 1
	encrAlgAES = 2

	encrModeECB = 0
	encrModeCBC = 1
	encrModeCTR = 2
	encrModeXTS = 3
	encrModeCCM = 4
	encrModeGCM = 6

	encrEncode     = 1 << 10
	encrLast       = 1 << 13
	encrUseHWKey   = 1 << 14
	encrUsePipeKey = 1 << 15
	encrCommonKey  = 1 << 20
)

// AUTH_SEG_CFG (datasheet §14).
const (
	authAlgSHA = 1
	authAlgAES = 2

	authModeHash = 0
	authModeHMAC = 1

	authModeCCM  = 0
	authModeCMAC = 1
	authModeGCM  = 2

	authPosAfter   = 1
	authLast       = 1 << 16
	authFirst      = 1 << 17
	authUseHWKey   = 1 << 18
	authUsePipeKey = 1 << 19
	authCompExpMAC = 1 << 24
	authCommonKey  = 1 << 30
)

// ENGINES_AVAIL (datasheet §12).
const (
	hasEncrAES    = 1 << 0
	hasDES        = 1 << 1
	hasSHA        = 1 << 4
	hasSHA512     = 1 << 5
	hasAuthAES    = 1 << 6
	pipeSetsShift = 9
	pipeSetsMask  = 0xf
)
