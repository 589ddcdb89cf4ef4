// Package integrity finds out, on the hardware's side, whether an execution
// environment got from the engine what it asked for.
//
// For each EE a Monitor keeps a register file of its own, with what that EE
// itself has written: its intent. When the EE starts an operation, the
// configuration that the engine latches is compared with the intended one; when
// its output ends, a result that could differ is recomputed by the oracle from
// the intent and the EE's own input, and compared with the bytes that went out.
// So a request that another side has corrupted is found even where no software
// checks the result, and each find comes with what both sides did before it.
//
// Secrets stay inside: reports say where the first wrong byte is, never what.
package integrity
