package cryptoblock_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"
	"testing"
	"time"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/trace"
)

// events is a sink that keeps the events of some kinds, and a digest of all.
type events struct {
	kinds []trace.Kind
	h     hash.Hash
}

func newEvents() *events { return &events{h: sha256.New()} }

func (s *events) Emit(e *trace.Event) {
	s.kinds = append(s.kinds, e.Kind)
	c := *e
	c.Op, c.Rule = nil, nil
	fmt.Fprintf(s.h, "%+v", c)
	if e.Op != nil {
		fmt.Fprintf(s.h, "%+v", *e.Op)
	}
}

// count is how many events of a kind there were.
func (s *events) count(k trace.Kind) (n int) {
	for _, x := range s.kinds {
		if x == k {
			n++
		}
	}
	return n
}

// first is the place of the first event of a kind, -1 if there is none.
func (s *events) first(k trace.Kind) int {
	for i, x := range s.kinds {
		if x == k {
			return i
		}
	}
	return -1
}

func profile(tb testing.TB) *cryptoblock.Profile {
	tb.Helper()
	p, err := cryptoblock.ProfileByName(cryptoblock.DefaultSoC)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func newLinux(tb testing.TB, o cryptoblock.Options) *blocktest.Linux {
	tb.Helper()
	p := profile(tb)
	o.Manual = true
	b, err := cryptoblock.New(*p, o)
	if err != nil {
		tb.Fatal(err)
	}
	return blocktest.New(b, p)
}

func timing(tb testing.TB, name string) cryptoblock.Timing {
	tb.Helper()
	t, err := cryptoblock.TimingByName(name)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

var someRequests = []qcetest.Request{
	qcetest.Cipher{Mode: qcetest.CBCAES, Key: key(16), IV: key(16), Encrypt: true, Data: make([]byte, 4096)},
	qcetest.Cipher{Mode: qcetest.CTRAES, Key: key(32), IV: key(16), Data: make([]byte, 100)},
	qcetest.Cipher{Mode: qcetest.XTSAES, Key: key(64), IV: key(16), Data: make([]byte, 70000)},
	qcetest.Digest{Hash: qcetest.SHA256, Data: make([]byte, 1000)},
	qcetest.Digest{Hash: qcetest.SHA1, HMAC: true, Key: key(20), Data: make([]byte, 64)},
	qcetest.CCM{Key: key(16), Nonce: key(12), AAD: key(30), Text: make([]byte, 200), TagLen: 16, Encrypt: true},
	qcetest.CMAC{Key: key(16), Data: make([]byte, 99)},
}

// wrong says what is wrong with a result, "" if nothing is.
func wrong(tb testing.TB, q qcetest.Request, got blocktest.Result) string {
	tb.Helper()
	p := profile(tb)
	cfg, err := p.EngineConfig(nil)
	if err != nil {
		tb.Fatal(err)
	}
	shadow := qce.NewShadow(cfg)
	writes := q.Writes(p.PipePair)
	for _, w := range writes {
		shadow.Write(w.Off, w.Val, ^uint32(0))
	}
	last := writes[len(writes)-1]
	c, _ := shadow.Latch(last.Off, last.Val)
	want, err := oracle.Expect(&c, q.Input())
	if err != nil {
		tb.Fatal(err)
	}
	switch {
	case got.Hung:
		return "it hung"
	case got.Failed():
		return fmt.Sprintf("STATUS is %#x", got.Status)
	case !bytes.Equal(got.Out, want.Payload):
		return "the payload is wrong"
	}
	mask := oracle.DumpMask(&c)
	for i := range got.Dump {
		if (got.Dump[i]^want.Dump[i])&mask[i] != 0 {
			return fmt.Sprintf("the dump is wrong at %#x", i)
		}
	}
	return ""
}

// Any order of steps, in any timing, gives the right results.
func TestEveryOrderIsRight(t *testing.T) {
	for _, name := range cryptoblock.Timings() {
		for seed := range uint64(25) {
			o := cryptoblock.Options{Timing: timing(t, name)}
			if seed > 0 {
				o.Scheduler = cryptoblock.NewRandomOrder(seed)
			}
			l := newLinux(t, o)
			for i, q := range someRequests {
				l.Lists = seed%2 == 0
				if msg := wrong(t, q, l.Stock(q)); msg != "" {
					t.Fatalf("timing %s, seed %d, request %d of the stock driver: %s", name, seed, i, msg)
				}
				if msg := wrong(t, q, l.Series(q)); msg != "" {
					t.Fatalf("timing %s, seed %d, request %d of the series: %s", name, seed, i, msg)
				}
			}
		}
	}
}

// tape is a Tap that records, and the memory of a replay.
type tape struct {
	entries []cryptoblock.Entry
	reads   [][]byte
	values  []uint64 // of loads
}

func (r *tape) Enter(e *cryptoblock.Entry) { r.entries = append(r.entries, *e) }

func (r *tape) Leave(e *cryptoblock.Entry) {
	if e.Kind == cryptoblock.ReadEntry {
		r.values = append(r.values, e.Value)
	}
}

func (r *tape) MemoryRead(_ int, _ uint64, p []byte, _ error) {
	r.reads = append(r.reads, bytes.Clone(p))
}

func (r *tape) MemoryWrite(int, uint64, []byte, error) {}

func (r *tape) Read(addr uint64, p []byte) error {
	if len(r.reads) == 0 {
		return &bus.Fault{Addr: addr, Len: len(p), Reason: bus.Unmapped}
	}
	copy(p, r.reads[0])
	r.reads = r.reads[1:]
	return nil
}

func (r *tape) Write(uint64, []byte) error { return nil }

// What a tap has seen is all that there is to know: without Linux and without
// its memory the same happens again.
func TestReplayIsTheSame(t *testing.T) {
	for _, name := range []string{"fastest", "silicon", "slow-motion"} {
		options := func(tap cryptoblock.Tap, sink trace.Sink) cryptoblock.Options {
			return cryptoblock.Options{Manual: true, Tap: tap, Sinks: []trace.Sink{sink}, Timing: timing(t, name), Scheduler: cryptoblock.NewRandomOrder(7)}
		}
		rec, live := &tape{}, newEvents()
		l := newLinux(t, options(rec, live))
		for _, q := range someRequests {
			l.Stock(q)
			l.Series(q)
		}

		again := newEvents()
		b, err := cryptoblock.New(*profile(t), options(nil, again))
		if err != nil {
			t.Fatal(err)
		}
		b.Attach(rec, nil)
		values := rec.values
		for _, e := range rec.entries {
			if got := b.Do(e); e.Kind == cryptoblock.ReadEntry {
				if got.Value != values[0] {
					t.Fatalf("timing %s: a read at %#x gives %#x, gave %#x", name, e.Off, got.Value, values[0])
				}
				values = values[1:]
			}
		}
		if !bytes.Equal(live.h.Sum(nil), again.h.Sum(nil)) {
			t.Errorf("timing %s: the events differ: %d and %d of them", name, len(live.kinds), len(again.kinds))
		}
		if len(rec.reads) != 0 {
			t.Errorf("timing %s: %d memory reads are left", name, len(rec.reads))
		}
	}
}

// Where the engine takes time, UNLOCK passes it unless NWD holds it back.
func TestUnlockPassesSlowEngine(t *testing.T) {
	for _, noNWD := range []bool{false, true} {
		seen := newEvents()
		l := newLinux(t, cryptoblock.Options{Timing: timing(t, "slow-engine"), Sinks: []trace.Sink{seen}})
		l.NoNWD = noNWD
		got := l.Series(someRequests[1]) // fits into the engine's buffer
		if got.Hung {
			t.Fatal("it hung")
		}
		// The UNLOCK descriptor writes a register, which a busy engine resents.
		if err := got.Status & qce.CfgChngErr; (err != 0) != noNWD {
			t.Errorf("without NWD %v: STATUS is %#x", noNWD, got.Status)
		}
		unlock, done := seen.first(trace.Unlock), seen.first(trace.OpDone)
		if unlock < 0 || done < 0 || (unlock < done) != noNWD {
			t.Errorf("without NWD %v: UNLOCK is event %d, the operation's end %d", noNWD, unlock, done)
		}
	}
}

// While no access comes, model time jumps to the end of all that is to happen; with
// a timing that knows the clock on the wall it goes to what was waited for, so that
// a client can come in between.
func TestIdleTime(t *testing.T) {
	idles := func(wall uint64) (n int) {
		seen, slow := newEvents(), timing(t, "slow-engine")
		slow.Wall = wall
		l := newLinux(t, cryptoblock.Options{Timing: slow, Sinks: []trace.Sink{seen}})
		l.Driver.Series(someRequests[1])
		l.Unlock()
		l.Ring(&l.TX)
		l.Ring(&l.RX)
		for ; seen.first(trace.OpDone) < 0 && n < 10_000; n++ {
			l.Block.Do(cryptoblock.Entry{Kind: cryptoblock.IdleEntry})
		}
		return n
	}
	if n := idles(0); n != 1 {
		t.Errorf("it takes %d idle entries, want 1", n)
	}
	if n := idles(1); n < 10 || n == 10_000 {
		t.Errorf("by the clock on the wall it takes %d idle entries, want some: one for each moment in which something happens", n)
	}
}

// lateLine tells whether it changed.
type lateLine struct{ raised chan bool }

func (l *lateLine) Set(level bool) {
	if level {
		select {
		case l.raised <- true:
		default:
		}
	}
}

// A block that is not manual goes on by itself.
func TestGoesOnByItself(t *testing.T) {
	for _, name := range []string{"silicon", "slow-motion"} {
		t.Run(name, func(t *testing.T) { goesOn(t, timing(t, name)) })
	}
}

func goesOn(t *testing.T, timing cryptoblock.Timing) {
	p := profile(t)
	b, err := cryptoblock.New(*p, cryptoblock.Options{Timing: timing})
	if err != nil {
		t.Fatal(err)
	}
	l := blocktest.New(b, p)
	line := &lateLine{make(chan bool, 1)}
	b.Attach(l.Mem, line)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.Stock(someRequests[0]) })
	select {
	case <-line.raised:
	case <-time.After(time.Minute):
		t.Error("no interrupt comes")
	}
}

