package virtiocrypto

import (
	"fmt"
	"sync"

	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bus"
)

// maxSessions is the number of sessions that there can be at a time.
const maxSessions = 1 << slotBits

const slotBits = 12

// sessions is the table of sessions. An ID is the number of the session's slot
// and, above it, a count of the sessions that there were, so that an old ID
// does not find a new session.
type sessions struct {
	mu    sync.RWMutex
	count uint64
	free  []uint16 // slots
	slots [maxSessions]session
	kept  bus.Memory // nil: the table is not kept elsewhere
	buf   [recordSize]byte
}

func newSessions() *sessions {
	t := &sessions{free: make([]uint16, 0, maxSessions)}
	t.empty()
	return t
}

func (t *sessions) empty() {
	t.free = t.free[:0]
	for i := range t.slots {
		t.slots[i] = session{}
		t.free = append(t.free, uint16(maxSessions-1-i))
	}
}

// add gives a session an ID.
func (t *sessions) add(s *session) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.free) == 0 {
		return 0, status(statusNoSpc)
	}
	slot := t.free[len(t.free)-1]
	t.count++
	s.id = t.count<<slotBits | uint64(slot)
	if err := t.keep(slot, s); err != nil {
		return 0, err
	}
	t.free = t.free[:len(t.free)-1]
	t.slots[slot] = *s
	return s.id, nil
}

// remove ends a session.
func (t *sessions) remove(id uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := uint16(id & (maxSessions - 1))
	if id == 0 || t.slots[slot].id != id {
		return status(statusInvSess)
	}
	t.slots[slot] = session{}
	t.free = append(t.free, slot)
	return t.keep(slot, &t.slots[slot])
}

// find copies a session to s.
func (t *sessions) find(id uint64, s *session) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := &t.slots[id&(maxSessions-1)]
	if id == 0 || p.id != id {
		return false
	}
	*s = *p
	return true
}

// reset ends all sessions.
func (t *sessions) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.slots {
		if t.slots[i].id != 0 {
			t.keep(uint16(i), &session{})
		}
	}
	t.empty()
}

// In memory that is kept, each slot has a record: the ID, the small fields and
// the keys. The ID is written last, so a record with an ID is whole.
const (
	recordSize    = 256
	recordFields  = 8
	recordKey     = 24
	recordAuthKey = recordKey + maxCipherKey
)

func (t *sessions) keep(slot uint16, s *session) error {
	if t.kept == nil {
		return nil
	}
	b := t.buf[:]
	clear(b)
	copy(b[recordFields:], []byte{
		s.service, uint8(s.cipher), uint8(s.auth), asByte(s.encrypt), asByte(s.chain), asByte(s.authAfter),
		s.tagLen, s.resultLen, s.keyLen, s.authLen,
	})
	copy(b[recordKey:], s.key[:])
	copy(b[recordAuthKey:], s.authKey[:])
	at := uint64(slot) * recordSize
	err := t.kept.Write(at, b[:8]) // no session while the record is written
	if err == nil {
		err = t.kept.Write(at+8, b[8:])
	}
	if err == nil {
		order.PutUint64(b, s.id)
		err = t.kept.Write(at, b[:8])
	}
	clear(b)
	return err
}

func asByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// adopt takes up the sessions in mem and keeps the table there from now on. The
// memory was the peer's for a while: a record that makes no sense is refused.
func (t *sessions) adopt(mem bus.Memory, valid func(*session) bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = nil
	if mem == nil {
		return nil
	}
	var found []session
	defer clear(found)
	for slot := range uint64(maxSessions) {
		b := t.buf[:]
		if err := mem.Read(slot*recordSize, b); err != nil {
			return err
		}
		id := order.Uint64(b)
		if id == 0 {
			continue
		}
		f := b[recordFields:]
		s := session{
			id: id, service: f[0], cipher: bamclient.Cipher(f[1]), auth: bamclient.Auth(f[2]),
			encrypt: f[3] != 0, chain: f[4] != 0, authAfter: f[5] != 0,
			tagLen: f[6], resultLen: f[7], keyLen: f[8], authLen: f[9],
			key: [maxCipherKey]byte(b[recordKey:]), authKey: [macKey]byte(b[recordAuthKey:]),
		}
		if id&(maxSessions-1) != slot || id>>63 != 0 || !valid(&s) {
			return fmt.Errorf("record %d is no session", slot)
		}
		found = append(found, s)
	}
	t.kept = mem
	if len(found) == 0 { // new memory: what there is goes there
		for i := range t.slots {
			if s := &t.slots[i]; s.id != 0 {
				if err := t.keep(uint16(i), s); err != nil {
					return err
				}
			}
		}
		return nil
	}
	t.empty()
	t.free = t.free[:0]
	for _, s := range found {
		t.slots[s.id&(maxSessions-1)] = s
		t.count = max(t.count, s.id>>slotBits)
	}
	for i := range t.slots {
		if t.slots[i].id == 0 {
			t.free = append(t.free, uint16(i))
		}
	}
	return nil
}
