package qce

import "github.com/qcemu/qcemu/devices/trace"

// Latched is the configuration of an operation as GO found it: all that its
// result depends on besides the input. It holds keys.
//
// Byte strings are in the order of the algorithm's standard, first byte first
// (datasheet §15).
type Latched struct {
	Version uint32
	GCM     bool // Config.GCM
	GoReg   uint32
	Go      uint32 // value written to GoReg

	Config, SegSize                       uint32
	EncrSegCfg, EncrSegSize, EncrSegStart uint32
	AuthSegCfg, AuthSegSize, AuthSegStart uint32
	XTSDUSize, GCMIVLength                uint32
	CntrMask                              [4]uint32 // for IV0 to IV3
	Key, XTSKey                           [32]byte  // the hardware key, where one is selected
	AuthKey                               [64]byte
	IV, CCMInitCntr, Nonce                [16]byte
	AuthIV, ExpMAC                        [64]byte
	ByteCnt                               [4]uint32
	MACArea64, Dump128, HMACData, XTSStep bool // readings that change the output
	XTSPass, FinalStatus                  bool
}

// Observer sees every operation with its secrets and its streams. It runs
// inside the model: it must not call back into it, block, or keep a pointer or
// slice that it gets.
type Observer interface {
	// Start is called when an operation starts.
	Start(op *trace.Op, c *Latched)
	// Input has the next bytes that the operation takes from its input, Output
	// the next bytes that it gives, result dump included.
	Input(p []byte)
	Output(p []byte)
	// Done is called when the last output has been taken and STATUS is final;
	// Abort when the operation is dropped before that.
	Done(op *trace.Op)
	Abort(op *trace.Op)
}
