package afalg

import (
	"fmt"
	"os"
)

// Cipher is a symmetric cipher with a key.
type Cipher struct{ t *transform }

// NewCipher opens a symmetric cipher.
func NewCipher(name string, key []byte) (*Cipher, error) {
	t, err := open(typeCipher, name, key)
	if err != nil {
		return nil, err
	}
	return &Cipher{t}, nil
}

// Close releases the algorithm.
func (c *Cipher) Close() error { return c.t.close() }

// Crypt encrypts or decrypts src as one request of the driver. The IV is nil
// for a mode that takes none.
func (c *Cipher) Crypt(d Direction, iv, src []byte) ([]byte, error) {
	r, err := c.t.begin(len(src))
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.send(false, controlData(d, iv, -1), src); err != nil {
		return nil, err
	}
	if len(src) == 0 {
		// The driver sees the request when a result is asked for.
		n, err := r.receive(make([]byte, 1))
		return make([]byte, n), err
	}
	dst := make([]byte, len(src))
	return dst, r.receiveFull(dst)
}

// Splice is Crypt on the first size bytes of a file, which reach the kernel's
// crypto interface without being copied through this process.
func (c *Cipher) Splice(d Direction, iv []byte, f *os.File, size int) ([]byte, error) {
	r, err := c.t.begin(size)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.send(true, controlData(d, iv, -1)); err != nil {
		return nil, err
	}
	if err := r.splice(f, size); err != nil {
		return nil, err
	}
	dst := make([]byte, size)
	return dst, r.receiveFull(dst)
}

// CipherStream is one message that passes through a cipher in chunks: each is a
// request of its own, and the kernel carries the chaining value from one to the
// next.
type CipherStream struct {
	r       *request
	control []byte // not sent yet
	unit    int
	pending int // bytes sent, not received
}

// Stream begins a message. unit is what the mode can process at least: its
// block, and for CTR the block of the cipher under it.
func (c *Cipher) Stream(d Direction, iv []byte, unit int) (*CipherStream, error) {
	if unit <= 0 {
		return nil, c.t.fail("begin a stream", fmt.Errorf("unit of %d bytes", unit))
	}
	r, err := c.t.begin(0)
	if err != nil {
		return nil, err
	}
	return &CipherStream{r: r, control: controlData(d, iv, -1), unit: unit}, nil
}

// Close ends the message.
func (s *CipherStream) Close() { s.r.close() }

// Next sends a chunk and returns what became ready by it: whole units, and with
// the last chunk all the rest. A chunk is at most 64 KiB.
func (s *CipherStream) Next(src []byte, last bool) ([]byte, error) {
	if len(src) > 64<<10 {
		return nil, s.r.t.fail("send", fmt.Errorf("chunk of %d bytes: at most 64 KiB", len(src)))
	}
	if err := s.r.send(!last, s.control, src); err != nil {
		return nil, err
	}
	s.control = nil
	s.pending += len(src)
	ready := s.pending
	if !last {
		ready -= ready % s.unit
	}
	s.pending -= ready
	dst := make([]byte, ready)
	return dst, s.r.receiveFull(dst)
}
