package cryptoblock

import (
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/trace"
)

// Monitor sees what passes between the masters and the engine, values of
// secret registers included: it can tell what each of them wanted from what it
// got. It runs inside the model: it must not call back into it, or keep p.
type Monitor interface {
	qce.Observer
	// Join is called once, before anything else. report puts a broken rule
	// into the event stream.
	Join(results func() (authIV [64]byte, iv [16]byte, byteCnt [4]uint32), report func(e *trace.Event))
	// RegWrite is called before a write reaches the engine.
	RegWrite(by trace.Master, off, val, mask uint32)
	// Fed has the bytes that the engine takes from a consumer pipe, Drained
	// those that it has given to a producer pipe, and whether its transfer
	// ends.
	Fed(pipe int, p []byte)
	Drained(pipe int, p []byte, eot bool)
	// Flush is the reset of a pipe, Reset that of the chip.
	Flush(pipe int)
	Reset()
}

// watched is an engine with a monitor in front of it.
type watched struct {
	*qce.Engine
	monitor Monitor
	in, out []byte // what In and Out returned last
}

// WriteReg implements bam.Peripheral.
func (w *watched) WriteReg(by trace.Master, off, val, mask uint32) {
	w.monitor.RegWrite(by, off, val, mask)
	w.Engine.WriteReg(by, off, val, mask)
}

// WriteRow implements bam.RowPeripheral: the monitor wants to see each write.
func (w *watched) WriteRow(trace.Master, []trace.Write) int { return 0 }

// In implements bam.Peripheral.
func (w *watched) In(pipe int) []byte {
	w.in = w.Engine.In(pipe)
	return w.in
}

// Fed implements bam.Peripheral.
func (w *watched) Fed(pipe, n int, last, eot bool) {
	if n > 0 {
		w.monitor.Fed(pipe, w.in[:min(n, len(w.in))])
	}
	w.Engine.Fed(pipe, n, last, eot)
}

// Out implements bam.Peripheral.
func (w *watched) Out(pipe int) (p []byte, eot bool) {
	w.out, eot = w.Engine.Out(pipe)
	return w.out, eot
}

// Drained implements bam.Peripheral. The monitor sees the bytes before the
// engine forgets them, and the end when the engine has ended the operation.
func (w *watched) Drained(pipe, n int, eot bool) {
	w.monitor.Drained(pipe, w.out[:min(n, len(w.out))], false)
	w.Engine.Drained(pipe, n, eot)
	if eot {
		w.monitor.Drained(pipe, nil, true)
	}
}

// Flush implements bam.Peripheral.
func (w *watched) Flush(pipe int) {
	w.monitor.Flush(pipe)
	w.Engine.Flush(pipe)
}

// observers hands operations to several readers.
type observers []qce.Observer

func (o observers) Start(op *trace.Op, c *qce.Latched) {
	for _, x := range o {
		x.Start(op, c)
	}
}

func (o observers) Input(p []byte) {
	for _, x := range o {
		x.Input(p)
	}
}

func (o observers) Output(p []byte) {
	for _, x := range o {
		x.Output(p)
	}
}

func (o observers) Done(op *trace.Op) {
	for _, x := range o {
		x.Done(op)
	}
}

func (o observers) Abort(op *trace.Op) {
	for _, x := range o {
		x.Abort(op)
	}
}

// watch puts the monitor in place.
func (b *Block) watch(m Monitor, engine *qce.Engine) *watched {
	m.Join(engine.Results, func(e *trace.Event) { b.stream.Emit(e) })
	return &watched{Engine: engine, monitor: m}
}

// observe joins the monitor and another observer; either may be nil.
func observe(o qce.Observer, m Monitor) qce.Observer {
	switch {
	case m == nil:
		return o
	case o == nil:
		return m
	}
	return observers{o, m}
}
