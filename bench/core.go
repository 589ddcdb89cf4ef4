package bench

import (
	"context"
	"crypto/aes"
	"fmt"
	"math"
	"runtime"

	"golang.org/x/crypto/xts"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/vhostuser"
)

// How often the core's pieces are tried.
var coreTurns = turns{rounds: 2000, batch: 16}

// The oracle judges in another goroutine, which starts for a number of requests
// at once: a sample has as many. In a row of more the verdicts are a part of the
// sample.
var (
	oracleTurns  = turns{rounds: 500, batch: oracle.Worthwhile}
	verdictTurns = turns{rounds: 120, batch: 4 * oracle.Worthwhile}
)

// memory is what the requests are laid out in.
type memory struct {
	bus.Memory
	data []byte // what it holds, from memoryBase on
}

// bytes is the part of it at addr.
func (m *memory) bytes(addr uint64, n int) []byte { return m.data[addr-memoryBase:][:n] }

// flat is memory of one piece without any guard: with it the core is measured,
// and not the way to a guest's memory.
type flat []byte

func (f flat) Read(addr uint64, p []byte) error {
	copy(p, f[addr-memoryBase:][:len(p)])
	return nil
}

func (f flat) Write(addr uint64, p []byte) error {
	copy(f[addr-memoryBase:][:len(p)], p)
	return nil
}

func newFlat() *memory {
	data := make([]byte, memorySize)
	return &memory{flat(data), data}
}

