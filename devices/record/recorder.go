package record

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
)

// Recorder writes a recording. It is the Tap of a model: it is called from
// inside the model and hardly ever makes it wait. A goroutine compresses and
// writes; it has so many buffers, and no more.
type Recorder struct {
	path     string
	file     *os.File
	failed   func(error)
	began    time.Time     // zero: no times are kept
	open     bool          // the books are not closed: the recording ends before the run does
	stall    time.Duration // how long the model may have to wait for a buffer
	patience time.Duration // how long Close waits for the disk
	free     chan []byte
	full     chan chunk
	done     chan struct{} // closed when the goroutine has ended

	telling sync.WaitGroup // calls of failed

	mu      sync.Mutex // guards the rest
	enc     encoder
	off     bool // nothing is recorded any more
	ended   bool
	closed  bool
	err     error
	entries uint64
	writes  uint64 // of the entry that is being made
	sum     uint32

	// Of the goroutine:
	pack *packer
	good int64 // bytes of the file up to which all is well
}

// chunk is a filled buffer.
type chunk struct {
	typ byte
	raw []byte
}

const (
	buffers    = 32          // of about chunkSize: what a slow disk may lag behind
	maxStall   = time.Second // a guest that waits for 5 s is broken
	maxWait    = time.Minute
	flushEvery = 250 * time.Millisecond
)

var _ model.Tap = (*Recorder)(nil)

// Create begins a recording in a file that only its owner may read. If writing
// fails later, the recording ends, what there is of it stays readable, and
// failed is told why, once; the model does not notice.
func Create(path string, h Header, failed func(error)) (*Recorder, error) {
	r, err := create(path, h, failed)
	if err != nil {
		return nil, err
	}
	r.began = time.Now()
	r.start(flushEvery)
	return r, nil
}

// create opens the file; nothing in it depends on the time.
func create(path string, h Header, failed func(error)) (*Recorder, error) {
	profile, err := cryptoblock.ProfileByName(h.Config.SoC)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if fi, err := file.Stat(); err == nil && fi.Mode().IsRegular() {
		err = file.Chmod(0o600) // it may have been there before
		if err != nil {
			file.Close()
			return nil, err
		}
	}
	r := &Recorder{path: path, file: file, failed: failed, pack: newPacker(), stall: maxStall, patience: maxWait,
		free: make(chan []byte, buffers), full: make(chan chunk, buffers), done: make(chan struct{})}
	if err := r.head(h); err != nil {
		file.Close()
		return nil, fmt.Errorf("recording %s: %w", path, err)
	}
	for range buffers - 1 {
		r.free <- nil // made when they are needed
	}
	r.enc.ee = uint8(profile.EE)
	r.enc.begin(nil)
	return r, nil
}

// head writes what stands before the records.
func (r *Recorder) head(h Header) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(text) > maxHead {
		return errors.New("the configuration is too long for a recording")
	}
	if _, err := r.file.Write(append([]byte(magic), version)); err != nil {
		return err
	}
	r.good = int64(len(magic)) + 1
	return r.write(chunk{headChunk, text})
}

// start lets the goroutine write; with an interval also what is not yet full.
func (r *Recorder) start(interval time.Duration) {
	go func() {
		defer close(r.done)
		var tick <-chan time.Time
		if interval > 0 {
			t := time.NewTicker(interval)
			defer t.Stop()
			tick = t.C
		}
		for {
			select {
			case c, ok := <-r.full:
				if !ok {
					return
				}
				r.put(c)
			case <-tick:
				if c, ok := r.early(); ok {
					r.put(c)
				}
			}
		}
	}()
}

// early takes a buffer that is not full, if none that is full waits.
func (r *Recorder) early() (chunk, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.off || r.closed || len(r.full) > 0 || len(r.enc.buf) == 0 {
		return chunk{}, false
	}
	select {
	case next := <-r.free:
		c := chunk{dataChunk, r.enc.buf}
		r.enc.begin(next)
		return c, true
	default:
		return chunk{}, false
	}
}

// put writes a chunk and gives its buffer back.
func (r *Recorder) put(c chunk) {
	if r.good >= 0 {
		if err := r.write(c); err != nil {
			r.good = -1
			r.mu.Lock()
			r.stop(err)
			r.mu.Unlock()
		}
	}
	r.free <- c.raw
}

// write appends a chunk to the file. When that fails, the file ends with what
// was whole before.
func (r *Recorder) write(c chunk) error {
	p, err := r.pack.pack(c.typ, c.raw)
	if err != nil {
		return err
	}
	if _, err := r.file.Write(p); err != nil {
		// What cannot be cut off, a reader takes for the end of a run that died.
		_ = r.file.Truncate(r.good)
		return err
	}
	r.good += int64(len(p))
	return nil
}

