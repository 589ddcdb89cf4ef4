package virtiocrypto

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// Engine does operations. It is used by several goroutines at a time.
type Engine interface {
	// Supports reports whether Do can do operations with a cipher, a length of
	// its key, and a hash or MAC.
	Supports(c bamclient.Cipher, keyLen int, a bamclient.Auth) bool
	// Do does an operation. It returns when it is done or, with
	// bamclient.ErrCanceled, when cancel is closed before.
	Do(op *bamclient.Operation, cancel <-chan struct{}) error
}

// Config describes a device.
type Config struct {
	Engine   Engine
	Fallback Engine // for what Engine cannot do; nil: such sessions are refused
	// DataQueues is the number of data queues. With ControlQueue there is one
	// more ring behind them; QEMU keeps the control queue to itself and sends
	// messages.
	DataQueues   int
	ControlQueue bool
}

// Device is a virtio crypto device.
type Device struct {
	cfg      Config
	sessions *sessions
	queues   []queue
	counts   struct{ engine, fallback atomic.Uint64 }
}

var (
	_ backend.Device       = (*Device)(nil)
	_ backend.CryptoDevice = (*Device)(nil)
	_ backend.Persistent   = (*Device)(nil)
)

// New returns a device without sessions.
func New(c Config) (*Device, error) {
	if c.DataQueues < 1 || c.DataQueues > 64 {
		return nil, fmt.Errorf("%d data queues: not between 1 and 64", c.DataQueues)
	}
	d := &Device{cfg: c, sessions: newSessions(), queues: make([]queue, c.DataQueues)}
	return d, nil
}

// Features implements backend.Device. The revision bits and stateless modes are
// not offered.
func (d *Device) Features() uint64 { return 0 }

// Queues implements backend.Device.
func (d *Device) Queues() int {
	if d.cfg.ControlQueue {
		return d.cfg.DataQueues + 1
	}
	return d.cfg.DataQueues
}

// Reset implements backend.Device: all sessions end.
func (d *Device) Reset() { d.sessions.reset() }

// Requests returns how many operations the engine and the fallback have done.
func (d *Device) Requests() (engine, fallback uint64) {
	return d.counts.engine.Load(), d.counts.fallback.Load()
}

// supports reports whether somebody can do such operations.
func (d *Device) supports(c bamclient.Cipher, keyLen int, a bamclient.Auth) bool {
	return d.cfg.Engine.Supports(c, keyLen, a) || d.cfg.Fallback != nil && d.cfg.Fallback.Supports(c, keyLen, a)
}

// Config implements backend.Device (virtio §5.9.4).
func (d *Device) Config() []byte {
	b := make([]byte, 0, configSize)
	services, masks := d.algorithms()
	for _, v := range []uint32{
		hwReady, uint32(d.cfg.DataQueues), services,
		uint32(masks[serviceCipher]), uint32(masks[serviceCipher] >> 32), uint32(masks[serviceHash]),
		uint32(masks[serviceMAC]), uint32(masks[serviceMAC] >> 32), uint32(masks[serviceAEAD]),
		maxCipherKey, maxAuthKey, 0,
	} {
		b = order.AppendUint32(b, v)
	}
	return order.AppendUint64(b, math.MaxUint32)
}

// algorithms returns the masks of services and of the algorithms of each.
func (d *Device) algorithms() (services uint32, masks [4]uint64) {
	offer := func(service int, number uint32, keyLen int, c bamclient.Cipher, a bamclient.Auth) {
		if d.supports(c, keyLen, a) {
			services |= 1 << service
			masks[service] |= 1 << number
		}
	}
	for n, c := range ciphers {
		offer(serviceCipher, n, c.MinKey(), c, bamclient.NoAuth)
	}
	for n, a := range hashes {
		offer(serviceHash, n, 0, bamclient.NoCipher, a)
	}
	for n, a := range macs {
		offer(serviceMAC, n, 0, bamclient.NoCipher, a)
	}
	for n, c := range aeads {
		offer(serviceAEAD, n, c.MinKey(), c, bamclient.NoAuth)
	}
	return services, masks
}

// CreateSession implements backend.CryptoDevice. A QEMU before 8.1 does not say
// which service it wants, but has only one.
func (d *Device) CreateSession(m *wire.CryptoSession) (uint64, error) {
	p := parameters{
		opType: uint32(m.OpType), algo: m.CipherAlg, direction: uint32(m.Direction), key: m.CipherKey[:m.CipherKeyLen],
		order: uint32(m.ChainOrder), hashMode: uint32(m.HashMode), hashAlgo: m.HashAlg, resultLen: m.HashResultLen,
		authKey: m.AuthKey[:m.AuthKeyLen], tagLen: m.HashResultLen,
	}
	if m.OpCode != 0 {
		if m.OpCode&0xff != opCreate || m.OpCode>>8 > serviceAEAD {
			return 0, status(statusNotSupp)
		}
		p.service = uint32(m.OpCode >> 8)
	}
	if p.service == serviceAEAD {
		p.resultLen = 0
	}
	return d.create(&p)
}

func (d *Device) create(p *parameters) (uint64, error) {
	s, err := p.session(d.supports)
	defer func() { s = session{} }()
	if err != nil {
		return 0, err
	}
	return d.sessions.add(&s)
}

// CloseSession implements backend.CryptoDevice.
func (d *Device) CloseSession(id uint64) error {
	err := d.sessions.remove(id)
	if errors.Is(err, status(statusInvSess)) {
		return fmt.Errorf("session %#x: %w", id, backend.ErrNoSession)
	}
	return err
}

// StateSize implements backend.Persistent.
func (d *Device) StateSize() uint64 { return maxSessions * recordSize }

// Adopt implements backend.Persistent.
func (d *Device) Adopt(mem bus.Memory) error { return d.sessions.adopt(mem, d.valid) }

// valid reports whether a session from outside is one that this device could
// have made.
func (d *Device) valid(s *session) bool {
	return s.cipher <= bamclient.AESGCM && s.auth <= bamclient.CMACAES && int(s.resultLen) <= s.auth.Size() &&
		s.tagLen <= 16 && s.cipher.KeyFits(int(s.keyLen)) && int(s.authLen) <= macKey && s.service <= serviceAEAD &&
		d.supports(s.cipher, int(s.keyLen), s.auth)
}
