package bam

import (
	"slices"

	"github.com/qcemu/qcemu/devices/trace"
)

// unknownMax is how many offsets without a known register are told apart.
const unknownMax = 64

// Read is a read of one word at an offset from the BAM's base. Registers of another
// execution environment read as 0.
func (b *BAM) Read(by trace.Master, off uint32) uint32 {
	v := uint32(0)
	if r, p, ee := b.reach(by, off); r != None {
		v = b.load(r, p, ee)
	}
	if b.sink != nil {
		b.regEvent(trace.RegRead, by, off, v)
	}
	return v
}

// Write is a write of one word. Writes to registers of another execution environment
// have no effect.
func (b *BAM) Write(by trace.Master, off, val uint32) {
	if b.sink != nil {
		b.regEvent(trace.RegWrite, by, off, val)
	}
	r, p, ee := b.reach(by, off)
	if r == None || !b.mayWrite(by, r, off, val) {
		return
	}
	if reserved := val &^ implemented[r]; reserved != 0 {
		b.blame(regReserved, by, off, reserved)
		val &^= reserved
	}
	b.actor, b.actorOff = by, off
	switch {
	case p != nil:
		b.storePipe(p, r, val)
	case r == IRQSrcsMskEE:
		b.ees[ee].mask = val
		b.updateLine(ee)
	default:
		b.storeGlobal(r, val)
	}
}

// OddAccess reports an access that was not one aligned word; it reads as 0 and writes
// nothing.
func (b *BAM) OddAccess(by trace.Master, off uint32) { b.blame(regSize, by, off, 0) }

// implemented is the mask of the bits that each register has.
var implemented = func() (m [numRegs]uint32) {
	for r := range m {
		m[r] = registers[r].Implemented()
	}
	return m
}()

// reach finds the register of an access and checks that the master may touch it. None
// stands for an access without effect.
func (b *BAM) reach(by trace.Master, off uint32) (r Reg, p *pipe, ee int) {
	if off&3 != 0 {
		b.OddAccess(by, off)
		return None, nil, 0
	}
	var s slot
	if i := off >> 2; i < uint32(len(b.slots)) {
		s = b.slots[i]
	}
	if s.reg == None {
		b.noteUnknown(by, off)
		return None, nil, 0
	}
	owner := by.EE
	switch registers[s.reg].scope {
	case perPipe:
		if int(s.index) >= len(b.pipes) {
			b.blame(regNoPipe, by, off, 0)
			return None, nil, 0
		}
		p = &b.pipes[s.index]
		if s.reg != PTrustReg {
			owner = p.ee
		}
	case perEE:
		if int(s.index) >= b.cfg.NumEEs {
			b.blame(regNoPipe, by, off, 0)
			return None, nil, 0
		}
		ee = int(s.index)
		owner = s.index
	}
	if by.EE != owner && by.Via != trace.Model {
		b.blame(regForeign, by, off, uint32(owner))
		return None, nil, 0
	}
	return s.reg, p, ee
}

// mayWrite applies the register's access rule and the rights of the controlling EE.
func (b *BAM) mayWrite(by trace.Master, r Reg, off, val uint32) bool {
	e := &registers[r]
	if e.Access.ReadOnly() {
		b.blame(regReadOnly, by, off, val)
		return false
	}
	if e.scope != global && r != PTrustReg || by.Via == trace.Model || int(by.EE) == b.cfg.ControlEE {
		return true
	}
	if (r == BAMIRQClr || r == BAMIRQEn) && int(by.EE) == b.globalEE() {
		return true
	}
	b.blame(regGlobal, by, off, val)
	switch {
	case r == PTrustReg || r == TrustReg:
		return false
	case r == BAMCtrl && val&ctrlSWRst != 0 && b.trust&trustRstBlock != 0:
		return false
	}
	return b.cfg.Readings.ForeignGlobals == ForeignAccepted
}

// noteUnknown reports the first access to an unknown offset. Who reads the findings is
// told how often each was touched: the rule is one of those with PerRegister.
func (b *BAM) noteUnknown(by trace.Master, off uint32) {
	known := b.unknown[:b.unknowns]
	if len(known) == unknownMax || slices.Contains(known, off) {
		return
	}
	b.unknown[b.unknowns] = off
	b.unknowns++
	b.blame(regUnmodelled, by, off, 0)
}

// load reads a register.
func (b *BAM) load(r Reg, p *pipe, ee int) uint32 {
	switch {
	case p != nil:
		return b.loadPipe(p, r)
	case registers[r].scope == perEE:
		return b.loadEE(r, ee)
	}
	return b.loadGlobal(r)
}

func (b *BAM) loadEE(r Reg, ee int) uint32 {
	switch r {
	case IRQSrcsEE:
		return b.sources(ee) & b.ees[ee].mask
	case IRQSrcsMskEE:
		return b.ees[ee].mask
	case IRQSrcsUnmaskedEE:
		return b.sources(ee)
	}
	v := b.ees[ee].owned // PIPE_ATTR_EE
	if b.on {
		v |= 1 << 31
	}
	return v
}

func (b *BAM) loadGlobal(r Reg) uint32 {
	switch r {
	case BAMCtrl:
		return b.ctrl
	case BAMRevision:
		return b.cfg.revision()
	case SWRevision:
		return b.cfg.SWRevision
	case BAMNumPipes:
		return b.cfg.numPipes()
	case BAMTimer:
		return b.timer.value(b.now)
	case BAMTimerCtrl:
		return b.timer.ctrl
	case IRQSrcs:
		return b.allSources() & b.srcsMsk
	case IRQSrcsMsk:
		return b.srcsMsk
	case IRQSrcsUnmasked:
		return b.allSources()
	case BAMIRQStts:
		return b.irqStts
	case BAMIRQEn:
		return b.irqEn
	case AHBMasterErrCtrls:
		return b.fault.ctrls
	case AHBMasterErrAddr, AHBMasterErrAddrLSB:
		return uint32(b.fault.addr)
	case AHBMasterErrAddrMSB:
		return uint32(b.fault.addr >> 32)
	case TrustReg:
		return b.trust
	case CnfgBits:
		return b.cnfg
	}
	return b.stored[r]
}

