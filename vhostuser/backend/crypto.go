package backend

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
)

// createCryptoSession answers with the message as it came and the session ID in
// it.
func (s *session) createCryptoSession(m *message) (int, error) {
	var d wire.CryptoSession
	defer func() { d = wire.CryptoSession{} }()
	if !wire.GetCryptoSession(m.payload, &d) {
		return 0, fmt.Errorf("crypto session of %d bytes, keys of %d and %d: %w", len(m.payload), d.CipherKeyLen, d.AuthKeyLen, unix.EINVAL)
	}
	id, err := s.dev.(CryptoDevice).CreateSession(&d)
	if err != nil {
		return 0, err
	}
	return s.session(m, int64(id)), nil
}

// noSession says no to CREATE_CRYPTO_SESSION. In a message of another length,
// nobody knows where the session ID is.
func noSession(s *session, m *message) int {
	if len(m.payload) != wire.CryptoSessionSize && len(m.payload) != wire.OldCryptoSessionSize {
		clear(m.payload)
		return cannotSay
	}
	return s.session(m, -1)
}

// session makes the answer, without the keys: nobody looks for them there.
func (s *session) session(m *message, id int64) int {
	b := s.body()[:len(m.payload)]
	clear(b)
	wire.PutSessionID(b, id)
	clear(m.payload)
	return len(b)
}

func (s *session) closeCryptoSession(m *message) (int, error) {
	return 0, s.dev.(CryptoDevice).CloseSession(wire.Order.Uint64(m.payload))
}
