package virtiocrypto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/qcemu/qcemu/devices/bamclient"
	"github.com/qcemu/qcemu/devices/bamclient/software"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtiocrypto"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// TestBadRequests: what a request gets wrong, its status tells.
func TestBadRequests(t *testing.T) {
	r := newRig(t, "ideal")
	cbc, _ := r.cipherSession(3, pattern(16), encrypt)
	sha := r.session(hashService, fields(4, 32))
	mac := r.session(macService, fields(4, 32, 20), pattern(20))
	seal := r.session(aeadService, fields(2, 16, 8, 0, 1), pattern(16))
	open := r.session(aeadService, fields(2, 16, 8, 0, 2), pattern(16))
	chainFixed := append(padded(fields(2, 2, 3, 16, 1, 0, 4, 32, 20), 48), fields(2, 0)...)
	chain := r.session(cipherService, chainFixed, pattern(16), pattern(20))
	sym := func(kind uint32, words ...uint32) []byte {
		return append(padded(fields(words...), 40), fields(kind, 0)...)
	}
	iv := pattern(16)
	for _, c := range []struct {
		name        string
		service, op uint32
		id          uint64
		fixed       []byte
		out         int // bytes behind the header
		in          int
		want        byte
	}{
		{"unknown service", 9, encrypt, cbc, sym(1, 16, 16, 16), 32, 16, notSupp},
		{"unknown operation", cipherService, 7, cbc, sym(1, 16, 16, 16), 32, 16, notSupp},
		{"asymmetric", 4, encrypt, cbc, sym(1, 16, 16, 16), 32, 16, notSupp},
		{"no session", cipherService, encrypt, 0, sym(1, 16, 16, 16), 32, 16, invSess},
		{"session of all ones", cipherService, encrypt, ^uint64(0), sym(1, 16, 16, 16), 32, 16, invSess},
		{"old session", cipherService, encrypt, cbc + 1<<12, sym(1, 16, 16, 16), 32, 16, invSess},
		{"session of another service", hashService, encrypt, cbc, fields(16, 32), 16, 32, invSess},

		{"no operation", cipherService, encrypt, cbc, sym(0, 16, 16, 16), 32, 16, failed},
		{"chain with a cipher's session", cipherService, encrypt, cbc, sym(2, 16, 16, 16, 0, 16, 0, 16, 0, 32), 32, 48, failed},
		{"cipher with a chain's session", cipherService, encrypt, chain, sym(1, 16, 16, 16), 32, 16, failed},
		{"short IV", cipherService, encrypt, cbc, sym(1, 8, 16, 16), 24, 16, failed},
		{"long IV", cipherService, encrypt, cbc, sym(1, 17, 16, 16), 33, 16, failed},
		{"IV of 4 GiB", cipherService, encrypt, cbc, sym(1, ^uint32(0), 16, 16), 33, 16, failed},
		{"partial block", cipherService, encrypt, cbc, sym(1, 16, 15, 16), 31, 16, failed},
		{"destination too short", cipherService, encrypt, cbc, sym(1, 16, 32, 16), 48, 32, failed},
		{"source not there", cipherService, encrypt, cbc, sym(1, 16, 32, 32), 32, 32, failed},
		{"source of 4 GiB", cipherService, encrypt, cbc, sym(1, 16, ^uint32(15), ^uint32(15)), 32, 32, failed},
		{"destination not there", cipherService, encrypt, cbc, sym(1, 16, 32, 32), 48, 31, failed},

		{"hash without result", hashService, encrypt, sha, fields(16, 0), 16, 32, failed},
		{"hash with a long result", hashService, encrypt, sha, fields(16, 33), 16, 33, failed},
		{"hash result not there", hashService, encrypt, sha, fields(16, 32), 16, 31, failed},
		{"hash of what is not there", hashService, encrypt, sha, fields(17, 32), 16, 32, failed},
		{"second operation of the hash service", hashService, decrypt, sha, fields(16, 32), 16, 32, notSupp},
		{"MAC result not there", macService, encrypt, mac, fields(16, 32), 16, 8, failed},

		{"AEAD without nonce", aeadService, encrypt, seal, fields(0, 0, 16, 24), 16, 24, failed},
		{"AEAD with a long nonce", aeadService, encrypt, seal, fields(17, 0, 16, 24), 33, 24, failed},
		{"CCM with a nonce of 6", aeadService, encrypt, seal, fields(6, 0, 16, 24), 22, 24, notSupp},
		{"AEAD without room for the tag", aeadService, encrypt, seal, fields(13, 0, 16, 16), 29, 16, failed},
		{"AEAD shorter than a tag", aeadService, decrypt, open, fields(13, 0, 7, 0), 20, 0, failed},
		{"AEAD in the other direction", aeadService, decrypt, seal, fields(13, 0, 16, 8), 29, 8, failed},
		{"AEAD data not there", aeadService, encrypt, seal, fields(13, 1<<31, 16, 24), 29, 24, failed},

		{"chain with associated data", cipherService, encrypt, chain, sym(2, 16, 16, 16, 0, 16, 0, 16, 4, 32), 36, 48, failed},
		{"chain with a part outside", cipherService, encrypt, chain, sym(2, 16, 16, 16, 8, 16, 0, 16, 0, 32), 32, 48, failed},
		{"chain with a MAC outside", cipherService, encrypt, chain, sym(2, 16, 16, 16, 0, 16, ^uint32(0), 16, 0, 32), 32, 48, failed},
		{"chain without result", cipherService, encrypt, chain, sym(2, 16, 16, 16, 0, 16, 0, 16, 0, 0), 32, 48, failed},
		{"chain result not there", cipherService, encrypt, chain, sym(2, 16, 16, 16, 0, 16, 0, 16, 0, 32), 32, 40, failed},
	} {
		in := []int{}
		if c.in > 0 {
			in = append(in, c.in)
		}
		got, status := r.request(0, c.service, c.op, c.id, c.fixed, [][]byte{pattern(c.out)}, in...)
		if status != c.want {
			t.Errorf("%s: status %d, want %d", c.name, status, c.want)
		}
		if len(got) > 0 && !bytes.Equal(got[0], bytes.Repeat([]byte{0xaa}, c.in)) {
			t.Errorf("%s: something was written", c.name)
		}
	}
	if _, status := r.cipher(0, cbc, encrypt, iv, pattern(16)); status != ok {
		t.Error("a good request fails afterwards")
	}
}

