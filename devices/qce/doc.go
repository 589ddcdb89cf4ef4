// Package qce models the Qualcomm crypto engine v5.x: its register file, its
// operations and its two data ports (datasheet Part B).
//
// An Engine is a state machine that one party at a time enters:
//
//	       GO                     SEG_SIZE bytes taken          all output taken
//	idle ──────▶ run ────────────────────────────────▶ tail ───────────────────▶ idle
//	  ▲           │  In/Fed, Step, Out/Drained           │                  OPERATION_DONE
//	  └───────────┴──────── pipe reset, bus fault ───────┘
//
// Registers are reached by MMIO (Read, Write) and by command elements (ReadReg,
// WriteReg). Data comes from a consumer pipe and goes to a producer pipe through
// the methods of the BAM's peripheral port, or word by word through DATA_IN and
// DATA_OUT when the configuration says so. Data is transformed in the buffer it
// arrived in, so each byte is copied twice on its way: in and out.
//
// What the hardware guide leaves open is a named choice (Readings). What
// software does against the rules is an event (Rules), never an error.
//
// Key material is kept in the register file, in the latched operation and in a
// small cache of key schedules; it never appears in an event. An Observer, which
// runs inside the process, does see it: that is what it is for.
package qce
