package vfiouser

import (
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

const (
	irqData    = wire.IRQDataNone | wire.IRQDataBool | wire.IRQDataEventfd
	irqActions = wire.IRQActionMask | wire.IRQActionUnmask | wire.IRQActionTrigger
)

// irqCount is the number of interrupts of an index: one INTx, nothing else.
func irqCount(index uint32) uint32 {
	if index == wire.IRQINTx {
		return 1
	}
	return 0
}

func (s *session) irqInfo(m *message) (int, unix.Errno) {
	q := wire.Get[wire.IRQInfo](m.payload)
	if q.Argsz < wire.IRQInfoSize || q.Index >= wire.NumIRQs {
		return 0, unix.EINVAL
	}
	info := wire.IRQInfo{Argsz: wire.IRQInfoSize, Index: q.Index, Count: irqCount(q.Index)}
	if info.Count > 0 {
		info.Flags = wire.IRQEventfd | wire.IRQMaskable | wire.IRQAutomasked
	}
	return wire.Put(s.body(), info), 0
}

// setIRQs follows VFIO_DEVICE_SET_IRQS: one kind of data, one action, a range
// of interrupts inside the index.
func (s *session) setIRQs(m *message) (int, unix.Errno) {
	var q wire.IRQSet
	q.Get(m.payload)
	data := m.payload[wire.IRQSetSize:]
	kind, action := q.Flags&irqData, q.Flags&irqActions
	count := irqCount(q.Index)
	switch {
	case q.Argsz < wire.IRQSetSize, q.Flags&^(irqData|irqActions) != 0, q.Index >= wire.NumIRQs,
		kind&(kind-1) != 0, kind == 0, action&(action-1) != 0, action == 0,
		q.Start > count, q.Count > count-q.Start,
		kind != wire.IRQDataEventfd && len(m.fds) > 0,
		kind != wire.IRQDataBool && len(data) > 0,
		kind == wire.IRQDataBool && len(data) != int(q.Count):
		return 0, unix.EINVAL
	}
	line := s.srv.line
	if q.Count == 0 {
		if kind != wire.IRQDataNone || action != wire.IRQActionTrigger || q.Start != 0 {
			return 0, unix.EINVAL
		}
		if q.Index == wire.IRQINTx {
			line.shutOff()
		}
		return 0, 0
	}

	// What is left is INTx, start 0, count 1.
	switch {
	case kind == wire.IRQDataEventfd:
		return 0, s.setEvent(action, m)
	case kind == wire.IRQDataBool && data[0] == 0:
		return 0, 0
	}
	switch action {
	case wire.IRQActionMask:
		line.maskNow()
	case wire.IRQActionUnmask:
		line.unmaskNow()
	case wire.IRQActionTrigger:
		line.loopback()
	}
	return 0, 0
}

// setEvent connects the eventfd of m, or takes it away if there is none.
func (s *session) setEvent(action uint32, m *message) unix.Errno {
	var e *vhostuser.Eventfd
	if len(m.fds) > 0 {
		var err error
		if e, err = vhostuser.NewEventfd(m.fds[0]); err != nil {
			return asErrno(err)
		}
		m.fds[0] = -1
	}
	switch action {
	case wire.IRQActionMask:
		s.srv.line.setMaskEvent(e)
	case wire.IRQActionUnmask:
		s.srv.line.setUnmaskEvent(e)
	case wire.IRQActionTrigger:
		s.srv.line.setTrigger(e)
	}
	return 0
}