// TestBadSessions: what cannot be a session is refused.
func TestBadSessions(t *testing.T) {
	r := newRig(t, "sdm845")
	sym := func(kind uint32, words ...uint32) []byte {
		return append(padded(fields(words...), 48), fields(kind, 0)...)
	}
	key := pattern(16)
	for _, c := range []struct {
		name    string
		service uint32
		fixed   []byte
		key     []byte
		want    uint32
	}{
		{"unknown service", 9, sym(1, 3, 16, 1), key, notSupp},
		{"asymmetric", 4, fields(1, 0, 0, 16, 0), key, notSupp},
		{"no operation", cipherService, sym(0, 3, 16, 1), key, notSupp},
		{"unknown cipher", cipherService, sym(1, 10, 16, 1), key, notSupp},
		{"no direction", cipherService, sym(1, 3, 16, 0), key, failed},
		{"key of 15", cipherService, sym(1, 3, 15, 1), key, failed},
		{"key that is not there", cipherService, sym(1, 3, 32, 1), key, failed},
		{"key of 4 GiB", cipherService, sym(1, 3, ^uint32(0), 1), key, failed},
		{"chain without order", cipherService, sym(2, 0, 2, 3, 16, 1, 0, 4, 32, 0), key, failed},
		{"nested hash", cipherService, sym(2, 1, 3, 3, 16, 1, 0, 4, 32, 0), key, notSupp},
		{"chain with CMAC", cipherService, sym(2, 1, 2, 3, 16, 1, 0, 26, 16, 16), pattern(32), notSupp},
		{"chain with an unknown hash", cipherService, sym(2, 1, 1, 3, 16, 1, 0, 11, 32), key, notSupp},
		{"MD5", hashService, fields(1, 16), nil, notSupp},
		{"long result", hashService, fields(4, 33), nil, failed},
		{"unknown MAC", macService, fields(41, 16, 16), key, notSupp},
		{"CMAC with a key of 5", macService, fields(26, 16, 5), key, failed},
		{"MAC with a key of 513", macService, fields(4, 32, 513), pattern(513), failed},
		{"GCM, which the chip has not", aeadService, fields(1, 16, 16, 0, 1), key, notSupp},
		{"CCM with a tag of 5", aeadService, fields(2, 16, 5, 0, 1), key, failed},
		{"CCM with a tag of 4 GiB", aeadService, fields(2, 16, ^uint32(0), 0, 1), key, failed},
		{"CCM with 192 bits", aeadService, fields(2, 24, 8, 0, 1), pattern(24), notSupp},
	} {
		if _, status := r.create(c.service, c.fixed, c.key); status != c.want {
			t.Errorf("%s: status %d, want %d", c.name, status, c.want)
		}
	}
}

