package backend

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// row is one message of the protocol. run leaves the payload of the reply in
// session.body and returns its length; the reply is sent if the message has one
// of its own.
type row struct {
	min, max int    // length of the payload; max 0 is min
	fds      int    // most file descriptors
	needs    uint64 // protocol features
	run      func(*session, *message) (int, error)
	answer   func(*session) bool          // whether it has a reply of its own; nil: no
	refuse   func(*session, *message) int // the reply that says no, or cannotSay; nil: none does
}

func always(*session) bool { return true }

func (r *row) replies(s *session) bool { return r.answer != nil && r.answer(s) }

func rowOf(r wire.Request) *row {
	if r < wire.NumRequests {
		return &rows[r]
	}
	return &rows[0]
}

// rows is indexed by wire.Request. What is not in it is not served: messages of
// other kinds of devices, IOTLB (no ACCESS_PLATFORM), postcopy, and a legacy
// device's endianness.
var rows = [wire.NumRequests]row{
	wire.GetFeatures:         {run: (*session).getFeatures, answer: always},
	wire.SetFeatures:         {min: wire.U64Size, run: (*session).setFeatures},
	wire.GetProtocolFeatures: {run: (*session).getProtocolFeatures, answer: always},
	wire.SetProtocolFeatures: {min: wire.U64Size, run: (*session).setProtocolFeatures},
	wire.SetOwner:            {run: (*session).setOwner},
	wire.ResetOwner:          {run: (*session).resetOwner},
	wire.ResetDevice:         {needs: wire.ProtocolResetDevice, run: (*session).resetDevice},
	wire.SetStatus:           {min: wire.U64Size, needs: wire.ProtocolStatus, run: (*session).setStatus},
	wire.GetStatus:           {needs: wire.ProtocolStatus, run: (*session).getStatus, answer: always},
	wire.GetConfig:           {min: wire.ConfigSize, max: wire.ConfigSize + wire.MaxConfig, needs: wire.ProtocolConfig, run: (*session).getConfig, answer: always, refuse: noPayload},
	wire.SetConfig:           {min: wire.ConfigSize, max: wire.ConfigSize + wire.MaxConfig, needs: wire.ProtocolConfig, run: (*session).setConfig},
	wire.GetQueueNum:         {needs: wire.ProtocolMQ, run: (*session).getQueueNum, answer: always},

	wire.SetMemTable:    {min: wire.MemTableSize, max: wire.MemTableSize + wire.MaxRegions*wire.RegionSize, fds: wire.MaxRegions, run: (*session).setMemTable},
	wire.GetMaxMemSlots: {needs: wire.ProtocolConfigureMemSlots, run: (*session).getMaxMemSlots, answer: always},
	wire.AddMemReg:      {min: wire.OneRegionSize, fds: 1, needs: wire.ProtocolConfigureMemSlots, run: (*session).addMemReg},
	wire.RemMemReg:      {min: wire.OneRegionSize, fds: 1, needs: wire.ProtocolConfigureMemSlots, run: (*session).remMemReg},

	wire.SetVringNum:    {min: wire.VringStateSize, run: (*session).setVringNum},
	wire.SetVringAddr:   {min: wire.VringAddrSize, run: (*session).setVringAddr},
	wire.SetVringBase:   {min: wire.VringStateSize, run: (*session).setVringBase},
	wire.GetVringBase:   {min: wire.VringStateSize, run: (*session).getVringBase, answer: always},
	wire.SetVringKick:   {min: wire.U64Size, fds: 1, run: (*session).setVringKick},
	wire.SetVringCall:   {min: wire.U64Size, fds: 1, run: (*session).setVringCall},
	wire.SetVringErr:    {min: wire.U64Size, fds: 1, run: (*session).setVringErr},
	wire.SetVringEnable: {min: wire.VringStateSize, run: (*session).setVringEnable},
	wire.VringKick:      {min: wire.VringStateSize, needs: wire.ProtocolInbandNotify, run: (*session).vringKick},

	wire.SetLogBase: {min: wire.U64Size, max: wire.LogSize, fds: 1, run: (*session).setLogBase, answer: (*session).hasLogShm},
	wire.SetLogFD:   {max: wire.U64Size, fds: 1, run: (*session).setLogFD},

	wire.GetInflightFD: {min: wire.InflightSize, max: wire.InflightPadded, needs: wire.ProtocolInflightShmFD, run: (*session).getInflightFD, answer: always},
	wire.SetInflightFD: {min: wire.InflightSize, max: wire.InflightPadded, fds: 1, needs: wire.ProtocolInflightShmFD, run: (*session).setInflightFD},

	wire.SetBackendReqFD: {max: wire.U64Size, fds: 1, needs: wire.ProtocolBackendReq, run: (*session).setBackendReqFD},

	wire.CreateCryptoSession: {min: wire.OldCryptoSessionSize, max: wire.CryptoSessionSize, needs: wire.ProtocolCryptoSession, run: (*session).createCryptoSession, answer: always, refuse: noSession},
	wire.CloseCryptoSession:  {min: wire.U64Size, needs: wire.ProtocolCryptoSession, run: (*session).closeCryptoSession},
}

// offered are the virtio features of the device and of the rings.
func (s *session) offered() uint64 {
	f := s.dev.Features() | ringFeatures | wire.FeatureLogAll | wire.FeatureProtocol
	if s.srv.state != nil {
		f &^= FeaturePacked // see errPackedState
	}
	return f
}

