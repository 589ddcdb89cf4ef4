package virtiocrypto

import (
	"errors"

	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// queue is what a data queue needs for the request that it serves. It is used by
// one goroutine at a time.
type queue struct {
	head         [dataSize]byte
	iv           [16]byte
	session      session
	op           bamclient.Operation
	in, out, aad stream
	status       [1]byte
	rest         virtqueue.View
	written      uint64 // contiguous bytes of the writable part, from its beginning
}

// stream is a part of a chain as an operation sees it.
type stream struct {
	view virtqueue.View
	mem  bus.Memory
}

func (s *stream) Read(off uint64, p []byte) error  { return s.view.Read(s.mem, off, p) }
func (s *stream) Write(off uint64, p []byte) error { return s.view.Write(s.mem, off, p) }

// Errors of a chain that has no room for header and status.
var (
	errNoHeader = errors.New("crypto request without a header")
	errNoStatus = errors.New("crypto request without room for a status")
)

// Serve implements backend.Device.
func (d *Device) Serve(index int, r *backend.Request) error {
	if index >= len(d.queues) {
		return d.control(r)
	}
	q := &d.queues[index]
	c := r.Chain
	if c.InLen < 1 {
		return errNoStatus
	}
	if c.OutLen < dataSize {
		return errNoHeader
	}
	q.rest.Reset(c.Out, 0, dataSize)
	if err := q.rest.Read(r.Memory, 0, q.head[:]); err != nil {
		return err
	}
	q.written = 0
	code, err := d.serve(q, r)
	clear(q.session.key[:])
	clear(q.session.authKey[:])
	if err != nil {
		return err
	}
	q.status[0] = uint8(code)
	q.rest.Reset(c.In, c.InLen-1, 1)
	if err := q.rest.Write(r.Memory, 0, q.status[:]); err != nil {
		return err
	}
	if q.written >= c.InLen-1 {
		q.written = c.InLen
	}
	r.Written = uint32(min(q.written, 1<<32-1))
	return nil
}

// serve does the request in q.head. The error is for the ring, the status for
// the driver. It notes what it has written for certain: the driver may take that
// many bytes for the device's (virtio §2.7.8.2), so less may be said, and not
// more. The status, which comes last, is there in any case.
func (d *Device) serve(q *queue, r *backend.Request) (status, error) {
	opcode := order.Uint32(q.head[0:])
	service, what := opcode>>8, opcode&0xff
	if service > serviceAEAD || what > opDecrypt {
		return statusNotSupp, nil
	}
	s := &q.session
	if !d.sessions.find(order.Uint64(q.head[8:]), s) || uint32(s.service) != service {
		return statusInvSess, nil
	}
	q.op = bamclient.Operation{
		Cipher: s.cipher, Auth: s.auth, Encrypt: s.encrypt, Key: s.key[:s.keyLen],
		AuthKey: s.authKey[:s.authLen], AuthAfter: s.authAfter, TagLen: int(s.tagLen),
		In: &q.in, Out: &q.out, AAD: &q.aad,
	}
	var l layout
	if code := l.read(q.head[dataHeader:], s, what == opEncrypt); code != statusOK {
		return code, nil
	}
	if code := q.place(r, &l); code != statusOK {
		return code, nil
	}
	err := d.do(&q.op, r.Cancel)
	if errors.Is(err, bamclient.ErrCanceled) {
		return 0, backend.ErrAbandoned
	}
	if s.cipher != bamclient.NoCipher && (err == nil || errors.Is(err, bamclient.ErrTag)) {
		q.written = l.src
	}
	if err != nil {
		return statusOf(err), nil
	}
	if l.result > 0 {
		q.rest.Reset(r.Chain.In, l.resultAt, l.result)
		if err := q.rest.Write(r.Memory, 0, q.op.Result[:l.result]); err != nil {
			return statusErr, nil
		}
		if l.resultAt <= q.written {
			q.written = max(q.written, l.resultAt+l.result)
		}
	}
	return statusOK, nil
}

// do lets the engine do the operation, or the fallback what the engine cannot:
// beside a length of key also an empty text.
func (d *Device) do(op *bamclient.Operation, cancel <-chan struct{}) error {
	err := d.cfg.Engine.Do(op, cancel)
	switch {
	case errors.Is(err, bamclient.ErrCanceled):
		return err
	case errors.Is(err, bamclient.ErrUnsupported) && d.cfg.Fallback != nil:
		d.counts.fallback.Add(1)
		return d.cfg.Fallback.Do(op, cancel)
	}
	d.counts.engine.Add(1)
	return err
}

func statusOf(err error) status {
	switch {
	case errors.Is(err, bamclient.ErrTag):
		return statusBadMsg
	case errors.Is(err, bamclient.ErrUnsupported):
		return statusNotSupp
	}
	return statusErr
}

// layout says where the parts of a request lie. Readable are the header, IV,
// source and associated data; writable are destination, result and status.
type layout struct {
	iv, src, aad, dst uint64 // lengths
	result            uint64 // of digest, MAC, or the tag of an encryption
	resultAt          uint64 // in the writable part
	tag               uint64 // of a decryption, at the end of the source

	cipherStart, cipherLen, authStart, authLen uint64
}

// read takes the layout from the fixed-length fields.
func (l *layout) read(f []byte, s *session, encrypt bool) status {
	w := func(i int) uint64 { return uint64(order.Uint32(f[4*i:])) }
	switch s.service {
	case serviceHash, serviceMAC:
		if !encrypt { // the only operation that there is has this number
			return statusNotSupp
		}
		l.src, l.result = w(0), w(1)
		l.authLen = l.src
		if l.result == 0 || l.result > uint64(s.resultLen) {
			return statusErr
		}
		return statusOK
	case serviceAEAD:
		l.iv, l.aad, l.src, l.dst = w(0), w(1), w(2), w(3)
		return l.aead(s, encrypt)
	}
	if encrypt != s.encrypt {
		return statusErr
	}
	l.iv, l.src, l.dst = w(0), w(1), w(2)
	switch opType := order.Uint32(f[40:]); {
	case opType == symCipher && !s.chain:
		l.cipherLen = l.src
	case opType == symChain && s.chain:
		l.cipherStart, l.cipherLen, l.authStart, l.authLen = w(3), w(4), w(5), w(6)
		l.aad, l.result = w(7), w(8)
		if l.aad > 0 || l.result == 0 || l.result > uint64(s.resultLen) ||
			l.authStart+l.authLen > l.src || l.cipherStart+l.cipherLen > l.src {
			return statusErr
		}
		l.resultAt = l.dst
	default:
		return statusErr
	}
	if l.dst < l.src || l.iv != uint64(s.cipher.IVLen()) || l.cipherLen%uint64(s.cipher.Block()) != 0 {
		return statusErr
	}
	return statusOK
}

// aead finds the tag.
func (l *layout) aead(s *session, encrypt bool) status {
	tag := uint64(s.tagLen)
	if encrypt != s.encrypt || l.iv == 0 || l.iv > 16 {
		return statusErr
	}
	if encrypt {
		if l.dst < l.src+tag {
			return statusErr
		}
		l.result, l.resultAt = tag, l.src
	} else {
		if l.src < tag || l.dst < l.src-tag {
			return statusErr
		}
		l.src, l.tag = l.src-tag, tag
	}
	l.cipherLen, l.authLen = l.src, l.src
	return statusOK
}

// place points the operation to the parts of the chain.
func (q *queue) place(r *backend.Request, l *layout) status {
	c := r.Chain
	if dataSize+l.iv+l.src+l.tag+l.aad > c.OutLen || max(l.dst, l.resultAt+l.result) > c.InLen-1 {
		return statusErr
	}
	if l.src > bamclient.MaxLen || l.aad > bamclient.MaxLen {
		return statusErr
	}
	at := uint64(dataSize)
	q.rest.Reset(c.Out, at, l.iv)
	if q.rest.Read(r.Memory, 0, q.iv[:l.iv]) != nil {
		return statusErr
	}
	at += l.iv
	q.in.mem, q.out.mem, q.aad.mem = r.Memory, r.Memory, r.Memory
	q.in.view.Reset(c.Out, at, l.src)
	at += l.src
	q.rest.Reset(c.Out, at, l.tag)
	if q.rest.Read(r.Memory, 0, q.op.Result[:l.tag]) != nil {
		return statusErr
	}
	at += l.tag
	q.aad.view.Reset(c.Out, at, l.aad)
	q.out.view.Reset(c.In, 0, l.src)

	op := &q.op
	op.IV = q.iv[:l.iv]
	op.Len, op.AADLen = uint32(l.src), uint32(l.aad)
	op.CipherStart, op.CipherLen = uint32(l.cipherStart), uint32(l.cipherLen)
	op.AuthStart, op.AuthLen = uint32(l.authStart), uint32(l.authLen)
	return statusOK
}