// worker is a master that does what another goroutine asks for.
type worker struct {
	work chan struct{}
	done chan uint32
	off  uint32
}

func (w *worker) Runnable(uint64) bool     { return len(w.work) > 0 }
func (w *worker) Deadline() (uint64, bool) { return 0, false }
func (w *worker) Reset()                   {}
func (w *worker) Step(bus cryptoblock.Bus) {
	<-w.work
	w.done <- bus.Read(w.off)
}

// Kick makes the block look at its masters.
func TestKick(t *testing.T) {
	p := profile(t)
	w := &worker{work: make(chan struct{}, 1), done: make(chan uint32, 1), off: p.QCEOffset + qce.Version}
	place := p.Places()[0]
	b, err := cryptoblock.New(*p, cryptoblock.Options{Clients: []cryptoblock.Client{{Name: "worker", EE: place.EE, Pair: place.Pair, Master: w}}})
	if err != nil {
		t.Fatal(err)
	}
	w.work <- struct{}{}
	b.Kick()
	select {
	case v := <-w.done:
		if v != p.Version {
			t.Errorf("VERSION is %#x, want %#x", v, p.Version)
		}
	case <-time.After(time.Minute):
		t.Fatal("the master is not asked")
	}
}

// A client from outside has its own pipes, memory and line, and not Linux's.
func TestPort(t *testing.T) {
	p := profile(t)
	place := p.Places()[len(p.Places())-1]
	b, err := cryptoblock.New(*p, cryptoblock.Options{Manual: true, Clients: []cryptoblock.Client{{Name: "other", EE: place.EE, Pair: place.Pair}}})
	if err != nil {
		t.Fatal(err)
	}
	l := blocktest.New(b, p)
	// The same driver, at the other place.
	q := *p
	q.EE, q.PipePair = place.EE, place.Pair
	other := blocktest.New(b, &q)
	for i, r := range someRequests {
		if msg := wrong(t, r, l.Series(r)); msg != "" {
			t.Errorf("request %d of Linux: %s", i, msg)
		}
		if got := other.Series(r); got.Failed() {
			t.Errorf("request %d of the other: STATUS %#x, hung %v", i, got.Status, got.Hung)
		}
	}
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		t.Fatal(err)
	}
	if l.Line.Changes == 0 || other.Line.Changes == 0 {
		t.Errorf("the lines changed %d and %d times", l.Line.Changes, other.Line.Changes)
	}
	off, _ := layout.Offset(bam.PCtrl, p.RXPipe())
	b.Port(place.EE).Write(p.BAMOffset+off, 0)
	if v := b.Port(p.EE).Read(p.BAMOffset + off); v != 0x22 {
		t.Errorf("P_CTRL of Linux's pipe is %#x after a write by another EE", v)
	}
}