// protocolFeatures are those that are offered.
func (s *session) protocolFeatures() uint64 {
	f := uint64(wire.ProtocolMQ | wire.ProtocolLogShmFD | wire.ProtocolReplyAck | wire.ProtocolBackendReq |
		wire.ProtocolConfig | wire.ProtocolInflightShmFD | wire.ProtocolResetDevice |
		wire.ProtocolConfigureMemSlots | wire.ProtocolStatus)
	if s.srv.inband {
		f |= wire.ProtocolInbandNotify
	}
	if _, ok := s.dev.(CryptoDevice); ok {
		f |= wire.ProtocolCryptoSession
	}
	return f
}

// reticent reports whether the front-end keeps to itself what the driver has
// negotiated. QEMU's cryptodev-vhost-user does (11.1): SET_FEATURES has none of
// the driver's bits, and SET_VRING_ENABLE does not come. It shows in the absence
// of VERSION_1, which no driver of such a device goes without.
//
// Then indirect descriptors are taken, the driver is always called and its kicks
// are always wanted, so it may use the event index; and a ring is a packed one
// if its first position is one.
func (s *session) reticent() bool { return s.features&FeatureVersion1 == 0 }

func (s *session) u64(v uint64) (int, error) { return wire.Put(s.body(), v), nil }

func (s *session) getFeatures(*message) (int, error) { return s.u64(s.offered()) }

// setFeatures is obeyed at any time: it also turns logging on and off.
func (s *session) setFeatures(m *message) (int, error) {
	f := wire.Order.Uint64(m.payload)
	if extra := f &^ s.offered(); extra != 0 {
		return 0, fmt.Errorf("features %#x were not offered: %w", extra, unix.EINVAL)
	}
	changed := s.features ^ f
	s.features = f
	s.setLogging()
	if changed&ringFeatures != 0 {
		s.restart(func() error { return nil })
	}
	return 0, nil
}

func (s *session) getProtocolFeatures(*message) (int, error) { return s.u64(s.protocolFeatures()) }

func (s *session) setProtocolFeatures(m *message) (int, error) {
	f := wire.Order.Uint64(m.payload)
	if extra := f &^ s.protocolFeatures(); extra != 0 {
		return 0, fmt.Errorf("protocol features %#x were not offered: %w", extra, unix.EINVAL)
	}
	// There is no other way to say that this will not do.
	const inband = wire.ProtocolBackendReq | wire.ProtocolReplyAck
	if f&wire.ProtocolInbandNotify != 0 && f&inband != inband {
		return 0, fmt.Errorf("in-band notifications without BACKEND_REQ and REPLY_ACK: %w", unix.EINVAL)
	}
	s.protocol.Store(f)
	return 0, nil
}

func (s *session) setOwner(*message) (int, error) {
	if s.owned {
		return 0, fmt.Errorf("has an owner: %w", unix.EBUSY)
	}
	s.owned = true
	return 0, nil
}

// resetOwner disables the rings, as the specification recommends for this
// message that nobody should send any more.
func (s *session) resetOwner(*message) (int, error) {
	for _, r := range s.rings {
		r.setEnabled(false)
	}
	return 0, nil
}

func (s *session) resetDevice(*message) (int, error) {
	for _, r := range s.rings {
		r.reset()
	}
	s.status = 0
	s.dev.Reset()
	return 0, nil
}

// setStatus notes the status for GET_STATUS. Zero stops the rings; the device
// keeps its sessions, because QEMU also sends it when a guest is paused.
func (s *session) setStatus(m *message) (int, error) {
	v := wire.Order.Uint64(m.payload)
	if v > 0xff {
		return 0, fmt.Errorf("status %#x: %w", v, unix.EINVAL)
	}
	s.status = uint8(v)
	if v == 0 {
		for _, r := range s.rings {
			r.halt()
		}
	}
	return 0, nil
}

func (s *session) getStatus(*message) (int, error) { return s.u64(uint64(s.status)) }

// config finds what a message wants of the configuration space.
func (s *session) config(m *message) (part, data []byte, c wire.Config, err error) {
	c = wire.Get[wire.Config](m.payload)
	data = m.payload[wire.ConfigSize:]
	all := s.dev.Config()
	if uint64(c.Size) != uint64(len(data)) || uint64(c.Offset)+uint64(c.Size) > uint64(len(all)) {
		return nil, nil, c, fmt.Errorf("%d bytes of configuration at %d, message has %d: %w", c.Size, c.Offset, len(data), unix.EINVAL)
	}
	return all[c.Offset:][:c.Size], data, c, nil
}

func (s *session) getConfig(m *message) (int, error) {
	part, _, c, err := s.config(m)
	if err != nil {
		return 0, err
	}
	n := wire.Put(s.body(), c)
	return n + copy(s.body()[n:], part), nil
}

// setConfig: there is no field that a driver may write. A migration may bring
// the contents from the other side, which must be the same device.
func (s *session) setConfig(m *message) (int, error) {
	part, data, c, err := s.config(m)
	switch {
	case err != nil:
		return 0, err
	case c.Flags != wire.ConfigMigration:
		return 0, fmt.Errorf("the configuration is read-only: %w", unix.EPERM)
	case !bytes.Equal(part, data):
		return 0, fmt.Errorf("the configuration is that of another device: %w", unix.EINVAL)
	}
	return 0, nil
}

// noPayload says no to GET_CONFIG.
func noPayload(*session, *message) int { return 0 }

func (s *session) getQueueNum(*message) (int, error) { return s.u64(uint64(s.dev.Queues())) }
