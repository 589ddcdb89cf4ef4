package vfiouser

import (
	"fmt"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// traceEnv is the environment variable that turns on the message trace.
const traceEnv = "QCEMU_TRACE_VFIOUSER"

// traceMessage prints b, a whole message; dir shows the way that it goes.
//
// Only headers and the fixed parts of payloads are printed. The data of region
// and DMA accesses is left out: a guest writes keys that way.
func traceMessage(t *vhostuser.Trace, dir string, b []byte, fds int) {
	if t == nil {
		return
	}
	var h wire.Header
	h.Get(b)
	kind := ""
	if h.Flags&wire.TypeMask == wire.TypeReply {
		kind = " reply"
	}
	if h.Flags&wire.NoReply != 0 {
		kind += " posted"
	}
	if h.Flags&wire.Error != 0 {
		kind += fmt.Sprintf(" errno=%d", h.Errno)
	}
	if fds > 0 {
		kind += fmt.Sprintf(" fds=%d", fds)
	}
	t.Printf("vfio-user %s %5d %s%s len=%d%s", dir, h.ID, h.Cmd, kind, h.Size, tracePayload(h.Cmd, b[wire.HeaderSize:]))
}

// tracePayload renders the fixed part of a payload, if it is there.
func tracePayload(c wire.Command, p []byte) string {
	switch {
	case (c == wire.RegionRead || c == wire.RegionWrite) && len(p) >= wire.RegionAccessSize:
		var a wire.RegionAccess
		a.Get(p)
		return fmt.Sprintf(" region=%d off=%#x count=%d", a.Region, a.Offset, a.Count)
	case (c == wire.DMARead || c == wire.DMAWrite) && len(p) >= wire.DMAAccessSize:
		var a wire.DMAAccess
		a.Get(p)
		return fmt.Sprintf(" addr=%#x count=%d", a.Addr, a.Count)
	case c == wire.RegionWriteMulti && len(p) >= 8:
		s := fmt.Sprintf(" writes=%d", wire.Order.Uint64(p))
		for p = p[8:]; len(p) >= wire.WriteOneSize; p = p[wire.WriteOneSize:] {
			var a wire.RegionAccess
			a.Get(p)
			s += fmt.Sprintf(" %d:%#x/%d", a.Region, a.Offset, a.Count)
		}
		return s
	case c == wire.DeviceSetIRQs && len(p) >= wire.IRQSetSize:
		var a wire.IRQSet
		a.Get(p)
		return fmt.Sprintf(" flags=%#x index=%d start=%d count=%d", a.Flags, a.Index, a.Start, a.Count)
	case c == wire.DMAMap && len(p) >= wire.MapSize:
		return fmt.Sprintf(" %+v", wire.Get[wire.Map](p))
	case c == wire.DMAUnmap && len(p) >= wire.UnmapSize:
		return fmt.Sprintf(" %+v", wire.Get[wire.Unmap](p))
	case c == wire.DeviceGetRegion && len(p) >= wire.RegionInfoSize:
		return fmt.Sprintf(" %+v", wire.Get[wire.RegionInfo](p))
	case (c == wire.DeviceGetInfo || c == wire.DeviceGetIRQ) && len(p) >= wire.IRQInfoSize:
		return fmt.Sprintf(" %v", wire.Get[[4]uint32](p))
	case c == wire.DeviceFeature && len(p) >= wire.FeatureSize:
		return fmt.Sprintf(" %+v", wire.Get[wire.Feature](p))
	case c == wire.Version && len(p) > wire.VersionSize:
		return fmt.Sprintf(" %d.%d %q", wire.Order.Uint16(p), wire.Order.Uint16(p[2:]), p[wire.VersionSize:])
	}
	return ""
}
