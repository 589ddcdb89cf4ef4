package record

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// packer makes chunks ready to be written.
type packer struct {
	flate *flate.Writer
	out   bytes.Buffer
}

func newPacker() *packer {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &packer{flate: w}
}

// pack returns the bytes of a chunk, valid until the next call. Where
// compression saves nothing, the stored bytes are the raw ones; the lengths
// tell.
func (p *packer) pack(typ byte, raw []byte) ([]byte, error) {
	p.out.Reset()
	p.out.Write(make([]byte, chunkPrefix))
	p.flate.Reset(&p.out)
	_, err := p.flate.Write(raw)
	if err = errors.Join(err, p.flate.Close()); err != nil {
		return nil, err
	}
	if p.out.Len()-chunkPrefix >= len(raw) {
		p.out.Truncate(chunkPrefix)
		p.out.Write(raw)
	}
	whole := p.out.Bytes()
	stored := whole[chunkPrefix:]
	var head [chunkPrefix]byte
	h := append(head[:0], typ)
	h = binary.AppendUvarint(h, uint64(len(raw)))
	h = binary.AppendUvarint(h, uint64(len(stored)))
	h = binary.LittleEndian.AppendUint32(h, crc32.Update(crc32.Checksum(h, castagnoli), castagnoli, stored))
	whole = whole[chunkPrefix-len(h):]
	copy(whole, h)
	return whole, nil
}

// unpacker reads chunks, one at a time.
type unpacker struct {
	in     *bufio.Reader
	off    int64 // in the file, of what is read next
	stored []byte
	raw    []byte
	src    bytes.Reader
	flate  io.ReadCloser
}

func newUnpacker(r io.Reader) *unpacker {
	return &unpacker{in: bufio.NewReaderSize(r, 64<<10), flate: flate.NewReader(bytes.NewReader(nil))}
}

// errCut says that the file ends within a chunk.
var errCut = errors.New("the file ends in the middle of a chunk")

// next returns the next chunk; its bytes are valid until the next call. At the
// end of the file the error is io.EOF, and errCut where it ends too early.
func (u *unpacker) next() (typ byte, raw []byte, err error) {
	var head [chunkPrefix]byte
	h := head[:0]
	c, err := u.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	h = append(h, c)
	var size [2]uint64
	for i := range size {
		start := len(h)
		for {
			if c, err = u.in.ReadByte(); err != nil {
				return 0, nil, cut(err)
			}
			h = append(h, c)
			if c < 0x80 {
				break
			}
			if len(h)-start == binary.MaxVarintLen64 {
				return 0, nil, errors.New("its length is no number")
			}
		}
		size[i], _ = binary.Uvarint(h[start:])
	}
	if size[0] > maxRaw || size[1] > size[0] {
		return 0, nil, errors.New("its length is impossible")
	}
	var sum [4]byte
	if _, err := io.ReadFull(u.in, sum[:]); err != nil {
		return 0, nil, cut(err)
	}
	u.stored = grown(u.stored, int(size[1]))
	if _, err := io.ReadFull(u.in, u.stored); err != nil {
		return 0, nil, cut(err)
	}
	if crc32.Update(crc32.Checksum(h, castagnoli), castagnoli, u.stored) != binary.LittleEndian.Uint32(sum[:]) {
		return 0, nil, errors.New("its checksum is wrong")
	}
	u.off += int64(len(h)+len(sum)) + int64(len(u.stored))
	if size[0] == size[1] {
		return h[0], u.stored, nil
	}
	raw, err = u.inflate(int(size[0]))
	return h[0], raw, err
}

func (u *unpacker) inflate(size int) ([]byte, error) {
	u.src.Reset(u.stored)
	if err := u.flate.(flate.Resetter).Reset(&u.src, nil); err != nil {
		return nil, err
	}
	u.raw = grown(u.raw, size)
	if _, err := io.ReadFull(u.flate, u.raw); err != nil {
		return nil, fmt.Errorf("it does not decompress: %w", err)
	}
	var more [1]byte
	if n, err := u.flate.Read(more[:]); n != 0 || err != io.EOF {
		return nil, errors.New("it decompresses to more than it says")
	}
	return u.raw, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// grown returns a slice of n bytes, p if it has room.
func grown(p []byte, n int) []byte {
	if cap(p) >= n {
		return p[:n]
	}
	return make([]byte, n)
}
