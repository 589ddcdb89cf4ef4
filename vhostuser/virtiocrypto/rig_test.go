package virtiocrypto_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"testing"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bamclient/software"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/trace"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtiocrypto"
)

const (
	dataQueues = 2
	control    = dataQueues // the ring behind them
	ringSize   = 64
)

// rig is a guest with a virtio crypto device, whose engine is the model.
type rig struct {
	*vhosttest.Frontend
	t      testing.TB
	ram    *vhosttest.RAM
	dev    *virtiocrypto.Device
	count  *attest.Counter
	queues []*vhosttest.Queue
	mark   uint64

	written uint32 // by the last request
}

func newRig(t testing.TB, soc string, sinks ...trace.Sink) *rig {
	t.Helper()
	p, err := cryptoblock.ProfileByName(soc)
	if err != nil {
		t.Fatal(err)
	}
	client, err := bamclient.New("virtio-crypto", p, p.Places()[0])
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, count: attest.NewCounter()}
	block, err := cryptoblock.New(*p, cryptoblock.Options{Clients: []cryptoblock.Client{client.Block()}, Sinks: append(sinks, r.count)})
	if err != nil {
		t.Fatal(err)
	}
	client.Attach(block)
	r.dev, err = virtiocrypto.New(virtiocrypto.Config{Engine: client, Fallback: software.Engine{}, DataQueues: dataQueues, ControlQueue: true})
	if err != nil {
		t.Fatal(err)
	}
	server := backend.New(backend.Config{Device: r.dev, Log: slog.New(slog.DiscardHandler)})
	f, sock := vhosttest.Pair(t)
	r.Frontend = f
	over := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { over <- server.ServeConn(ctx, sock) }()
	t.Cleanup(func() {
		f.Close()
		cancel()
		<-over
	})
	r.ram = vhosttest.NewRAM(t, 0x40000000, 0x7f0000000000, 8<<20)
	r.Negotiate(backend.FeatureVersion1|backend.FeatureIndirect|backend.FeatureEventIdx, ^uint64(0))
	r.SetMemory(r.ram)
	for i := range uint32(dataQueues + 1) {
		r.queues = append(r.queues, r.Start(i, vhosttest.NewSplit(r.ram, ringSize, true), 0))
	}
	r.mark = r.ram.Mark()
	return r
}

// fields makes a structure of little-endian words.
func fields(words ...uint32) (b []byte) {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// padded extends a structure with zeros.
func padded(b []byte, n int) []byte { return append(b, make([]byte, n-len(b))...) }

// Services and operations.
const (
	cipherService = 0
	hashService   = 1
	macService    = 2
	aeadService   = 3

	encrypt = 0
	decrypt = 1

	ok      = 0
	failed  = 1
	badMsg  = 2
	notSupp = 3
	invSess = 4
	noSpc   = 5
)

// create makes a session by the control queue.
func (r *rig) create(service uint32, fixed []byte, keys ...[]byte) (id uint64, status uint32) {
	r.t.Helper()
	r.ram.Free(r.mark)
	head := append(fields(service<<8|2, 0, 0, 0), padded(fixed, 56)...)
	out := []vhosttest.Buffer{r.ram.Put(head)}
	for _, k := range keys {
		if len(k) > 0 {
			out = append(out, r.ram.Put(k))
		}
	}
	in := r.ram.Space(16)
	if n := r.queues[control].Do(out, []vhosttest.Buffer{in}, true); n != 16 {
		r.t.Fatalf("%d bytes were written", n)
	}
	b := r.ram.Of(in)
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
}

// session is a create that has to work.
func (r *rig) session(service uint32, fixed []byte, keys ...[]byte) uint64 {
	r.t.Helper()
	id, status := r.create(service, fixed, keys...)
	if status != ok {
		r.t.Fatalf("session of service %d: status %d", service, status)
	}
	return id
}

// cipherSession is a session of the cipher service.
func (r *rig) cipherSession(algo uint32, key []byte, direction uint32) (uint64, uint32) {
	r.t.Helper()
	fixed := append(padded(fields(algo, uint32(len(key)), direction+1, 0), 48), fields(1, 0)...)
	return r.create(cipherService, fixed, key)
}

// destroy ends a session.
func (r *rig) destroy(service uint32, id uint64) byte {
	r.t.Helper()
	head := padded(append(fields(service<<8|3, 0, 0, 0), binary.LittleEndian.AppendUint64(nil, id)...), 72)
	in := r.ram.Space(1)
	r.queues[control].Do([]vhosttest.Buffer{r.ram.Put(head)}, []vhosttest.Buffer{in}, false)
	return r.ram.Of(in)[0]
}

// request sends a request to a data queue. Readable and writable parts are one
// buffer each, the status another. It returns what was written, and the status.
func (r *rig) request(queue int, service, op uint32, id uint64, fixed []byte, out [][]byte, in ...int) (result [][]byte, status byte) {
	r.t.Helper()
	r.ram.Free(r.mark)
	head := fields(service<<8|op, 0)
	head = binary.LittleEndian.AppendUint64(head, id)
	head = append(append(head, fields(0, 0)...), padded(fixed, 48)...)
	outs := []vhosttest.Buffer{r.ram.Put(head)}
	for _, p := range out {
		if len(p) > 0 {
			outs = append(outs, r.ram.Put(p))
		}
	}
	var ins []vhosttest.Buffer
	for _, n := range in {
		ins = append(ins, r.ram.Space(n))
	}
	last := r.ram.Space(1)
	r.written = r.queues[queue].Do(outs, append(ins, last), len(outs)%2 == 0)
	for _, b := range ins {
		result = append(result, append([]byte(nil), r.ram.Of(b)...))
	}
	return result, r.ram.Of(last)[0]
}

// cipher does a request of the cipher service.
func (r *rig) cipher(queue int, id uint64, op uint32, iv, text []byte) ([]byte, byte) {
	r.t.Helper()
	n := uint32(len(text))
	fixed := append(padded(fields(uint32(len(iv)), n, n, 0), 40), fields(1, 0)...)
	res, status := r.request(queue, cipherService, op, id, fixed, [][]byte{iv, text}, len(text))
	return res[0], status
}
