package qce

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
)

// family is a block cipher without its mode.
type family uint8

const (
	famAES family = iota + 1
	famDES
	famTDES
)

// schedule is an expanded key with what its modes need.
type schedule struct {
	family   family
	size     int // bytes of key
	key      [32]byte
	used     uint64 // when it was used last
	block    cipher.Block
	cbc, dec chained // made when first needed
}

// chained is a CBC mode whose IV can be set anew; Go's library has it so, but
// does not name the type.
type chained interface {
	cipher.BlockMode
	SetIV([]byte)
}

// schedules keeps the expanded keys of the last few operations: expanding a key
// costs an allocation, and requests come in runs of one key.
type schedules struct {
	slots [16]schedule
	clock uint64
}

// get returns the schedule of a key. The key's size must be right for the
// family.
func (s *schedules) get(f family, key []byte) *schedule {
	s.clock++
	oldest := &s.slots[0]
	for i := range s.slots {
		e := &s.slots[i]
		if e.family == f && e.size == len(key) && string(e.key[:e.size]) == string(key) {
			e.used = s.clock
			return e
		}
		if e.used < oldest.used {
			oldest = e
		}
	}
	*oldest = schedule{family: f, size: len(key), used: s.clock, block: newBlock(f, key)}
	copy(oldest.key[:], key)
	return oldest
}

func newBlock(f family, key []byte) cipher.Block {
	var b cipher.Block
	var err error
	switch f {
	case famAES:
		b, err = aes.NewCipher(key)
	case famDES:
		b, err = des.NewCipher(key)
	case famTDES:
		b, err = des.NewTripleDESCipher(key)
	}
	if err != nil {
		panic("qce: " + err.Error()) // a wrong key size: the model's own mistake
	}
	return b
}

func (s *schedule) encrypter(iv []byte) cipher.BlockMode {
	if s.cbc == nil {
		s.cbc = cipher.NewCBCEncrypter(s.block, iv).(chained)
	}
	s.cbc.SetIV(iv)
	return s.cbc
}

func (s *schedule) decrypter(iv []byte) cipher.BlockMode {
	if s.dec == nil {
		s.dec = cipher.NewCBCDecrypter(s.block, iv).(chained)
	}
	s.dec.SetIV(iv)
	return s.dec
}

// forget drops all keys.
func (s *schedules) forget() { *s = schedules{} }
