package tests

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
)

// crypto is a front-end of the virtio-crypto device, as QEMU's cryptodev is one.
type crypto struct {
	*vhosttest.Frontend
	t       *testing.T
	ram     *vhosttest.RAM
	queue   *vhosttest.Queue
	session uint64
}

var cryptoKey = []byte("a key of 16 byte")

func dialCrypto(t *testing.T, socket string) *crypto {
	t.Helper()
	f, err := vhosttest.Dial(t, socket)
	if err != nil {
		t.Fatal(err)
	}
	c := &crypto{Frontend: f, t: t, ram: vhosttest.NewRAM(t, 0x40000000, 0x7f0000000000, 1<<20)}
	c.setUp()
	c.queue = f.Start(0, vhosttest.NewSplit(c.ram, 16, false), 0)
	return c
}

func (c *crypto) setUp() {
	c.t.Helper()
	c.Negotiate(backend.FeatureVersion1|backend.FeatureIndirect, ^uint64(0)&^wire.ProtocolInflightShmFD)
	c.SetMemory(c.ram)
}

func (c *crypto) create() {
	c.t.Helper()
	s := wire.CryptoSession{OpCode: 2, CipherAlg: 3, CipherKeyLen: 16, OpType: 1, Direction: 1}
	copy(s.CipherKey[:], cryptoKey)
	body := make([]byte, wire.CryptoSessionSize)
	wire.PutCryptoSession(body, &s)
	id := wire.SessionID(c.Ask(wire.CreateCryptoSession, body))
	if id < 0 {
		c.t.Fatal("no session")
	}
	c.session = uint64(id)
}

// encrypt does a request and checks the result.
func (c *crypto) encrypt(n int) {
	c.t.Helper()
	head := make([]byte, 72)
	binary.LittleEndian.PutUint64(head[8:], c.session)
	for i, v := range []uint32{16, uint32(n), uint32(n)} {
		binary.LittleEndian.PutUint32(head[24+4*i:], v)
	}
	binary.LittleEndian.PutUint32(head[64:], 1)
	text, iv := bytes.Repeat([]byte("text"), n/4), []byte("an IV of 16 byte")
	mark := c.ram.Mark()
	defer c.ram.Free(mark)
	out := []vhosttest.Buffer{c.ram.Put(head), c.ram.Put(iv), c.ram.Put(text)}
	in := []vhosttest.Buffer{c.ram.Space(n), c.ram.Space(1)}
	c.queue.Do(out, in, true)
	b, err := aes.NewCipher(cryptoKey)
	if err != nil {
		c.t.Fatal(err)
	}
	want := make([]byte, n)
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(want, text)
	if status := c.ram.Of(in[1])[0]; status != 0 || !bytes.Equal(c.ram.Of(in[0]), want) {
		c.t.Errorf("%d bytes: status %d", n, status)
	}
}

// TestVhostUser has one engine behind both protocols.
func TestVhostUser(t *testing.T) {
	dir := socketDir(t)
	socket := filepath.Join(dir, "crypto.sock")
	s := serve(t, "--vhost-user-socket", socket)
	f := dialCrypto(t, socket)
	f.create()
	for _, n := range []int{16, 4096, 40000} {
		f.encrypt(n)
	}
	probe(connect(t, s.socket), cryptoblock.DefaultSoC)
	f.encrypt(64)
	s.stop()
	data, err := os.ReadFile(filepath.Join(s.out, "attestation.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []attest.Row
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0].Algorithm != "cbc-aes" || rows[0].Requests != 4 || rows[0].Locked != 4 || rows[0].ByCommand != 4 {
		t.Errorf("attestation: %+v", rows)
	}
}

// TestVhostUserKilled kills the back-end: the front-end goes on with its session
// on the next one.
func TestVhostUserKilled(t *testing.T) {
	dir := socketDir(t)
	socket, state := filepath.Join(dir, "crypto.sock"), filepath.Join(dir, "state")
	name := filepath.Join(dir, "vhost-user-qcemu") // as a management layer starts it
	if err := os.Symlink(qcemu, name); err != nil {
		t.Fatal(err)
	}
	begin := func() *server {
		s := &server{socket: socket}
		s.start(t, exec.Command(name, "--socket-path", socket, "--state", state))
		s.ready()
		return s
	}
	s := begin()
	f := dialCrypto(t, socket)
	f.create()
	f.encrypt(4096)
	for range 3 {
		s.cmd.Process.Kill()
		<-s.ended
		s = begin()
		next, err := vhosttest.Dial(t, socket)
		if err != nil {
			t.Fatal(err)
		}
		f.Frontend = next
		f.setUp()
		f.queue.Resume(next, 0)
		f.encrypt(4096)
	}
	s.stop()
	if _, err := os.Stat(state); err == nil {
		t.Error("the state, with keys in it, is left behind")
	}
}
