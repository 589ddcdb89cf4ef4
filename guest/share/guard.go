package share

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Limits of one connection.
const (
	maxMessage  = 512 << 10 // bytes of one message, either way
	minMessage  = 4 << 10   // least msize a client may ask for
	maxInFlight = 64        // requests taken and not answered
)

// The layout and the types of the messages that the guard looks into (9P2000:
// size[4] type[1] tag[2], then the body).
const (
	headerSize = 7
	peekSize   = headerSize + 16 // as far as the fields that are checked

	tFlush   = 108 // oldtag[2]
	tVersion = 100 // msize[4] version[s]; the reply has the same
	tAttach  = 104
	tRead    = 116 // fid[4] offset[8] count[4]
	tReaddir = 40  // fid[4] offset[8] count[4]
)

// guard stands between the stream and the 9P server, which trusts its client
// more than a guest deserves: it would start a goroutine for each request of a
// client that never reads its replies, wait for ever in a flush of itself, and
// renegotiate the version in the middle of other requests. The guard knows the
// requests in flight by their tags, makes the client wait when there are too
// many, and ends the connection at the first message that is out of bounds.
//
// Read is called by one goroutine at a time, and so is Write.
type guard struct {
	conn  io.ReadWriteCloser
	begin <-chan struct{} // closed: the client's messages may begin
	ended chan struct{}   // closed: the end of input, or of the connection
	end   sync.Once       // closes ended

	// Of Read.
	peeked []byte // checked and not yet handed on
	body   int    // bytes of the message that follow the peeked ones

	// Of Write.
	reply      int    // bytes of the reply still to come
	versionTag uint16 // of an Rversion whose msize is still to come
	rversion   bool   // there is one

	mu      sync.Mutex
	changed *sync.Cond      // on mu: tags shrank, or closed
	tags    map[uint16]byte // guarded by mu; in flight, with their types
	msize   uint32          // guarded by mu; what the server takes as a message
	raised  uint32          // guarded by mu; what it takes after the next message; 0: the same
	closed  bool            // guarded by mu
	err     error           // guarded by mu; why the guard closed
}

// newGuard makes a guard that hands on a message of our own first, and then, when
// begin is closed, the client's.
func newGuard(conn io.ReadWriteCloser, first []byte, begin <-chan struct{}) *guard {
	g := &guard{
		conn: conn, begin: begin, ended: make(chan struct{}),
		peeked: first, tags: map[uint16]byte{}, msize: maxMessage,
	}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// fault says how the client broke the protocol, nil if it did not.
func (g *guard) fault() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.changed.Broadcast()
	g.end.Do(func() { close(g.ended) })
	return g.conn.Close()
}

// fail ends the connection.
func (g *guard) fail(format string, args ...any) error {
	g.mu.Lock()
	if g.err == nil && !g.closed {
		g.err = fmt.Errorf("9p: the guest "+format, args...)
	}
	g.mu.Unlock()
	g.Close()
	return io.ErrUnexpectedEOF
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.read(p)
	if err != nil {
		// The server does not read again.
		g.end.Do(func() { close(g.ended) })
	}
	return n, err
}

func (g *guard) read(p []byte) (int, error) {
	if len(g.peeked) == 0 && g.body == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	if len(g.peeked) > 0 {
		n := copy(p, g.peeked)
		g.peeked = g.peeked[n:]
		return n, nil
	}
	n, err := g.conn.Read(p[:min(len(p), g.body)])
	g.body -= n
	return n, err
}

