package blocktest

import (
	"encoding/binary"
	"slices"

	"github.com/qcemu/qcemu/devices/bam/bamtest"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

const ramBase = 0x8000_0000

// Linux is a client of a block in Linux's place, in the same process. The block
// moves when it is looked at.
type Linux struct {
	Driver
	Block *cryptoblock.Block
	Mem   *bamtest.Memory
	Line  bamtest.Line
	// LateStatus makes Series read STATUS by MMIO when the request is over, and
	// the lock gone, as v16 does; otherwise it takes the errors from the result
	// dump, or reads STATUS before it releases the lock.
	LateStatus bool

	requests int
}

// New returns a client that has set its pipes up. The block should be Manual.
func New(b *cryptoblock.Block, p *cryptoblock.Profile) *Linux {
	own := *p
	l := &Linux{Block: b, Mem: bamtest.NewMemory(ramBase, ramSize)}
	l.Driver = *NewDriver(inProcess{b, l.Mem, uint8(p.EE)}, &own, ramBase)
	b.Port(p.EE).Attach(l.Mem, &l.Line)
	l.Init()
	return l
}

// inProcess is the bus to a block in the same process.
type inProcess struct {
	block *cryptoblock.Block
	mem   *bamtest.Memory
	ee    uint8
}

func (b inProcess) Load(off uint32) uint32 {
	e := b.block.Do(cryptoblock.Entry{Kind: cryptoblock.ReadEntry, EE: b.ee, Size: 4, Off: uint64(off)})
	return uint32(e.Value)
}

func (b inProcess) Store(off, v uint32) {
	b.block.Do(cryptoblock.Entry{Kind: cryptoblock.WriteEntry, EE: b.ee, Size: 4, Off: uint64(off), Value: uint64(v)})
}

func (b inProcess) Bytes(addr uint32, n int) []byte { return b.mem.Bytes(uint64(addr), n) }

// Result is what came of a request.
type Result struct {
	Out    []byte // payload; of a hash the digest's state
	Dump   []byte // result dump, nil without one
	Status uint32
	Hung   bool // it never ended; the pipes have been set up again
}

// Failed is the driver's verdict on STATUS (datasheet §14).
func (r *Result) Failed() bool {
	const bad = qce.SwErr | qce.AxiErr | qce.HsdErr
	return r.Hung || r.Status&bad != 0 || r.Status&qce.OperationDone == 0
}

// begin lets the guest have something else to do now and then.
func (l *Linux) begin() {
	if l.requests++; l.requests%4 == 0 {
		l.Block.Settle()
	}
}

// Stock makes a request as the driver without the series does, to its end.
func (l *Linux) Stock(r qcetest.Request) Result {
	l.begin()
	return l.finish(l.Driver.Stock(r), l.readStatus)
}

// Series makes a request as the driver with the series does, to its end.
func (l *Linux) Series(r qcetest.Request) Result {
	l.begin()
	q := l.Driver.Series(r)
	status := l.readStatus
	switch {
	case l.LateStatus:
		l.Unlock()
	case q.Dump:
		l.Unlock()
		status = func() uint32 {
			return binary.BigEndian.Uint32(l.Bus.Bytes(l.Dump()+0x60, 4)) | qce.OperationDone
		}
	default:
		status = func() uint32 {
			v := l.readStatus()
			l.Unlock()
			l.Ring(&l.RX)
			return v
		}
	}
	l.Ring(&l.TX)
	l.Ring(&l.RX)
	return l.finish(q, status)
}

func (l *Linux) readStatus() uint32 { return l.QCERead(qce.Status) }

// finish waits for the interrupt, and handles it.
func (l *Linux) finish(q *Pending, status func() uint32) Result {
	for range 64 {
		if l.Line.Level {
			l.Handle()
		}
		if l.TX.Done == l.TX.Tail {
			break
		}
		l.Block.Settle()
	}
	res := Result{Hung: l.TX.Done != l.TX.Tail}
	if res.Hung {
		res.Status = l.QCERead(qce.Status)
		l.Init()
		return res
	}
	if q.Out > 0 {
		res.Out = slices.Clone(l.Bus.Bytes(l.Output(), q.Out))
	}
	if q.Dump {
		res.Dump = slices.Clone(l.Bus.Bytes(l.Dump(), qcetest.DumpSize))
	}
	l.Handle()
	res.Status = status()
	if l.RX.Done != l.RX.Tail { // surplus input, or UNLOCK is still to come
		l.Block.Settle()
		l.Handle()
		if l.RX.Done != l.RX.Tail {
			l.InitPipe(&l.RX)
		}
	}
	return res
}
