package tests

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// head is the header of a request of n bytes.
func (c *crypto) head(n int) []byte {
	head := make([]byte, 72)
	binary.LittleEndian.PutUint64(head[8:], c.session)
	for i, v := range []uint32{16, uint32(n), uint32(n)} {
		binary.LittleEndian.PutUint32(head[24+4*i:], v)
	}
	binary.LittleEndian.PutUint32(head[64:], 1)
	return head
}

func (c *crypto) encrypted(iv, text []byte) []byte {
	b, err := aes.NewCipher(cryptoKey)
	if err != nil {
		c.t.Fatal(err)
	}
	out := make([]byte, len(text))
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(out, text)
	return out
}

// encrypt does a request and checks the result.
func (c *crypto) encrypt(n int) {
	c.t.Helper()
	text, iv := bytes.Repeat([]byte("text"), n/4), []byte("an IV of 16 byte")
	mark := c.ram.Mark()
	defer c.ram.Free(mark)
	out := []vhosttest.Buffer{c.ram.Put(c.head(n)), c.ram.Put(iv), c.ram.Put(text)}
	in := []vhosttest.Buffer{c.ram.Space(n), c.ram.Space(1)}
	c.queue.Do(out, in, true)
	want := c.encrypted(iv, text)
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

// TestVhostUserFailedStart: a start that fails, by a mistake in the command line
// or since the socket is in use, costs a guest nothing of what --state keeps.
func TestVhostUserFailedStart(t *testing.T) {
	dir := socketDir(t)
	socket, used, state := filepath.Join(dir, "crypto.sock"), filepath.Join(dir, "used.sock"), filepath.Join(dir, "state")
	other := serve(t, "--vhost-user-socket", used)
	begin := func() *server {
		s := &server{socket: socket}
		s.start(t, exec.Command(qcemu, "vhost-user", "--socket-path", socket, "--state", state))
		s.ready()
		return s
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	connected := os.NewFile(uintptr(pair[1]), "connected")
	defer connected.Close()
	s := begin()
	f := dialCrypto(t, socket)
	f.create()
	f.encrypt(64)
	s.cmd.Process.Kill()
	<-s.ended
	for _, args := range [][]string{
		{"vhost-user"}, {"vhost-user", "--fd", "99"}, {"vhost-user", "--socket-path", used},
		{"serve", "--vhost-user-socket", used}, {"serve", "--vhost-user-socket", socket, "--socket-path", other.socket},
		{"vhost-user", "--fd", "3"}, // a connected one: the guest's next back-end would not know whose the state is
		{"vhost-user", "--socket-path", socket, "--queues", "2"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, qcemu, append(args, "--state", state)...)
		cmd.ExtraFiles = []*os.File{connected}
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 || bytes.Count(out, []byte("\n")) != 1 {
			t.Errorf("%q: not refused in a line: %v\n%s", args, err, out)
		}
		if _, err := os.Stat(state); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	s = begin()
	next, err := vhosttest.Dial(t, socket)
	if err != nil {
		t.Fatal(err)
	}
	f.Frontend = next
	f.setUp()
	f.queue.Resume(next, 0)
	f.encrypt(64)
	s.stop()
}

// TestVhostUserActivation: the block on a socket of systemd's, with the engine on
// one of our own beside it.
func TestVhostUserActivation(t *testing.T) {
	listener, path := listening(t)
	socket := filepath.Join(socketDir(t), "crypto.sock")
	s := &server{socket: path}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve --vhost-user-socket "$1"`, qcemu, socket)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{listener}
	s.start(t, cmd)
	s.ready()
	f := dialCrypto(t, socket)
	f.create()
	f.encrypt(64)
	goodClient(t, s, cryptoblock.DefaultSoC)
	s.stop()
}

// killRounds is how often the back-end is killed.
const killRounds = 100

// TestVhostUserKilled kills the back-end in the middle of its work, again and
// again: the front-end goes on with its session on the next one. Requests are in
// place and have a number: one that is lost, comes twice or is encrypted twice
// shows.
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
	w := newCryptoWindow(f, 4)
	rng := rand.New(rand.NewPCG(11, 12))
	for range killRounds {
		taken := w.done
		end := time.Now().Add(time.Duration(rng.IntN(2000)) * time.Microsecond)
		for late := time.Now().Add(patience); w.done == taken || time.Now().Before(end); {
			if time.Now().After(late) {
				t.Fatalf("nothing is done any more after %d requests", w.done)
			}
			w.collect()
			w.submit()
		}
		s.cmd.Process.Kill()
		<-s.ended
		w.collect() // the rest is for the next one
		s = begin()
		next, err := vhosttest.Dial(t, socket)
		if err != nil {
			t.Fatal(err)
		}
		f.Frontend = next
		f.setUp()
		f.queue.Resume(next, 0)
	}
	w.finish()
	t.Logf("%d requests in %d rounds", w.submitted, killRounds)
	if w.submitted != w.done {
		t.Errorf("%d requests, %d done", w.submitted, w.done)
	}
	s.stop()
	if _, err := os.Stat(state); err == nil {
		t.Error("the state, with keys in it, is left behind")
	}
}

// cryptoWindow keeps requests in flight. Each has a place in memory.
type cryptoWindow struct {
	c               *crypto
	free            []*cryptoPlace
	flying          map[uint16]*cryptoPlace
	submitted, done int
}

type cryptoPlace struct {
	head, iv, text, status vhosttest.Buffer
	want                   []byte
}

const windowText = 2048

func newCryptoWindow(c *crypto, n int) *cryptoWindow {
	w := &cryptoWindow{c: c, flying: map[uint16]*cryptoPlace{}}
	for range n {
		w.free = append(w.free, &cryptoPlace{c.ram.Put(c.head(windowText)), c.ram.Space(16), c.ram.Space(windowText), c.ram.Space(1), nil})
	}
	return w
}

func (w *cryptoWindow) submit() {
	for len(w.free) > 0 {
		p := w.free[0]
		w.free = w.free[1:]
		text, iv := w.c.ram.Of(p.text), w.c.ram.Of(p.iv)
		for i := 0; i < len(text); i += 8 {
			binary.LittleEndian.PutUint64(text[i:], uint64(w.submitted))
		}
		binary.LittleEndian.PutUint64(iv, uint64(w.submitted))
		w.c.ram.Of(p.status)[0] = 0xff
		p.want = w.c.encrypted(iv, text)
		w.flying[w.c.queue.Submit([]vhosttest.Buffer{p.head, p.iv, p.text}, []vhosttest.Buffer{p.text, p.status}, true)] = p
		w.submitted++
	}
}

func (w *cryptoWindow) collect() {
	for {
		id, _, ok := w.c.queue.Used()
		if !ok {
			return
		}
		w.take(id)
	}
}

func (w *cryptoWindow) take(id uint16) {
	p := w.flying[id]
	if p == nil {
		w.c.t.Fatalf("chain %d was used, and is not in flight", id)
	}
	delete(w.flying, id)
	if status := w.c.ram.Of(p.status)[0]; status != 0 || !bytes.Equal(w.c.ram.Of(p.text), p.want) {
		w.c.t.Fatalf("request of IV %x: status %d, or encrypted not once", w.c.ram.Of(p.iv), status)
	}
	w.free = append(w.free, p)
	w.done++
}

// finish takes what is still in flight.
func (w *cryptoWindow) finish() {
	for len(w.flying) > 0 {
		id, _ := w.c.queue.Take()
		w.take(id)
	}
}