// stop ends the recording. r.mu is held.
func (r *Recorder) stop(err error) {
	if r.off = true; r.err != nil {
		return
	}
	r.err = err
	if r.failed != nil {
		err = fmt.Errorf("recording %s ends here, the run goes on without it: %w", r.path, reason(err))
		r.telling.Go(func() { r.failed(err) }) // which may take its time
	}
}

// reason leaves out the path, which the message has already.
func reason(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

var errSlow = fmt.Errorf("the disk does not keep up: it is %d MB behind", buffers*chunkSize>>20)

// next hands the buffer on when it is full. r.mu is held.
func (r *Recorder) next() {
	var fresh []byte
	select {
	case fresh = <-r.free:
	default:
		t := time.NewTimer(r.stall)
		defer t.Stop()
		select {
		case fresh = <-r.free:
		case <-t.C:
			r.stop(errSlow)
			return
		}
	}
	r.full <- chunk{dataChunk, r.enc.buf}
	r.enc.begin(fresh)
}

// room makes room for a record. r.mu is held.
func (r *Recorder) room() {
	if len(r.enc.buf) >= chunkSize {
		r.next()
	}
	if len(r.enc.buf) == 0 && !r.began.IsZero() {
		r.enc.time(uint64(time.Since(r.began).Milliseconds()))
	}
}

// do appends a record.
func (r *Recorder) do(f func(e *encoder)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.off {
		return
	}
	if r.room(); !r.off {
		f(&r.enc)
	}
}

// Enter implements cryptoblock.Tap.
func (r *Recorder) Enter(n *cryptoblock.Entry) {
	r.do(func(e *encoder) {
		r.writes, r.sum = 0, 0
		e.entry(n)
	})
}

// Leave implements cryptoblock.Tap.
func (r *Recorder) Leave(n *cryptoblock.Entry) {
	r.do(func(e *encoder) {
		e.leave(n, r.writes, r.sum)
		r.entries++
	})
}

// MemoryRead implements cryptoblock.Tap.
func (r *Recorder) MemoryRead(pipe int, addr uint64, p []byte, err error) {
	r.do(func(e *encoder) {
		switch {
		case len(p) > maxAccess:
			r.stop(fmt.Errorf("a pipe reads %d bytes at once", len(p)))
		case err != nil:
			e.fault(pipe, addr, len(p), faultOf(err))
		default:
			e.fetch(pipe, addr, p)
		}
	})
}

// MemoryWrite implements cryptoblock.Tap.
func (r *Recorder) MemoryWrite(pipe int, addr uint64, p []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.off:
	case err == nil:
		r.writes++
		r.sum = checksum(r.sum, addr, p)
	default:
		if r.room(); !r.off {
			r.enc.writeFault(pipe, addr, len(p), faultOf(err), r.writes)
		}
	}
}

// checksum goes on with the checksum of what an entry has written.
func checksum(sum uint32, addr uint64, p []byte) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], addr)
	return crc32.Update(crc32.Update(sum, castagnoli, at[:]), castagnoli, p)
}

// faultOf is the reason of a failed access, 0 when it is none of the bus's.
func faultOf(err error) bus.Reason {
	var f *bus.Fault
	if errors.As(err, &f) {
		return f.Reason
	}
	return 0
}

// Begin implements model.Tap.
func (r *Recorder) Begin(suite string) {
	r.do(func(e *encoder) { e.suite(suite) })
}

// End implements model.Tap.
func (r *Recorder) End() {
	if !r.open {
		r.do(func(e *encoder) { e.end() })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.off, r.ended = true, r.err == nil
}

// Close ends the books of the model and the recording, and writes what is still
// to be written. The error is nil also when the recording ended before with a
// failure that was told.
func (r *Recorder) Close(m *model.Model) error {
	m.End()
	digest := m.Digest()
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed, r.off = true, true
	last, entries := r.enc.buf, r.entries
	whole := r.ended && r.err == nil
	r.mu.Unlock()
	if whole && len(last) > 0 {
		r.full <- chunk{dataChunk, last}
	}
	close(r.full)
	select {
	case <-r.done:
	case <-time.After(r.patience):
		return fmt.Errorf("recording %s: the disk does not answer", r.path)
	}
	r.telling.Wait()
	var err error
	if whole && r.good >= 0 {
		err = r.tail(tail{Entries: entries, Digest: digest})
	}
	if err = errors.Join(err, r.file.Close()); err != nil {
		return fmt.Errorf("recording %s: %w", r.path, reason(err))
	}
	return nil
}

func (r *Recorder) tail(t tail) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return r.write(chunk{tailChunk, text})
}
