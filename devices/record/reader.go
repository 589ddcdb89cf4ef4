package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/qcemu/qcemu/devices/cryptoblock"
)

// Reader reads a recording from its beginning to its end, and keeps no more
// than a chunk of it in memory.
type Reader struct {
	Header Header
	tail   *tail // of a recording that is complete
	in     *unpacker
	dec    decoder
	peeked bool
	rec    rec
	err    error // why there is no further record
}

// DamagedError says that a file is no recording, or is damaged.
type DamagedError struct{ Why string }

func (e *DamagedError) Error() string { return e.Why }

func damagedf(format string, args ...any) error { return &DamagedError{fmt.Sprintf(format, args...)} }

// NewReader reads the header of a recording.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: newUnpacker(in)}
	start := make([]byte, len(magic)+1)
	if n, err := io.ReadFull(r.in.in, start); err != nil && cut(err) != errCut {
		return nil, err
	} else if n < len(start) || !bytes.Equal(start[:len(magic)], []byte(magic)) {
		return nil, damagedf("this is no recording")
	}
	if v := start[len(magic)]; v != version {
		return nil, damagedf("the recording has format %d; this program reads format %d", v, version)
	}
	r.in.off = int64(len(start))
	typ, text, err := r.in.next()
	switch {
	case err == io.EOF || errors.Is(err, errCut):
		return nil, damagedf("the recording ends before it says what was recorded")
	case err != nil:
		return nil, r.damage(err)
	case typ != headChunk || len(text) > maxHead:
		return nil, damagedf("the recording does not begin with a header")
	}
	if err := json.Unmarshal(text, &r.Header); err != nil {
		return nil, damagedf("the recording's header: %v", err)
	}
	if err := r.Header.Config.Validate(); err != nil {
		return nil, damagedf("the recording's header: %v", err)
	}
	p, err := cryptoblock.ProfileByName(r.Header.Config.SoC)
	if err != nil {
		return nil, damagedf("the recording's header: %v", err)
	}
	r.dec.ee, r.dec.ees = uint8(p.EE), uint8(p.NumEEs)
	return r, nil
}

// damage says where the file is damaged. Errors of the system pass.
func (r *Reader) damage(err error) error {
	if errors.Is(err, errCut) {
		return err
	}
	var path interface{ Timeout() bool } // an error of the operating system
	if errors.As(err, &path) {
		return err
	}
	return damagedf("the recording is damaged at byte %d: %v", r.in.off, err)
}

// peek returns the next record without taking it. The error is io.EOF at the
// end of a complete recording, errCut where one was cut off.
func (r *Reader) peek() (*rec, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.peeked {
		return &r.rec, nil
	}
	for len(r.dec.buf) == 0 {
		if r.err = r.chunk(); r.err != nil {
			return nil, r.err
		}
	}
	if err := r.dec.read(&r.rec); err != nil {
		r.err = damagedf("the recording is damaged before byte %d: %v", r.in.off, err)
		return nil, r.err
	}
	r.peeked = true
	return &r.rec, nil
}

// take is peek, and the record is taken.
func (r *Reader) take() (*rec, error) {
	n, err := r.peek()
	r.peeked = false
	return n, err
}

// chunk reads the next chunk.
func (r *Reader) chunk() error {
	typ, raw, err := r.in.next()
	switch {
	case err == io.EOF && r.tail == nil:
		return errCut
	case err == io.EOF:
		return err
	case err != nil:
		return r.damage(err)
	case r.tail != nil:
		return damagedf("the recording goes on behind its end at byte %d", r.in.off)
	}
	switch typ {
	case dataChunk:
		r.dec.begin(raw)
		return nil
	case tailChunk:
		r.tail = &tail{}
		if err := json.Unmarshal(raw, r.tail); err != nil {
			return damagedf("the recording's end: %v", err)
		}
		return nil
	}
	return damagedf("the recording is damaged before byte %d: there is no chunk of type %q", r.in.off, typ)
}