// next takes the beginning of a message and admits it.
func (g *guard) next() error {
	<-g.begin
	buf := make([]byte, peekSize)
	if _, err := io.ReadFull(g.conn, buf[:headerSize]); err != nil {
		return err
	}
	le := binary.LittleEndian
	size, kind, tag := le.Uint32(buf), buf[4], le.Uint16(buf[5:])
	if size < headerSize || size > maxMessage {
		return g.fail("sent a message of %d bytes, allowed are %d to %d", size, headerSize, maxMessage)
	}
	buf = buf[:min(int(size), peekSize)]
	if _, err := io.ReadFull(g.conn, buf[headerSize:]); err != nil {
		return err
	}
	body := buf[headerSize:]
	switch {
	case kind == tFlush && len(body) >= 2 && le.Uint16(body) == tag:
		return g.fail("sent a flush of itself")
	case kind == tVersion && len(body) >= 4 && (le.Uint32(body) < minMessage || le.Uint32(body) > maxMessage):
		return g.fail("asked for messages of %d bytes, allowed are %d to %d", le.Uint32(body), minMessage, maxMessage)
	case (kind == tRead || kind == tReaddir) && len(body) >= 16 && le.Uint32(body[12:]) > maxMessage:
		return g.fail("asked for %d bytes in one message", le.Uint32(body[12:]))
	}
	if kind == tFlush && len(body) >= 2 {
		if old := le.Uint16(body); old == holdTag || g.flushing(old) {
			return g.fail("sent a flush of tag %d, which is never answered or a flush itself", old)
		}
	}
	if err := g.admit(tag, kind, size); err != nil {
		return err
	}
	g.peeked, g.body = buf, int(size)-len(buf)
	return nil
}

// admit waits until there is room for one more request. A Tversion is alone in
// flight.
func (g *guard) admit(tag uint16, kind byte, size uint32) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if tag == holdTag {
		g.mu.Unlock()
		defer g.mu.Lock()
		return g.fail("used tag %d, which is the server's own", tag)
	}
	if _, busy := g.tags[tag]; busy {
		g.mu.Unlock()
		defer g.mu.Lock()
		return g.fail("used tag %d for two requests at once", tag)
	}
	for !g.closed && len(g.tags) > 0 && (kind == tVersion || len(g.tags) >= maxInFlight || g.negotiating()) {
		g.changed.Wait()
	}
	if g.closed {
		return io.ErrClosedPipe
	}
	if size > g.msize { // the server would end without another Read
		limit := g.msize
		g.mu.Unlock()
		defer g.mu.Lock()
		return g.fail("sent a message of %d bytes, it has agreed to %d", size, limit)
	}
	if g.raised > 0 {
		g.msize, g.raised = g.raised, 0
	}
	g.tags[tag] = kind
	return nil
}

func (g *guard) negotiating() bool {
	for _, kind := range g.tags {
		if kind == tVersion {
			return true
		}
	}
	return false
}

// flushing reports whether a tag is that of a Tflush in flight. Two that flush
// each other would wait for ever.
func (g *guard) flushing(tag uint16) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tags[tag] == tFlush
}

// Write passes on a reply, which the server hands over in a few pieces, the
// first of which holds the header.
func (g *guard) Write(p []byte) (int, error) {
	le := binary.LittleEndian
	switch {
	case g.reply == 0:
		if len(p) < headerSize {
			return 0, g.fail("got a reply without a header")
		}
		g.reply = int(le.Uint32(p))
		tag := le.Uint16(p[5:])
		g.mu.Lock()
		_, known := g.tags[tag]
		g.mu.Unlock()
		if !known { // the server answers what it cannot decode without its tag
			return 0, g.fail("sent a message that cannot be decoded")
		}
		if p[4] == tVersion+1 {
			g.rversion, g.versionTag = true, tag
		} else {
			g.free(tag)
		}
	case g.rversion:
		g.rversion = false
		if len(p) < 4 {
			return 0, g.fail("got an Rversion without its size")
		}
		if msize := le.Uint32(p); msize > 0 { // else nothing has been agreed on
			g.agree(msize)
		}
		g.free(g.versionTag)
	}
	n, err := g.conn.Write(p)
	if g.reply -= n; g.reply <= 0 {
		g.reply = 0
		g.mu.Lock()
		g.changed.Broadcast()
		g.mu.Unlock()
	}
	if err != nil {
		g.Close()
	}
	return n, err
}

// agree notes a new limit for messages. The server looks at its limit before it
// waits for a message, so the first one has to be within the old limit too.
func (g *guard) agree(msize uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.raised = 0
	if msize > g.msize {
		g.raised = msize
		return
	}
	g.msize = msize
}

// free gives a tag back: the client may use it again as soon as it has the reply.
func (g *guard) free(tag uint16) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tags, tag)
}
