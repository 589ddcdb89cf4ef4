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
// value is the path of the state file, or "-".
const victimEnv = "QCEMU_TEST_VICTIM"

func TestMain(m *testing.M) {
	if state := os.Getenv(victimEnv); state != "" {
		victim(state)
		return
	}
	os.Exit(m.Run())
}

func victim(path string) {
	dev := newInverter()
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

// TestKilled kills the back-end in the middle of its work, a hundred times. The
// requests are in place: one that was done twice would have its old text.
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
	v := &victims{t: t, path: filepath.Join(dir, "s"), file: file, state: state, ram: vhosttest.NewRAM(t, guestLow, userLow, 256<<20), packed: packed, inflight: -1}
	defer func() { unix.Close(v.inflight) }()

	const size = 64
	var d vhosttest.Driver = vhosttest.NewSplit(v.ram, size, true)
	if packed {
		d = vhosttest.NewPacked(v.ram, size, true)
	}
	v.start(d)
	rng := rand.New(rand.NewPCG(9, 10))
	texts := map[uint16]vhosttest.Buffer{}
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
			b, known := texts[id]
			if !known || written != textLen {
				t.Fatalf("chain %d was used with %d bytes; in flight: %v", id, written, known)
			}
			delete(texts, id)
			n := submittedOf(v.ram.Of(b))
			if n < 0 {
				t.Fatalf("chain %d: its text was not inverted once", id)
			}
			free = append(free, b)
			done++
		}
	}
	submit := func() {
		for len(free) > 0 {
			b := free[len(free)-1]
			free = free[:len(free)-1]
			fillText(v.ram.Of(b), byte(submitted))
			submitted++
			texts[d.Add([]vhosttest.Buffer{b}, []vhosttest.Buffer{b}, true)] = b
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
	t.Logf("%d requests, %d done", submitted, done)
	if submitted != done {
		t.Errorf("%d requests, %d done", submitted, done)
	}
}

// fillText makes a text of a request, submittedOf finds out which one was
// inverted; -1: none, or not all of it.
func fillText(p []byte, n byte) {
	for i := range p {
		p[i] = n & 0x7f
	}
	p[0] = 0x55
}

func submittedOf(p []byte) int {
	if p[0] != ^byte(0x55) {
		return -1
	}
	for _, b := range p[1:] {
		if b != p[1] || b < 0x80 {
			return -1
		}
	}
	return int(^p[1])
}

// victims starts one back-end after the other on the same socket.
type victims struct {
	t        *testing.T
	path     string
	file     *os.File
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
	v.cmd.ExtraFiles = []*os.File{v.file}
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
