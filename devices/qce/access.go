package qce

import (
	"math/bits"

	"github.com/qcemu/qcemu/devices/reg"
	"github.com/qcemu/qcemu/devices/trace"
)

// Read is a register read over the bus.
func (e *Engine) Read(by trace.Master, off uint32) uint32 {
	if e.foreignCPU(by, off) {
		return 0
	}
	return e.read(by, off)
}

// Write is a register write over the bus.
func (e *Engine) Write(by trace.Master, off, val uint32) {
	if e.foreignCPU(by, off) {
		return
	}
	e.write(by, off, val, ^uint32(0))
}

// ReadReg is a register read by a command element.
func (e *Engine) ReadReg(by trace.Master, off uint32) uint32 { return e.read(by, off) }

// WriteReg is a register write by a command element; bits that mask does not
// have keep their value.
func (e *Engine) WriteReg(by trace.Master, off, val, mask uint32) { e.write(by, off, val, mask) }

// WriteRow makes the first of several writes by command elements, as long as
// they are plain: of registers that keep what is written, into an idle engine,
// with nothing to report. It returns how many it has made; of those it clears
// the values that may not be shown.
func (e *Engine) WriteRow(by trace.Master, row []trace.Write) (made int) {
	if e.op.phase != idle {
		return 0
	}
	for ; made < len(row); made++ {
		w := &row[made]
		if w.Off >= WindowSize || w.Off&3 != 0 {
			break
		}
		b := e.banks[e.entry[w.Off/4]]
		if b == nil || b.role != stored || w.Value&^b.implemented != 0 && !b.Secret {
			break
		}
		e.storeWord(b, by, w.Off, w.Value)
		if Secret(w.Off) {
			w.Value = 0
		}
	}
	if made > 0 {
		e.count(by, uint32(made))
	}
	return made
}

// foreignCPU handles an access of a CPU while another EE holds the lock, and
// reports whether it stops there.
func (e *Engine) foreignCPU(by trace.Master, off uint32) bool {
	if !e.lock.held || e.lock.owner.EE == by.EE {
		return false
	}
	e.note(ruleForeignCPU, by, off, 0, 0)
	switch e.rd[rdForeignCPU] {
	case foreignCPUAborts:
		e.fail(AccessViol)
		return true
	case foreignCPUIgnored:
		return true
	}
	return false
}

// bank finds the register at an offset. It returns nil after having reported
// one that the model does not have.
func (e *Engine) bank(by trace.Master, off uint32, shown uint64, read bool) *Bank {
	if off < WindowSize {
		if b := e.banks[e.entry[off/4]]; b != nil {
			return b
		}
	}
	if e.sink != nil {
		kind := trace.RegWrite
		if read {
			kind = trace.RegRead
		}
		e.emit(kind, by, off, uint64(shown))
	}
	e.noteUnmodelled(by, off, shown, read)
	return nil
}

// noteUnmodelled reports the first access to a register that the model does not
// have. Who reads the findings is told how often each was touched: the rule is
// one of those with PerRegister.
func (e *Engine) noteUnmodelled(by trace.Master, off uint32, shown uint64, read bool) {
	reported := &e.unmodelled[min(off/4, windowWords)]
	if *reported {
		return
	}
	*reported = true
	size := uint32(0)
	if read {
		size = 1
	}
	e.note(ruleUnmodelled, by, off, size, shown)
}

func (e *Engine) align(by trace.Master, off uint32) uint32 {
	if off&3 != 0 {
		e.note(ruleUnaligned, by, off, 0, 0)
	}
	return off &^ 3
}

func (e *Engine) read(by trace.Master, off uint32) uint32 {
	off = e.align(by, off)
	b := e.bank(by, off, 0, true)
	if b == nil {
		return 0
	}
	var v uint32
	switch {
	case b.Access == reg.WO:
		e.note(ruleWriteOnly, by, off, 0, 0)
	case off == Status:
		v = e.liveStatus()
	case off == Status2:
		v = e.liveStatus2()
	case b.Off == DataOut0:
		v = e.pioRead(by, off)
	default:
		v = e.r[off/4]
		if b.String {
			v = e.ordered(v)
		}
		if e.rd[rdBusyRead] == busyReadError && e.op.phase != idle && b.Access == reg.RW {
			e.configChanged(ruleBusyWrite, by, off, 0)
		}
	}
	if e.sink != nil {
		shown := uint64(v)
		if Secret(off) {
			shown = 0
		}
		e.emit(trace.RegRead, by, off, shown)
	}
	return v
}

// ordered turns a word of a byte string between the two byte orders, if the
// configuration says that software sees it so.
func (e *Engine) ordered(v uint32) uint32 {
	if e.r[ConfigReg/4]&littleEndian != 0 {
		return bits.ReverseBytes32(v)
	}
	return v
}

