package backend_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
)

// victimEnv makes the test program a back-end that serves file descriptor 3; its
// value is the path of the state file, or "-". Into file descriptor 4 it writes a
// byte for each request that it begins to serve.
const victimEnv = "QCEMU_TEST_VICTIM"

// victimDevice is what it serves.
type victimDevice struct {
	*inverter
	begun *os.File
}

func (d victimDevice) Serve(queue int, r *backend.Request) error {
	if _, err := d.begun.Write([]byte{1}); err != nil {
		return err
	}
	return d.inverter.Serve(queue, r)
}

func TestMain(m *testing.M) {
	if state := os.Getenv(victimEnv); state != "" {
		victim(state)
		return
	}
	os.Exit(m.Run())
}

func victim(path string) {
	dev := victimDevice{newInverter(), os.NewFile(4, "begun")}
	var state *backend.State
	if path != "-" {
		var err error
		if state, err = backend.OpenState(path, dev); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	l, _, err := vhostuser.Inherited(3)
	if err == nil {
		err = newServer(dev, state).Serve(context.Background(), l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestKilled kills the back-end in the middle of its work, a hundred times. Each
// request has a number in its text, and is in place: one that was done twice
// would have its old text. What the back-end was in the middle of when it was
// killed is begun again by the next, at most one request each time.
func TestKilled(t *testing.T) {
	for _, c := range []struct {
		name            string
		packed, inState bool
	}{{"split", false, false}, {"packed", true, false}, {"split, state of the server", false, true}} {
		t.Run(c.name, func(t *testing.T) { killed(t, c.packed, c.inState) })
	}
}

const (
	rounds  = 100
	textLen = 3000
)

func killed(t *testing.T, packed, inState bool) {
	dir := t.TempDir()
	l, err := vhostuser.Listen(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer l.Close()
	state := "-"
	if inState {
		state = filepath.Join(dir, "state")
	}
	begun, err := os.OpenFile(filepath.Join(dir, "begun"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	v := &victims{t: t, begun: begun, path: filepath.Join(dir, "s"), file: file, state: state, ram: vhosttest.NewRAM(t, guestLow, userLow, 256<<20), packed: packed, inflight: -1}
	defer func() { unix.Close(v.inflight) }()

	const size = 64
	var d vhosttest.Driver = vhosttest.NewSplit(v.ram, size, true)
	if packed {
		d = vhosttest.NewPacked(v.ram, size, true)
	}
	v.start(d)
	rng := rand.New(rand.NewPCG(9, 10))
	texts := map[uint16]numbered{}
	var free []vhosttest.Buffer
	submitted, done := 0, 0
	for range size / 2 {
		free = append(free, v.ram.Space(textLen))
	}
	collect := func() {
		for {
			id, written, ok := d.Used()
			if !ok {
				return
			}
			n, known := texts[id]
			if !known || written != textLen {
				t.Fatalf("chain %d was used with %d bytes; in flight: %v", id, written, known)
			}
			delete(texts, id)
			if !inverted(v.ram.Of(n.text), n.number) {
				t.Fatalf("request %d: its text was not inverted once", n.number)
			}
			free = append(free, n.text)
			done++
		}
	}
	submit := func() {
		for len(free) > 0 {
			b := free[len(free)-1]
			free = free[:len(free)-1]
			fillText(v.ram.Of(b), uint32(submitted))
			texts[d.Add([]vhosttest.Buffer{b}, []vhosttest.Buffer{b}, true)] = numbered{uint32(submitted), b}
			submitted++
		}
		d.Publish()
		v.queue.Kick.Signal()
	}
	for range rounds {
		end := time.Now().Add(time.Duration(rng.IntN(3000)) * time.Microsecond)
		for time.Now().Before(end) {
			collect()
			submit()
		}
		v.kill()
		collect()
		v.start(d)
	}
	submit()
	for len(texts) > 0 { // nothing is looked for unless it is called for
		d.WantCall(true)
		before := len(texts)
		if collect(); len(texts) < before {
			continue
		}
		if !v.queue.Call.Wait(vhosttest.Timeout) {
			t.Fatalf("%d requests are lost", len(texts))
		}
	}
	v.kill()
	fi, err := begun.Stat()
	if err != nil {
		t.Fatal(err)
	}
	again := int(fi.Size()) - submitted
	t.Logf("%d requests, %d done, %d of them begun twice", submitted, done, again)
	if submitted != done {
		t.Errorf("%d requests, %d done", submitted, done)
	}
	if again < 0 || again > rounds {
		t.Errorf("%d requests were begun %d times in %d rounds", submitted, fi.Size(), rounds)
	}
}

// numbered is a request in flight.
type numbered struct {
	number uint32
	text   vhosttest.Buffer
}

// fillText makes the text of a request, inverted tells whether it is what comes
// out of it.
func fillText(p []byte, n uint32) {
	for i := range p {
		p[i] = byte(n >> (i % 4 * 8))
	}
}

func inverted(p []byte, n uint32) bool {
	for i, b := range p {
		if b != ^byte(n>>(i%4*8)) {
			return false
		}
	}
	return true
}

// victims starts one back-end after the other on the same socket.
type victims struct {
	t        *testing.T
	path     string
	file     *os.File
	begun    *os.File
	state    string
	packed   bool
	ram      *vhosttest.RAM
	cmd      *exec.Cmd
	queue    *vhosttest.Queue
	inflight int
	d        wire.Inflight
}

func (v *victims) start(d vhosttest.Driver) {
	t := v.t
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = append(os.Environ(), victimEnv+"="+v.state)
	v.cmd.ExtraFiles = []*os.File{v.file, v.begun}
	v.cmd.Stderr = os.Stderr
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.cmd.Process.Kill(); v.cmd.Wait() })
	f, err := vhosttest.Dial(t, v.path)
	if err != nil {
		t.Fatal(err)
	}
	features := uint64(virtioFeatures)
	if v.packed {
		features |= backend.FeaturePacked
	}
	f.Negotiate(features, everything&^wire.ProtocolInbandNotify)
	f.SetMemory(v.ram)
	if v.state == "-" {
		if v.inflight < 0 {
			v.d = wire.Get[wire.Inflight](f.Ask(wire.GetInflightFD, wire.Inflight{Queues: 1, QueueSize: uint16(d.Size())}))
			v.inflight = f.FDs[0]
		}
		f.Must(wire.SetInflightFD, []int{v.inflight}, v.d)
	}
	if v.queue == nil {
		v.queue = f.Start(0, d, d.Base())
		return
	}
	v.queue.Resume(f, d.Base())
}

func (v *victims) kill() {
	v.cmd.Process.Signal(unix.SIGKILL)
	v.cmd.Wait()
}

// TestStatePacked: packed rings are not offered with a state of the server's own.
func TestStatePacked(t *testing.T) {
	dev := newInverter()
	state, err := backend.OpenState(filepath.Join(t.TempDir(), "state"), dev)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	for want, server := range map[uint64]*backend.Server{backend.FeaturePacked: newServer(dev, nil), 0: newServer(dev, state)} {
		f, sock := vhosttest.Pair(t)
		over := make(chan error)
		go func() { over <- server.ServeConn(context.Background(), sock) }()
		if got := f.AskU64(wire.GetFeatures) & backend.FeaturePacked; got != want {
			t.Errorf("packed rings offered: %#x, want %#x", got, want)
		}
		f.Close()
		<-over
	}
}