func TestClientsAreChecked(t *testing.T) {
	p := profile(t)
	for want, clients := range map[string][]cryptoblock.Client{
		"SoC sdm845: x: no execution environment 4; there are 4": {{Name: "x", EE: 4, Pair: 0}},
		"SoC sdm845: x: no pipe pair 8; there are 8":             {{Name: "x", EE: 1, Pair: 8}},
		"SoC sdm845: x: pipe pair 3 is Linux's":                  {{Name: "x", EE: 1, Pair: 3}},
		"SoC sdm845: x: execution environment 0 is Linux's":      {{Name: "x", EE: 0, Pair: 0}},
		"SoC sdm845: y: pipe pair 0 is x's":                      {{Name: "x", EE: 1, Pair: 0}, {Name: "y", EE: 2, Pair: 0}},
	} {
		if _, err := cryptoblock.New(*p, cryptoblock.Options{Clients: clients}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, name := range cryptoblock.Profiles() {
		p, err := cryptoblock.ProfileByName(name)
		if err != nil {
			t.Fatal(err)
		}
		places := p.Places()
		if len(places) == 0 {
			t.Errorf("%s has no place for anybody beside Linux", name)
		}
		var clients []cryptoblock.Client
		for i, at := range places {
			clients = append(clients, cryptoblock.Client{Name: fmt.Sprint(i), EE: at.EE, Pair: at.Pair})
		}
		if _, err := cryptoblock.New(*p, cryptoblock.Options{Clients: clients}); err != nil {
			t.Errorf("its own places: %v", err)
		}
	}
}
