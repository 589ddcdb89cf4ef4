package oracle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/qcemu/qcemu/devices/qce"
)

// ErrNotJudged says that the oracle does not know the configuration.
var ErrNotJudged = errors.New("oracle: configuration is not judged")

// Result is what an operation must give.
type Result struct {
	Payload   []byte // output without the result dump
	Dump      []byte // result dump, nil when none was asked for; its two status words are 0
	MACFailed bool
	AuthIV    [64]byte
	ByteCnt   [4]uint32
	IV        [16]byte

	space *space
}

// space is memory that is used again from operation to operation.
type space struct{ out, tweaks []byte }

// scrub forgets what was in it.
func (s *space) scrub() {
	clear(s.out)
	clear(s.tweaks)
}

// where the parts of the result dump stand (datasheet §17).
const (
	dumpByteCnt = 0x40
	dumpIV      = 0x50
	dumpStatus  = 0x60
	dumpEnd     = 0x68
)

// words are the two configuration words, taken apart.
type words struct {
	cipher, keySize, mode   uint32
	encrypt                 bool
	auth, authKey, authMode uint32
	size, pos               uint32
	last, first, compare    bool
}

func decode(c *qce.Latched) words {
	e, a := c.EncrSegCfg, c.AuthSegCfg
	return words{
		cipher: e & 7, keySize: e >> 3 & 7, mode: e >> 6 & 15, encrypt: e>>10&1 == 1,
		auth: a & 7, authKey: a >> 3 & 7, authMode: a >> 6 & 7, size: a >> 9 & 31, pos: a >> 14 & 3,
		last: a>>16&1 == 1, first: a>>17&1 == 1, compare: a>>24&1 == 1,
	}
}

func (w words) ccm() bool { return w.cipher == 2 && w.mode == 4 }
func (w words) gcm() bool { return w.cipher == 2 && w.mode == 6 }

// part returns p[start:start+size], clipped.
func part(p []byte, start, size uint32) []byte {
	lo := min(uint64(start), uint64(len(p)))
	hi := min(uint64(start)+uint64(size), uint64(len(p)))
	return p[lo:max(lo, hi)]
}

// Expect computes the result of an operation that took in as its input, which
// is SEG_SIZE bytes.
func Expect(c *qce.Latched, in []byte) (*Result, error) { return expect(c, in, &space{}) }

// expect is Expect; Payload may lie in s.
func expect(c *qce.Latched, in []byte, s *space) (*Result, error) {
	w := decode(c)
	if uint32(len(in)) != c.SegSize {
		return nil, ErrNotJudged
	}
	r := &Result{AuthIV: c.AuthIV, ByteCnt: c.ByteCnt, IV: c.IV, space: s}
	s.out = append(s.out[:0], in...)
	out := s.out
	text := part(out, c.EncrSegStart, c.EncrSegSize)
	var tag []byte
	if aead := w.ccm() || w.gcm(); aead && w.last && !w.encrypt {
		n := tagLen(w)
		if len(text) < n {
			return nil, ErrNotJudged
		}
		tag = bytes.Clone(text[len(text)-n:])
		clear(text[len(text)-n:])
		text = text[:len(text)-n]
	}
	if w.cipher != 0 {
		if err := r.cipher(c, w, text); err != nil {
			return nil, err
		}
	}
	seen := in
	if w.pos == 1 {
		seen = out
	}
	seen = part(seen, c.AuthSegStart, c.AuthSegSize)
	if w.auth != 0 {
		if err := r.authenticate(c, w, seen, tag); err != nil {
			return nil, err
		}
	}
	if w.cipher != 0 {
		r.Payload = out
		if (w.ccm() || w.gcm()) && w.last && w.encrypt {
			area := make([]byte, tagLen(w))
			copy(area, r.AuthIV[:])
			if c.MACArea64 {
				area = append(area, make([]byte, 64-len(area))...)
			}
			r.Payload = append(r.Payload, area...)
		}
	}
	if byRegisters := c.Config>>4&1 == 1; c.Go>>2&1 == 1 && !byRegisters {
		r.dump(c)
	}
	return r, nil
}

func tagLen(w words) int { return min(int(w.size)+1, 16) }

func (r *Result) dump(c *qce.Latched) {
	size := dumpEnd
	if c.Dump128 {
		size = 128
	}
	r.Dump = make([]byte, size)
	copy(r.Dump, r.AuthIV[:])
	for i, n := range r.ByteCnt {
		binary.BigEndian.PutUint32(r.Dump[dumpByteCnt+4*i:], n)
	}
	copy(r.Dump[dumpIV:], r.IV[:])
}

// check compares the output stream and the final STATUS of an operation with
// what they must be. The error names the first difference and no secret.
func check(c *qce.Latched, in, out []byte, status uint32, s *space) error {
	want, err := expect(c, in, s)
	if err != nil {
		return err
	}
	if len(out) != len(want.Payload)+len(want.Dump) {
		return fmt.Errorf("output is %d bytes, must be %d of payload and %d of dump", len(out), len(want.Payload), len(want.Dump))
	}
	payload, dump := out[:len(want.Payload)], out[len(want.Payload):]
	if i := differ(payload, want.Payload); i >= 0 {
		return fmt.Errorf("output differs at byte %d of %d", i, len(payload))
	}
	if len(dump) > 0 {
		dump = bytes.Clone(dump)
		clear(dump[dumpStatus:dumpEnd])
		if i := differ(dump, want.Dump); i >= 0 {
			return fmt.Errorf("result dump differs at byte %#x", i)
		}
	}
	if failed := status>>31 == 1; failed != want.MACFailed {
		return fmt.Errorf("MAC_FAILED is %v, must be %v", failed, want.MACFailed)
	}
	return nil
}

func differ(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