// TestManySessions fills the table.
func TestManySessions(t *testing.T) {
	d := newDevice(t)
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, OpType: 1, Direction: 1}
	seen := map[uint64]bool{}
	var ids []uint64
	for {
		id, err := d.CreateSession(&s)
		if err != nil {
			break
		}
		if seen[id] || id == 0 || int64(id) < 0 {
			t.Fatalf("session %d again", id)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	if len(ids) < 1024 {
		t.Errorf("only %d sessions", len(ids))
	}
	if err := d.CloseSession(ids[7]); err != nil {
		t.Error(err)
	}
	id, err := d.CreateSession(&s)
	if err != nil || seen[id] {
		t.Errorf("session %d: %v", id, err)
	}
	d.Reset()
	if err := d.CloseSession(id); !errors.Is(err, backend.ErrNoSession) {
		t.Errorf("close of a session from before the reset: %v", err)
	}
}

func newDevice(t testing.TB) *virtiocrypto.Device {
	t.Helper()
	d, err := virtiocrypto.New(virtiocrypto.Config{Engine: software.Engine{}, DataQueues: 1, ControlQueue: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBrokenChains: a chain that has no room for header or status stops the
// ring.
func TestBrokenChains(t *testing.T) {
	for _, queue := range []int{0, control} {
		for name, size := range map[string][2]int{"no header": {0, 16}, "short header": {71, 16}, "no status": {72, 0}} {
			r := newRig(t, "sdm845")
			var out, in []vhosttest.Buffer
			if size[0] > 0 {
				out = append(out, r.ram.Put(append(fields(2, 0, 0, 0), make([]byte, size[0])...)[:size[0]]))
			}
			if size[1] > 0 {
				in = append(in, r.ram.Space(size[1]))
			}
			q := r.queues[queue]
			q.Submit(out, in, false)
			if !q.Err.Wait(vhosttest.Timeout) {
				t.Errorf("queue %d, %s: no error event", queue, name)
			}
		}
	}
}

// store is memory that outlives a device.
type store []byte

func (s store) Read(addr uint64, p []byte) error {
	copy(p, s[addr:])
	return nil
}

func (s store) Write(addr uint64, p []byte) error {
	copy(s[addr:], p)
	return nil
}

// TestAdopt: a new device finds the sessions of the old one.
func TestAdopt(t *testing.T) {
	old := newDevice(t)
	mem := make(store, old.StateSize())
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, OpType: 1, Direction: 1}
	copy(s.CipherKey[:], "a key to be found")
	before, err := old.CreateSession(&s) // before there is memory to keep it
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Adopt(mem); err != nil {
		t.Fatal(err)
	}
	kept, _ := old.CreateSession(&s)
	closed, _ := old.CreateSession(&s)
	old.CloseSession(closed)
	if n := bytes.Count(mem, []byte("a key to be foun")); n != 2 {
		t.Errorf("the key is there %d times, for 2 sessions", n)
	}

	next := newDevice(t)
	if err := next.Adopt(mem); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint64{before, kept} {
		if status := encryptWith(t, next, id); status != ok {
			t.Errorf("session %d: status %d", id, status)
		}
	}
	if status := encryptWith(t, next, closed); status != invSess {
		t.Errorf("closed session: status %d", status)
	}
	if id, err := next.CreateSession(&s); err != nil || id == before || id == kept || id == closed {
		t.Errorf("new session has ID %d: %v", id, err)
	}

	// A device that lets go of the memory leaves what is there.
	next.Adopt(nil)
	next.Reset()
	third := newDevice(t)
	if err := third.Adopt(mem); err != nil {
		t.Fatal(err)
	}
	if status := encryptWith(t, third, kept); status != ok {
		t.Errorf("third device: status %d", status)
	}
	third.Reset()
	if bytes.Contains(mem, []byte("a key to be foun")) {
		t.Error("keys are left after a reset")
	}
}

// TestHostileState: memory that a peer has tampered with gives an error or
// sessions, never a crash.
func TestHostileState(t *testing.T) {
	old := newDevice(t)
	mem := make(store, old.StateSize())
	if err := old.Adopt(mem); err != nil {
		t.Fatal(err)
	}
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, OpType: 1, Direction: 1}
	id, _ := old.CreateSession(&s)
	slot := int(id&0xfff) * 256
	refused := 0
	for at := range 24 {
		for _, v := range []byte{0, 1, 2, 9, 17, 0x7f, 0x80, 0xff} {
			bad := slices.Clone(mem)
			bad[slot+at] = v
			d := newDevice(t)
			if err := d.Adopt(bad); err != nil {
				refused++
				continue
			}
			encryptWith(t, d, id)
			encryptWith(t, d, binary.LittleEndian.Uint64(bad[slot:]))
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// encryptWith serves one request without a ring.
func encryptWith(t testing.TB, d *virtiocrypto.Device, id uint64) byte {
	t.Helper()
	head := append(fields(0, 0), binary.LittleEndian.AppendUint64(nil, id)...)
	head = append(append(head, fields(0, 0)...), append(padded(fields(16, 16, 16, 0), 40), fields(1, 0)...)...)
	mem := make(store, 4096)
	copy(mem, head)
	return serve(t, d, mem, []virtqueue.Segment{{Addr: 0, Len: 72 + 32}}, []virtqueue.Segment{{Addr: 1024, Len: 17}})
}

func serve(t testing.TB, d *virtiocrypto.Device, mem bus.Memory, out, in []virtqueue.Segment) byte {
	t.Helper()
	c := &virtqueue.Chain{Out: out, In: in}
	for _, s := range out {
		c.OutLen += uint64(s.Len)
	}
	for _, s := range in {
		c.InLen += uint64(s.Len)
	}
	if err := d.Serve(0, &backend.Request{Chain: c, Memory: mem}); err != nil {
		t.Fatal(err)
	}
	last := in[len(in)-1]
	b := make([]byte, 1)
	mem.Read(last.Addr+uint64(last.Len)-1, b)
	return b[0]
}

// stuck is an engine that waits for ever.
type stuck struct{ software.Engine }

func (stuck) Do(_ *bamclient.Operation, cancel <-chan struct{}) error {
	<-cancel
	return bamclient.ErrCanceled
}

// TestAbandoned: a request that is canceled leaves no trace, not even a status.
func TestAbandoned(t *testing.T) {
	d, err := virtiocrypto.New(virtiocrypto.Config{Engine: stuck{}, DataQueues: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, OpType: 1, Direction: 1}
	id, err := d.CreateSession(&s)
	if err != nil {
		t.Fatal(err)
	}
	head := append(fields(0, 0), binary.LittleEndian.AppendUint64(nil, id)...)
	head = append(append(head, fields(0, 0)...), append(padded(fields(16, 16, 16, 0), 40), fields(1, 0)...)...)
	mem := make(store, 4096)
	copy(mem, head)
	want := slices.Clone(mem)
	cancel := make(chan struct{})
	close(cancel)
	c := &virtqueue.Chain{Out: []virtqueue.Segment{{Len: 104}}, In: []virtqueue.Segment{{Addr: 1024, Len: 17}}, OutLen: 104, InLen: 17}
	if err := d.Serve(0, &backend.Request{Chain: c, Memory: mem, Cancel: cancel}); !errors.Is(err, backend.ErrAbandoned) {
		t.Errorf("error is %v", err)
	}
	if !bytes.Equal(mem, want) {
		t.Error("something was written")
	}
}

// noted is a store that notes which bytes are written.
type noted struct {
	store
	wrote map[uint64]bool
}

func (n *noted) Write(addr uint64, p []byte) error {
	err := n.store.Write(addr, p)
	for i := range p {
		n.wrote[addr+uint64(i)] = err == nil
	}
	return err
}

// FuzzRequest lets the fuzzer write requests for the data queue and the control
// queue, in buffers of any lengths.
func FuzzRequest(f *testing.F) {
	d := newDevice(f)
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, OpType: 1, Direction: 1}
	id, err := d.CreateSession(&s)
	if err != nil {
		f.Fatal(err)
	}
	head := append(fields(0, 0), binary.LittleEndian.AppendUint64(nil, id)...)
	head = append(append(head, fields(0, 0)...), append(padded(fields(16, 16, 16, 0), 40), fields(1, 0)...)...)
	f.Add(false, append(head, make([]byte, 32)...), uint16(17))
	f.Add(true, append(append(fields(2, 0, 0, 0), append(padded(fields(3, 16, 1), 48), fields(1, 0)...)...), make([]byte, 16)...), uint16(16))
	f.Fuzz(func(t *testing.T, ctrl bool, readable []byte, writable uint16) {
		const at = 1 << 16
		mem := &noted{store: make(store, at+int(writable)+1), wrote: map[uint64]bool{}}
		copy(mem.store[:at], readable)
		c := &virtqueue.Chain{OutLen: uint64(min(len(readable), at)), InLen: uint64(writable)}
		c.Out = []virtqueue.Segment{{Len: uint32(c.OutLen)}}
		c.In = []virtqueue.Segment{{Addr: at, Len: uint32(writable)}}
		r := &backend.Request{Chain: c, Memory: mem}
		queue := 0
		if ctrl {
			queue = 1
		}
		if err := d.Serve(queue, r); err == nil && len(mem.wrote) == 0 {
			t.Fatal("nothing was written")
		}
		for i := range uint64(r.Written) {
			if !mem.wrote[at+i] {
				t.Fatalf("%d bytes were written, but not byte %d", r.Written, i)
			}
		}
		if end := at + uint64(writable); mem.wrote[end] {
			t.Fatal("written past the end")
		}
	})
}