func (e *Engine) write(by trace.Master, off, val, mask uint32) {
	off = e.align(by, off)
	shown := uint64(val)
	if Secret(off) {
		shown = 0
	}
	b := e.bank(by, off, shown, false)
	if b == nil {
		e.busyWrite(by, off, shown)
		return
	}
	if e.sink != nil {
		e.emit(trace.RegWrite, by, off, shown)
		if rest := val & mask &^ b.implemented; rest != 0 && !b.Secret {
			e.note(ruleReserved, by, off, 0, uint64(rest))
		}
	}
	if b.role == dataPort {
		e.pioWrite(by, off, val)
		return
	}
	if off != Version {
		e.count(by, 1)
	}
	if b.role != stored {
		e.act(b, by, off, val, mask, shown)
		return
	}
	if e.op.phase != idle && e.busyWrite(by, off, shown) && e.rd[rdBusyWrite] == busyWriteDropped {
		return
	}
	e.store(b, by, off, val, mask)
}

// act is a write to a register that does not simply keep what is written.
func (e *Engine) act(b *Bank, by trace.Master, off, val, mask uint32, shown uint64) {
	switch {
	case b.role == starts:
		e.start(by, off, val&mask&b.implemented)
		return
	case off == Status:
		e.writeStatus(val | ^mask)
	case off == Status2:
		e.writeStatus2(val | ^mask)
	case off != Version:
		e.note(ruleReadOnly, by, off, 0, shown)
	}
	e.busyWrite(by, off, shown)
}

// store puts a value into the register file.
func (e *Engine) store(b *Bank, by trace.Master, off, val, mask uint32) {
	val &= b.implemented
	i := off / 4
	if b.String {
		val, mask = e.ordered(val), e.ordered(mask)
		if b.Off == EncrKey0 && val&mask != 0 {
			e.since.keyWords |= 1 << (i - EncrKey0/4)
		}
	}
	e.r[i] = e.r[i]&^mask | val&mask
	e.writer[i] = by.EE + 1
}

// storeWord is store with all bits of the mask.
func (e *Engine) storeWord(b *Bank, by trace.Master, off, val uint32) {
	val &= b.implemented
	i := off / 4
	if b.String {
		val = e.ordered(val)
		if b.Off == EncrKey0 && val != 0 {
			e.since.keyWords |= 1 << (i - EncrKey0/4)
		}
	}
	e.r[i], e.writer[i] = val, by.EE+1
}

// count counts n writes of a master.
func (e *Engine) count(by trace.Master, n uint32) {
	e.writers |= 1 << (by.EE & 7)
	w := &e.since.ee[by.EE&7]
	if w.cpu+w.command == 0 {
		w.first = e.since.total
	}
	if by.Via == trace.Command {
		w.command += n
	} else {
		w.cpu += n
	}
	e.since.total += n
}

// busyWrite reports whether an operation runs, in which case the write is an
// error of the guest's.
func (e *Engine) busyWrite(by trace.Master, off uint32, shown uint64) bool {
	if e.op.phase == idle {
		return false
	}
	e.configChanged(ruleBusyWrite, by, off, shown)
	return true
}

// configChanged raises CFG_CHNG_ERR with the severity that was chosen.
func (e *Engine) configChanged(r *trace.Rule, by trace.Master, off uint32, shown uint64) {
	e.note(r, by, off, 0, shown)
	switch e.rd[rdCfgChange] {
	case cfgChangeIgnore:
	case cfgChangeAbort:
		e.abort(CfgChngErr)
	default:
		e.fail(CfgChngErr)
	}
}

// fail sets an error bit of STATUS with its summaries.
func (e *Engine) fail(bit uint32) { e.status |= bit | SwErr | ErrIntr }

func (e *Engine) writeStatus(val uint32)  { e.status = e.statusAfter(e.status, val) }
func (e *Engine) writeStatus2(val uint32) { e.status2 = e.statusAfter(e.status2, val) }

// statusAfter is what a write leaves of the error bits.
func (e *Engine) statusAfter(was, val uint32) uint32 {
	switch {
	case e.rd[rdStatusWrite] == statusClearAll:
		return 0
	case e.rd[rdStatusWrite] != statusZeroOnly:
		return was & val
	case val == 0:
		return 0
	}
	return was
}

// liveStatus is STATUS as software reads it: the stored bits, and those that
// show the state of the moment.
func (e *Engine) liveStatus() uint32 {
	v := e.status
	if e.op.phase != idle {
		if e.op.cipher != noCipher {
			v |= EncrBusy
		}
		if e.op.auth != noAuth {
			v |= AuthBusy
		}
	}
	if e.op.pio {
		v |= e.pioStatus()
	}
	return v
}

func (e *Engine) liveStatus2() uint32 {
	v := e.status2
	if e.lock.held {
		v |= e.lockedBit()
	}
	return v
}

func (e *Engine) lockedBit() uint32 {
	if e.rd[rdLockedBit] == lockedBit2 {
		return 1 << 2
	}
	return 1 << 0
}