func (b *BAM) storeGlobal(r Reg, v uint32) {
	switch r {
	case BAMCtrl:
		if v&ctrlSWRst != 0 && b.ctrl&ctrlSWRst == 0 {
			b.resetAll()
		}
		if v&ctrlSWRst != 0 {
			v = ctrlSWRst
		}
		b.ctrl = v
		b.setOn()
	case BAMTimerCtrl:
		b.checkTimer(-1, v)
		b.setTimer(&b.timer, v)
	case IRQSrcsMsk:
		b.srcsMsk = v
	case BAMIRQClr:
		b.irqStts &^= v
		b.updateLine(b.globalEE())
	case BAMIRQEn:
		b.irqEn = v
		b.updateLine(b.globalEE())
	case TrustReg:
		b.trust = v
		b.updateLines()
	case CnfgBits:
		b.setCnfg(v)
	default:
		b.stored[r] = v
	}
}

func (b *BAM) loadPipe(p *pipe, r Reg) uint32 {
	switch r {
	case PTrustReg:
		return p.trust
	case PCtrl:
		return p.ctrl
	case PRst:
		return p.rst
	case PHalt:
		return b.haltStatus(p)
	case PIRQStts:
		return p.irqStts
	case PIRQEn:
		return p.irqEn
	case PTimer:
		return p.timer.value(b.now)
	case PTimerCtrl:
		return p.timer.ctrl
	case PPrdcrSdbnd:
		if p.state == output {
			return p.size - p.pos
		}
		return 0
	case PCnsmrSdbnd:
		return p.sideband()
	case PSWOfsts, PRetrCntxt:
		if r == PSWOfsts {
			return p.rd | p.pos<<16
		}
		return p.rd<<16 | p.pos
	case PEvntReg:
		return p.evnt
	case PDescFIFOAddr, PDescFIFOAddrLSB:
		return p.fifoLo
	case PDescFIFOAddrMSB:
		return p.fifoHi
	case PFIFOSizes:
		return p.sizes
	case PPSMCntxt2, PPSMCntxt3, PPSMCntxt4, PPSMCntxt5, PSICntxt, PPSMCntxt3LSB, PPSMCntxt3MSB:
		return p.context(r)
	}
	return p.stored[r-PTrustReg]
}

func (b *BAM) haltStatus(p *pipe) uint32 {
	v := p.halt
	if p.halt&phaltHalt != 0 && p.producer() {
		v |= phaltProdHalted
	}
	if p.state == idle && p.rd == p.tail {
		v |= phaltPipeEmpty
	}
	return v
}

// sideband is P_CNSMR_SDBND: drivers poll it for the end of an NWD (§4 [C]).
func (p *pipe) sideband() uint32 {
	var v uint32
	if p.state == input {
		v = p.size - p.pos
	}
	if p.state != idle && !p.out && p.flags&FlagNWD != 0 {
		v |= sdbndNWD
	}
	if p.state == acknowledge {
		v |= sdbndWait4Ack
	}
	return v
}

// context is what the debug registers show.
func (p *pipe) context(r Reg) uint32 {
	switch r {
	case PSICntxt:
		return p.rd
	case PPSMCntxt4:
		return p.rd << 16
	case PPSMCntxt5:
		return p.pos
	}
	if p.state == idle {
		return 0
	}
	switch r {
	case PPSMCntxt2:
		return 1<<31 | uint32(p.flags&FlagINT)>>15<<30 | p.size
	case PPSMCntxt3MSB:
		return uint32(p.addr >> 32)
	}
	return uint32(p.addr)
}

func (b *BAM) storePipe(p *pipe, r Reg, v uint32) {
	switch r {
	case PTrustReg:
		b.setTrust(p, v)
	case PCtrl:
		b.setCtrl(p, v)
	case PRst:
		if v&1 != 0 {
			b.resetPipe(p)
		} else {
			p.rst = 0
			b.refresh(p)
		}
	case PHalt:
		p.halt = v & phaltStored
		b.refresh(p)
	case PIRQClr:
		b.clearIRQ(p, v)
	case PIRQEn:
		p.irqEn = v
		b.setIRQ(p)
	case PTimerCtrl:
		b.checkTimer(p.id, v)
		b.setTimer(&p.timer, v)
	case PEvntReg:
		b.setEvnt(p, v)
	case PDescFIFOAddr, PDescFIFOAddrLSB, PDescFIFOAddrMSB, PFIFOSizes:
		b.storeFIFO(p, r, v)
	default:
		p.stored[r-PTrustReg] = v
	}
}

func (b *BAM) storeFIFO(p *pipe, r Reg, v uint32) {
	if p.ctrl&pctrlEN != 0 {
		b.accuse(fifoChanged, p.id, uint64(v))
	}
	switch r {
	case PFIFOSizes:
		p.sizes = v
	case PDescFIFOAddrMSB:
		p.fifoHi = v
	default:
		p.fifoLo = v
	}
	b.placeFIFO(p)
}

func (b *BAM) checkTimer(pipe int8, v uint32) {
	if v&timerMode != 0 {
		b.accuse(regTimerMode, pipe, uint64(v))
	}
}
