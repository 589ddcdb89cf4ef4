package vfiouser

import (
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// version negotiates: the reply has the client's major version, our minor
// version, and of the capabilities those that the client named. So it is never
// longer than the request, which is as much as QEMU makes room for.
func (s *session) version(m *message) (int, unix.Errno) {
	if s.negotiated {
		return 0, unix.EINVAL
	}
	if major := wire.Order.Uint16(m.payload); major != wire.Major {
		s.closing = errVersion
		return 0, unix.EPROTONOSUPPORT
	}
	theirs, said, err := wire.ParseCapabilities(m.payload[wire.VersionSize:])
	if err != nil {
		s.closing = err
		return 0, unix.EINVAL
	}
	s.dma.maxXfer = min(or(theirs.MaxDataXferSize, wire.DefaultMaxXfer), maxXfer)
	if s.dma.maxXfer == 0 {
		s.closing = errVersion
		return 0, unix.EINVAL
	}
	s.negotiated = true

	b := s.body()
	wire.Order.PutUint16(b, wire.Major)
	wire.Order.PutUint16(b[2:], wire.Minor)
	b = b[:wire.VersionSize]
	if said {
		ours := wire.Capabilities{
			MaxMsgFDs:       lower(theirs.MaxMsgFDs, vhostuser.MaxFDs),
			MaxDataXferSize: lower(theirs.MaxDataXferSize, maxXfer),
			MaxDMAMaps:      lower(theirs.MaxDMAMaps, wire.DefaultMaxMaps),
			Pgsizes:         aligned(theirs.Pgsizes),
			WriteMultiple:   theirs.WriteMultiple,
		}
		b = wire.AppendCapabilities(b, ours)
	}
	return len(b), 0
}

func or(v *uint64, def uint64) uint64 {
	if v == nil {
		return def
	}
	return *v
}

// lower is our value of a limit that the client has named: not above theirs.
func lower(theirs *uint64, ours uint64) *uint64 {
	if theirs == nil {
		return nil
	}
	v := min(*theirs, ours)
	return &v
}

// aligned are the page sizes out of the client's that we can map: all that are
// a multiple of ours.
func aligned(theirs *uint64) *uint64 {
	if theirs == nil || *theirs&^(wire.DefaultPgsizes-1) == 0 {
		return nil
	}
	v := *theirs &^ (wire.DefaultPgsizes - 1)
	return &v
}
