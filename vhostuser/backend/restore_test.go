package backend_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/backend"
	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
	"github.com/qcemu/qcemu/vhostuser/virtqueue"
)

// keeper is where a back-end keeps what outlives it.
type keeper struct {
	packed bool
	own    bool // the server's own state, not the front-end's in-flight memory
}

var keepers = map[string]keeper{"split": {}, "packed": {packed: true}, "own state": {own: true}}

// journals is where the first ring's journal is.
func (k keeper) journals() uint64 {
	if k.own {
		return 4096
	}
	return queues * virtqueue.InflightSize(k.packed, ringSize)
}

func (k keeper) driver(ram *vhosttest.RAM) vhosttest.Driver {
	if k.packed {
		return vhosttest.NewPacked(ram, ringSize, true)
	}
	return vhosttest.NewSplit(ram, ringSize, true)
}

// left is what a back-end leaves that died when its only request was complete in
// the journal, and was neither in the guest's memory nor in the used ring.
type left struct {
	*rig
	keeper
	fd       int // of the memory that outlives the back-end
	inflight wire.Inflight
	lasting  []byte // what is in that memory, for a test to change
	header   []byte // of the journal, in lasting
	record   []byte // its only one, with the data

	queue  *vhosttest.Queue
	id     uint16
	in     vhosttest.Buffer
	spare  vhosttest.Buffer // not of the request
	served int64            // by the back-end that died
}

const leftText = "complete, not given back"

// leave lets a back-end do a request. The guest's memory is put back to what it
// was before the device was done; what outlives the back-end is put together from
// then, and the journal from after.
func leave(t *testing.T, k keeper) *left {
	l := &left{rig: newRig(t), keeper: k, fd: -1}
	if k.own {
		l.ownState(t)
	}
	t.Cleanup(func() { unix.Close(l.fd) })
	l.negotiate()
	d := k.driver(l.low)
	l.queue = l.Start(0, d, d.Base())
	l.spare, l.in = l.low.Space(len(leftText)), l.low.Space(len(leftText)+8)

	blocked, entered := l.dev.block()
	l.id = l.queue.Submit([]vhosttest.Buffer{l.low.Put([]byte(leftText))}, []vhosttest.Buffer{l.in}, false)
	<-entered
	guest, before := slices.Clone(l.guest()), l.read()
	close(blocked)
	if !l.queue.Call.Wait(vhosttest.Timeout) {
		t.Fatal("the request is not done")
	}
	l.end()
	l.served = l.dev.served.Load()

	copy(l.guest(), guest)
	l.lasting = slices.Concat(before[:l.journals()], l.read()[l.journals():])
	l.header = l.lasting[l.journals():][:32]
	l.record = l.lasting[l.journals()+32:][:16+len(leftText)]
	binary.LittleEndian.PutUint64(l.header, 1) // complete
	return l
}

// ownState gives the server a state of its own.
func (l *left) ownState(t *testing.T) {
	l.end()
	path := filepath.Join(t.TempDir(), "state")
	state, err := backend.OpenState(path, l.dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	if l.fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	l.server = newServer(l.dev, state)
	l.connect()
}

// negotiate begins a connection, with the memory that outlives it.
func (l *left) negotiate() {
	features := uint64(virtioFeatures)
	if l.packed {
		features |= backend.FeaturePacked
	}
	l.Negotiate(features, everything&^wire.ProtocolInbandNotify)
	l.SetMemory(l.low)
	if l.own {
		return
	}
	if l.fd < 0 {
		l.inflight = wire.Get[wire.Inflight](l.Ask(wire.GetInflightFD, wire.Inflight{Queues: queues, QueueSize: ringSize}))
		l.fd = l.FDs[0]
	}
	l.Must(wire.SetInflightFD, []int{l.fd}, l.inflight)
}

func (l *left) guest() []byte { return l.low.Bytes(guestLow, ramSize) }

func (l *left) read() []byte {
	l.t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		l.t.Fatal(err)
	}
	b := make([]byte, st.Size)
	if _, err := unix.Pread(l.fd, b, 0); err != nil {
		l.t.Fatal(err)
	}
	return b
}

// next connects the front-end to the next back-end, which finds what was left.
func (l *left) next() {
	if _, err := unix.Pwrite(l.fd, l.lasting, 0); err != nil {
		l.t.Fatal(err)
	}
	l.connect()
	l.negotiate()
	l.queue.Resume(l.Frontend, l.queue.Base())
}

// beginAnew resets the guest: the ring is a new one and empty, and the front-end
// has cleared its part of the memory.
func (l *left) beginAnew() {
	clear(l.guest())
	l.queue.Driver = l.driver(l.low)
	if !l.own {
		clear(l.lasting[:l.journals()])
	}
}