// newMapped is memory as a client of vfio-user shares it.
func newMapped() (m *memory, release func(), err error) {
	fd, err := unix.MemfdCreate("qcemu-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, memorySize); err != nil {
		return nil, nil, err
	}
	data, err := unix.Mmap(fd, 0, memorySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	guest := &vhostuser.Memory{}
	release = func() { guest.UnmapAll(); unix.Munmap(data) }
	if err := guest.Map(vhostuser.Mapping{Addr: memoryBase, Size: memorySize, Read: true, Write: true, FD: fd}); err != nil {
		release()
		return nil, nil, err
	}
	return &memory{guest, data}, release, nil
}

// noLine is an interrupt line that nobody listens to.
type noLine struct{}

func (noLine) Set(bool) {}

// newLibraryXTS is AES-XTS as x/crypto has it, with the request's key.
func newLibraryXTS() *xts.Cipher {
	c, err := xts.NewCipher(aes.NewCipher, cipherKey())
	if err != nil {
		panic(err) // the key has the right size
	}
	return c
}

// requestOn is the request on a block of its own.
func requestOn(b *cryptoblock.Block, p *cryptoblock.Profile, mem *memory) (*request, error) {
	b.Attach(mem, noLine{})
	return newRequest(p, b, mem)
}

// watchers are who may watch a model, one more from row to row.
var watchers = []struct {
	what   string
	config model.Config
}{
	{"request, attestation and findings on", model.Config{}},
	{"request, checker too", model.Config{Check: &model.Check{}}},
	{"request, checker and changes in flight", model.Config{Check: &model.Check{}, InFlight: true}},
	{"request, checker and integrity", model.Config{Check: &model.Check{}, Integrity: true}},
}

// watchedRequest is the request on a model.
func watchedRequest(c model.Config, p *cryptoblock.Profile) (*model.Model, *request, error) {
	c.SoC = p.Name
	m, err := model.New(c, model.Options{Manual: true})
	if err != nil {
		return nil, nil, err
	}
	r, err := requestOn(m.Block, p, newFlat())
	return m, r, err
}

// core measures the request in the model.
func (r *run) core(ctx context.Context) error {
	step := r.Progress.Begin("a request in the core")
	lines, err := measureCore(ctx, r.Guest.Profile)
	step.End(err)
	r.add("core", lines...)
	return err
}

func measureCore(ctx context.Context, p *cryptoblock.Profile) ([]Line, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b, err := cryptoblock.New(*p, cryptoblock.Options{})
	if err != nil {
		return nil, err
	}
	alone, err := requestOn(b, p, newFlat())
	if err != nil {
		return nil, err
	}
	mapped, release, err := newMapped()
	if err != nil {
		return nil, err
	}
	defer release()
	if b, err = cryptoblock.New(*p, cryptoblock.Options{}); err != nil {
		return nil, err
	}
	shared, err := requestOn(b, p, mapped)
	if err != nil {
		return nil, err
	}
	engine, library := qce.NewXTS(cipherKey()), newLibraryXTS()
	buf, iv := make([]byte, requestSize), [16]byte{}
	// Two groups, so that the cipher's caches are not those of six models.
	ciphers := coreTurns.run(ctx, alone.do, func() { engine.Encrypt(buf, &iv) }, func() { library.Encrypt(buf, buf, 0) })
	work := []func(){alone.do, shared.do}
	for _, w := range watchers {
		_, watched, err := watchedRequest(w.config, p)
		if err != nil {
			return nil, err
		}
		work = append(work, watched.do)
	}
	models := coreTurns.run(ctx, work...)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	core, among := ciphers[0].p50(), models[0].p50()
	const nobody = "nobody watching, plain memory"
	what := fmt.Sprintf("request of %d descriptors", alone.descriptors)
	lines := []Line{
		{What: what, Value: core, Unit: nanoseconds, Against: "the engine's own AES-XTS alone", Base: ciphers[1].p50(), Target: atMost(1.5)},
		{What: what, Value: core, Unit: nanoseconds, Against: "x/crypto's AES-XTS alone", Base: ciphers[2].p50(), Target: atMost(1.5)},
		{What: "allocations of a request", Value: allocations(1000, alone.do), Unit: howOften, Target: atMost(0)},
		{What: "request, guest memory mapped", Value: models[1].p50(), Unit: nanoseconds, Against: nobody, Base: among},
	}
	for i, w := range watchers {
		lines = append(lines, Line{What: w.what, Value: models[2+i].p50(), Unit: nanoseconds, Against: nobody, Base: among})
	}
	judged, err := measureOracle(ctx, p, alone)
	if err != nil {
		return nil, err
	}
	all, err := measureAll(ctx, p, alone)
	return append(append(lines, judged...), all...), err
}

// judge is a model with checker and oracle, and the request on it.
type judge struct {
	*model.Model
	*request
	made uint64
}

func newJudge(c model.Config, p *cryptoblock.Profile) (*judge, error) {
	c.Check, c.Oracle = &model.Check{}, requestSize
	m, r, err := watchedRequest(c, p)
	return &judge{Model: m, request: r}, err
}

func (j *judge) do() {
	j.request.do()
	j.made++
}

// settle waits for the oracle.
func (j *judge) settle() { j.Model.Oracle.Counts() }

// check fails unless the oracle has judged each request, and found it right.
func (j *judge) check() error {
	if c := j.Model.Oracle.Counts(); c.Checked < j.made || c.NotJudged+c.Wrong != 0 {
		return fmt.Errorf("of the requests that are to be measured the oracle has judged %d, found %d wrong, and does not know %d", c.Checked, c.Wrong, c.NotJudged)
	}
	return nil
}

// judgeLine compares the request on a judge with the one that nobody watches.
func judgeLine(what string, s []samples, target *float64) Line {
	return Line{What: what, Value: s[1].p50(), Unit: nanoseconds, Against: "nobody watching, plain memory", Base: s[0].p50(), Target: target}
}

// measureOracle measures the request with checker and oracle against the same
// with nobody watching.
func measureOracle(ctx context.Context, p *cryptoblock.Profile, alone *request) ([]Line, error) {
	j, err := newJudge(model.Config{}, p)
	if err != nil {
		return nil, err
	}
	inLine := oracleTurns.with(j.settle).run(ctx, alone.do, j.do)
	long := verdictTurns
	withVerdicts := func() {
		j.do()
		if j.made%uint64(long.batch) == 0 {
			j.settle()
		}
	}
	awaited := long.run(ctx, alone.do, withVerdicts)
	long.clock = processorTime
	used := long.run(ctx, alone.do, withVerdicts)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return []Line{
		judgeLine("request, checker and oracle", inLine, atMost(1.5)),
		judgeLine("the same, with the oracle's verdict", awaited, nil),
		judgeLine("the same, time of all processors", used, nil),
	}, j.check()
}

// measureAll measures the request with all who watch unless told otherwise.
func measureAll(ctx context.Context, p *cryptoblock.Profile, alone *request) ([]Line, error) {
	j, err := newJudge(model.Config{InFlight: true}, p)
	if err != nil {
		return nil, err
	}
	const what = "checker, oracle and changes in flight"
	times := oracleTurns.with(j.settle).run(ctx, alone.do, j.do)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return []Line{
		judgeLine(what, times, atMost(1.5)),
		{What: "allocations of that", Value: j.allocations(), Unit: howOften, Target: atMost(0)},
	}, j.check()
}

// allocations is how often the request allocates, without what the oracle's
// goroutine does: of few requests, for which it is not started, and the least
// of some tries, since it may still be at the end of its work.
func (j *judge) allocations() float64 {
	least := math.Inf(1)
	for range 5 {
		j.settle()
		least = min(least, allocations(oracle.Worthwhile/2, j.do))
	}
	return least
}
