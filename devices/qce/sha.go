package qce

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"hash"
)

// hasher is a hash of Go's library whose chaining value can be read and set.
type hasher interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// sha is a hash function as the engine has it: a chaining value that software
// loads and reads, blocks, and padding for a total length that software knows.
// Go's library does the blocks; its own length counter is not used.
type sha struct {
	h        hasher
	magic    string // head of the library's state
	block    int
	state    int // bytes of the chaining value
	digest   int
	lenField int // bytes of the length in the padding
	std      []byte

	part    [128]byte // of a block
	n       int       // bytes in it
	scratch [4 + 64 + 128 + 8]byte
}

func newSHA(i int) sha {
	var s sha
	switch i {
	case 0:
		s = sha{h: sha1.New().(hasher), magic: "sha\x01", block: 64, state: 20, digest: 20, lenField: 8}
	case 1:
		s = sha{h: sha256.New().(hasher), magic: "sha\x03", block: 64, state: 32, digest: 32, lenField: 8}
	case 2:
		s = sha{h: sha512.New384().(hasher), magic: "sha\x04", block: 128, state: 64, digest: 48, lenField: 16}
	default:
		s = sha{h: sha512.New().(hasher), magic: "sha\x07", block: 128, state: 64, digest: 64, lenField: 16}
	}
	s.std = make([]byte, s.state)
	s.store(s.std)
	return s
}

// load sets the chaining value.
func (s *sha) load(state []byte) {
	s.n = 0
	b := append(s.scratch[:0], s.magic...)
	b = append(b, state[:s.state]...)
	b = b[:len(b)+s.block+8]
	clear(b[len(s.magic)+s.state:])
	if err := s.h.UnmarshalBinary(b); err != nil {
		panic("qce: " + err.Error()) // the library's state has another form than the tests saw
	}
}

// store reads the chaining value after the last whole block.
func (s *sha) store(state []byte) {
	b, err := s.h.AppendBinary(s.scratch[:0])
	if err != nil {
		panic("qce: " + err.Error())
	}
	copy(state[:s.state], b[len(s.magic):])
}

func (s *sha) update(p []byte) {
	if s.n > 0 {
		k := copy(s.part[s.n:s.block], p)
		s.n += k
		p = p[k:]
		if s.n < s.block {
			return
		}
		s.h.Write(s.part[:s.block])
		s.n = 0
	}
	if whole := len(p) - len(p)%s.block; whole > 0 {
		s.h.Write(p[:whole])
		p = p[whole:]
	}
	s.n = copy(s.part[:], p)
}

// pad ends a message of total bytes.
func (s *sha) pad(total uint64) {
	s.part[s.n] = 0x80
	clear(s.part[s.n+1 : s.block])
	if s.n+1 > s.block-s.lenField {
		s.h.Write(s.part[:s.block])
		clear(s.part[:s.block])
	}
	if s.lenField == 16 {
		binary.BigEndian.PutUint64(s.part[s.block-16:], total>>61)
	}
	binary.BigEndian.PutUint64(s.part[s.block-8:], total<<3)
	s.h.Write(s.part[:s.block])
	s.n = 0
}

// xorKey hashes the block of an HMAC key mixed with its pad byte.
func (s *sha) xorKey(key []byte, pad byte) {
	for i := range s.block {
		s.part[i] = pad
		if i < len(key) {
			s.part[i] ^= key[i]
		}
	}
	s.h.Write(s.part[:s.block])
	clear(s.part[:s.block])
	s.n = 0
}