// TestRestore: what a journal has is finished if it is that of the very request
// that the ring comes to, and is not believed if it makes no sense.
func TestRestore(t *testing.T) {
	put := binary.LittleEndian.PutUint64
	const (
		finished = iota // from the journal
		served          // by the device
		nothing         // is to be done
		broken          // is the ring
	)
	for _, c := range []struct {
		name   string
		change func(*left)
		want   int
	}{
		{"as it was", func(*left) {}, finished},
		{"more records than there is room for", func(l *left) { put(l.header[24:], ^uint64(0)) }, finished},
		{"not complete", func(l *left) { put(l.header, 0) }, served},
		{"neither complete nor not", func(l *left) { put(l.header, 1<<32|1) }, served},
		{"of another position", func(l *left) { l.header[8]++ }, served},
		{"of another chain", func(l *left) { l.header[15]++ }, served},
		{"of a guest that was reset", (*left).beginAnew, nothing},
		{"a record longer than the journal", func(l *left) { put(l.record[8:], 1<<20) }, broken},
		{"a record of all the address space", func(l *left) { put(l.record[8:], ^uint64(0)) }, broken},
		{"a record for no memory", func(l *left) { put(l.record, guestLow-1) }, broken},
	} {
		for name, k := range keepers {
			t.Run(c.name+", "+name, func(t *testing.T) {
				l := leave(t, k)
				if c.want != finished { // then it shows in the guest's memory if it is copied
					put(l.record, l.spare.Addr)
				}
				c.change(l)
				guest := slices.Clone(l.guest())
				spare := slices.Clone(l.low.Of(l.spare))
				l.next()
				switch c.want {
				case broken:
					l.mustBreak(t, guest)
					return
				case finished, served:
					id, n := l.queue.Take()
					if id != l.id || n != uint32(len(leftText)) {
						t.Errorf("chain %d is used with %d bytes, want %d with %d", id, n, l.id, len(leftText))
					}
					check(t, l.low, l.in, leftText)
				}
				want := l.served
				if c.want == served {
					want++
				}
				if got := l.dev.served.Load(); got != want {
					t.Errorf("the device has done %d requests, want %d", got, want)
				}
				echo(t, l.queue, l.low, "the next request", true)
				if got := l.low.Of(l.spare); !bytes.Equal(got, spare) {
					t.Errorf("a journal that is not of this request was copied: %q", got)
				}
			})
		}
	}
}

// mustBreak expects that the first ring is broken and has not touched the guest's
// memory, and that the second works.
func (l *left) mustBreak(t *testing.T, guest []byte) {
	t.Helper()
	if !l.queue.Err.Wait(vhosttest.Timeout) {
		t.Error("no error event")
	}
	l.queue.Stop()
	if !bytes.Equal(guest, l.guest()) {
		t.Error("the guest's memory was written")
	}
	d := l.driver(l.low)
	echo(t, l.Start(1, d, d.Base()), l.low, "the other ring", false)
}

// TestRestoreOtherRing: the front-end comes back with a ring of another length
// than that of the in-flight memory, or with its ring in other memory.
func TestRestoreOtherRing(t *testing.T) {
	for name, change := range map[string]func(*left){
		"shorter":      func(l *left) { l.queue.Driver = vhosttest.NewSplit(l.low, ringSize/2, true) },
		"used further": func(l *left) { l.low.Bytes(l.queue.Driver.(*vhosttest.Split).Ring+2, 2)[0] = ringSize + 1 },
		"no memory":    func(l *left) { l.low.UserAddr += ramSize; l.queue.Driver = elsewhere{l.queue.Driver} },
	} {
		t.Run(name, func(t *testing.T) {
			l := leave(t, keeper{})
			change(l)
			guest := slices.Clone(l.guest())
			l.next()
			l.mustBreak(t, guest)
			if l.dev.served.Load() != l.served+1 { // by the other ring
				t.Error("the request was served")
			}
		})
	}
}

// TestStateShrunkInUse: the server's state is cut off while a ring is served. The
// ring breaks, the next front-end is turned away, and the server lives.
func TestStateShrunkInUse(t *testing.T) {
	l := leave(t, keeper{own: true})
	l.next()
	l.queue.Take()
	if err := unix.Ftruncate(l.fd, 0); err != nil {
		t.Fatal(err)
	}
	before := l.dev.served.Load()
	l.queue.Submit([]vhosttest.Buffer{l.low.Put([]byte("x"))}, []vhosttest.Buffer{l.low.Space(1)}, false)
	if !l.queue.Err.Wait(vhosttest.Timeout) {
		t.Error("no error event")
	}
	if l.dev.served.Load() != before {
		t.Error("a request was done that cannot be kept")
	}
	l.end()
	l.connect()
	if err := l.Closed(); err != nil {
		t.Error(err)
	}
}

// elsewhere has its ring where it was before the memory has moved.
type elsewhere struct{ vhosttest.Driver }

func (d elsewhere) Addr(index uint32) wire.VringAddr {
	a := d.Driver.Addr(index)
	a.Descriptor -= ramSize
	return a
}

// TestStatePackedReticent: of a front-end that does not tell what was negotiated,
// a ring shows by its first position that it is packed. With a state of the
// server's own it is refused, and a split ring is served.
func TestStatePackedReticent(t *testing.T) {
	dev := newInverter()
	state, err := backend.OpenState(filepath.Join(t.TempDir(), "state"), dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	var log bytes.Buffer
	r := &rig{t: t, dev: dev, server: backend.New(backend.Config{Device: dev, State: state, Log: slog.New(slog.NewTextHandler(&log, nil))})}
	r.low = vhosttest.NewRAM(t, guestLow, userLow, ramSize)
	r.connect()
	r.beReticent()
	q := r.startReticent(vhosttest.NewPacked(r.low, ringSize, true))
	in := r.low.Space(4)
	q.Submit([]vhosttest.Buffer{r.low.Put([]byte("none"))}, []vhosttest.Buffer{in}, false)
	if !q.Err.Wait(vhosttest.Timeout) {
		t.Error("no error event")
	}
	if _, _, ok := q.Used(); ok || dev.served.Load() != 0 {
		t.Error("the packed ring was served")
	}
	q.Stop()
	echo(t, r.startReticent(vhosttest.NewSplit(r.low, ringSize, true)), r.low, "split", false)
	r.end()
	if want := "use split rings, or no state"; strings.Count(log.String(), want) == 0 {
		t.Errorf("the log does not say %q:\n%s", want, log.String())
	}
}
