package backend

import (
	"fmt"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// traceEnv is the environment variable that turns on the message trace.
const traceEnv = "QCEMU_TRACE_VHOSTUSER"

// traceMessage prints b, a whole message. dir shows the way that it goes, => on the
// back-end channel.
func traceMessage(t *vhostuser.Trace, dir string, b []byte, fds int) {
	if t == nil {
		return
	}
	var h wire.Header
	h.Get(b)
	t.Printf("vhost-user %s %v flags=%#x len=%d fds=%d%s", dir, h.Request, h.Flags, h.Size, fds, tracePayload(h.Request, b[wire.HeaderSize:]))
}

// tracePayload renders a payload, unless there may be keys in it.
func tracePayload(r wire.Request, p []byte) string {
	switch {
	case r == wire.CreateCryptoSession:
		if len(p) != wire.CryptoSessionSize && len(p) != wire.OldCryptoSessionSize {
			return "" // a key may be anywhere in it
		}
		var s wire.CryptoSession
		wire.GetCryptoSession(p, &s)
		return fmt.Sprintf(" session=%d op=%#x type=%d cipher=%d keylen=%d direction=%d hash=%d authkeylen=%d", wire.SessionID(p),
			s.OpCode, s.OpType, s.CipherAlg, s.CipherKeyLen, s.Direction, s.HashAlg, s.AuthKeyLen)
	case r == wire.SetVringAddr && len(p) == wire.VringAddrSize:
		return fmt.Sprintf(" %+v", wire.Get[wire.VringAddr](p))
	case r == wire.SetMemTable && len(p) >= wire.MemTableSize:
		s := fmt.Sprintf(" regions=%d", wire.Order.Uint32(p))
		for p = p[wire.MemTableSize:]; len(p) >= wire.RegionSize; p = p[wire.RegionSize:] {
			s += fmt.Sprintf(" %x", wire.Get[[4]uint64](p))
		}
		return s
	case len(p) == wire.U64Size:
		return fmt.Sprintf(" %#x", wire.Order.Uint64(p))
	case len(p) > 0 && len(p) <= 64:
		return fmt.Sprintf(" % x", p)
	}
	return ""
}
