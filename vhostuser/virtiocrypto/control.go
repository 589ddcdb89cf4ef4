package virtiocrypto

import (
	"errors"

	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// control serves a request of the control queue (virtio §5.9.7.2).
func (d *Device) control(r *backend.Request) error {
	c := r.Chain
	if c.OutLen < ctrlSize {
		return errNoHeader
	}
	var head [ctrlSize]byte
	var view virtqueue.View
	view.Reset(c.Out, 0, c.OutLen)
	if err := view.Read(r.Memory, 0, head[:]); err != nil {
		return err
	}
	opcode := order.Uint32(head[:])
	if opcode&0xff == opDestroy {
		return d.destroy(r, head[ctrlHeader:])
	}
	var out [sessionInput]byte
	if c.InLen < sessionInput {
		return errNoStatus
	}
	code := status(statusNotSupp)
	if opcode&0xff == opCreate {
		id, err := d.createFrom(r, &view, opcode>>8, head[ctrlHeader:])
		if code = asStatus(err); code == statusOK {
			order.PutUint64(out[:], id)
		}
	}
	order.PutUint32(out[8:], uint32(code))
	view.Reset(c.In, 0, c.InLen)
	r.Written = sessionInput
	return view.Write(r.Memory, 0, out[:])
}

// asStatus is the code of a session that could not be made.
func asStatus(err error) status {
	var s status
	switch {
	case err == nil:
		return statusOK
	case errors.As(err, &s):
		return s
	}
	return statusErr
}

func (d *Device) destroy(r *backend.Request, fixed []byte) error {
	if r.Chain.InLen < 1 {
		return errNoStatus
	}
	code := byte(statusOK)
	if d.sessions.remove(order.Uint64(fixed)) != nil {
		code = statusErr
	}
	var view virtqueue.View
	view.Reset(r.Chain.In, 0, 1)
	r.Written = 1
	return view.Write(r.Memory, 0, []byte{code})
}

// createFrom makes a session from the fields of a request and the keys behind
// them.
func (d *Device) createFrom(r *backend.Request, view *virtqueue.View, service uint32, f []byte) (uint64, error) {
	w := func(i int) uint32 { return order.Uint32(f[4*i:]) }
	p := parameters{service: service}
	var keyLen, authLen uint32
	switch service {
	case serviceCipher:
		p.opType = w(12)
		switch p.opType {
		case symCipher:
			p.algo, keyLen, p.direction = w(0), w(1), w(2)
		case symChain:
			p.order, p.hashMode = w(0), w(1)
			p.algo, keyLen, p.direction = w(2), w(3), w(4)
			p.hashAlgo, p.resultLen = w(6), w(7)
			if p.hashMode == hashModeAuth {
				authLen = w(8)
			}
		}
	case serviceHash:
		p.hashAlgo, p.resultLen = w(0), w(1)
	case serviceMAC:
		p.hashAlgo, p.resultLen, authLen = w(0), w(1), w(2)
	case serviceAEAD:
		p.algo, keyLen, p.tagLen, p.direction = w(0), w(1), w(2), w(4)
	}
	if keyLen > maxCipherKey || authLen > maxAuthKey {
		return 0, status(statusErr)
	}
	var keys [maxCipherKey + maxAuthKey]byte
	defer clear(keys[:])
	k := keys[:keyLen+authLen]
	if len(k) > 0 {
		if err := view.Read(r.Memory, ctrlSize, k); err != nil {
			return 0, status(statusErr)
		}
	}
	p.key, p.authKey = k[:keyLen], k[keyLen:]
	return d.create(&p)
}
