package scenario

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/finding"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/trace"
)

// Result is what came of a scenario.
type Result struct {
	Findings []finding.Finding
	Failures []string // what was expected and is not so, with file and line
	// Outcome is what an observer can tell: one line for each finding, each
	// value read, each output, the lock and the pipes at the end. Equal outcomes
	// are equal behaviour.
	Outcome []string
}

// Run plays a scenario with the given answers to open questions; those that
// the script chooses come first. An error says that the script itself is wrong.
func (s *Scenario) Run(choice reading.Choice) (*Result, error) {
	r := &run{scenario: s, allowed: map[string]bool{}, wanted: map[string]int{}, unwanted: map[string]int{}}
	opt, err := s.options(choice)
	if err != nil {
		return nil, err
	}
	if err := r.build(opt); err != nil {
		return nil, err
	}
	for _, st := range s.steps {
		if st.verb.do == nil {
			continue
		}
		if err := st.verb.do(r, st); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.at(st.line), st.text, err)
		}
	}
	return r.result(), nil
}

// setting is what the statements about the block ask for.
type setting struct {
	soc      string
	timing   string
	choice   reading.Choice
	inFlight bool
}

func (s *Scenario) options(choice reading.Choice) (setting, error) {
	set := setting{soc: cryptoblock.DefaultSoC, choice: reading.Choice{}}
	for k, v := range choice {
		set.choice[k] = v
	}
	for _, st := range s.steps {
		if st.verb.set == nil {
			continue
		}
		if err := st.verb.set(&set, st.args); err != nil {
			return set, fmt.Errorf("%s: %s: %w", s.at(st.line), st.text, err)
		}
	}
	return set, nil
}

// run is a scenario that is being played.
type run struct {
	scenario *Scenario
	profile  *cryptoblock.Profile
	layout   bam.Layout
	block    *cryptoblock.Block
	log      *finding.Log
	checker  *checker.Checker
	watch    watch
	sides    map[string]*side
	now      *side // who acts

	allowed  map[string]bool
	wanted   map[string]int // rule to line
	unwanted map[string]int
	failures []string
	outcome  []string
}

// side is an execution environment with its client.
type side struct {
	name   string
	ee     int
	salt   byte // makes its keys and data different
	port   *cryptoblock.Port
	mem    *memory
	line   line
	rx, tx pipe
	code   uint64 // where the next element goes
	in     uint64 // the next input
	out    uint64 // the next output
	req    request
	outAt  uint64 // of req
	inFree uint64 // where the next request's input goes
}

// pipe is the client's side of a pipe.
type pipe struct {
	number int
	base   uint64
	size   uint32
	tail   uint32 // where the next descriptor goes
	group  uint32
}

// line remembers the level of an interrupt line.
type line struct{ level bool }

func (l *line) Set(level bool) { l.level = level }

// watch keeps of the stream what expectations ask for.
type watch struct {
	lock bool
	ee   uint8
	done [bam.MaxPipes]int
}

// Emit implements trace.Sink.
func (w *watch) Emit(e *trace.Event) {
	switch e.Kind {
	case trace.Lock:
		w.lock, w.ee = true, e.By.EE
	case trace.Unlock:
		w.lock = false
	case trace.DescDone:
		w.done[e.Pipe]++
	case trace.PipeReset:
		w.done[e.Pipe] = 0
	}
}

func (r *run) build(set setting) error {
	p, err := cryptoblock.ProfileByName(set.soc)
	if err != nil {
		return err
	}
	timing := cryptoblock.Timing{}
	if set.timing != "" {
		if timing, err = cryptoblock.TimingByName(set.timing); err != nil {
			return err
		}
	}
	places := p.Places()
	if len(places) == 0 {
		return fmt.Errorf("SoC %s has no place for a second side", p.Name)
	}
	r.profile = p
	if r.layout, err = bam.ParseLayout(p.Layout); err != nil {
		return err
	}
	secure := cryptoblock.Client{Name: "secure", EE: places[0].EE, Pair: places[0].Pair}
	r.log = finding.NewLog(func(e *trace.Event) string { return r.block.Describe(e) })
	r.checker = checker.New(checker.Config{Layout: r.layout, Owners: p.Owners([]cryptoblock.Client{secure}), Polls: 100, Patience: 5000}, r.log)
	r.block, err = cryptoblock.New(*p, cryptoblock.Options{
		Readings: set.choice, Timing: timing, InFlight: set.inFlight, Manual: true,
		Sinks: []trace.Sink{&r.watch, r.log, r.checker}, Clients: []cryptoblock.Client{secure},
	})
	if err != nil {
		return err
	}
	r.sides = map[string]*side{
		"linux":  r.newSide("linux", p.EE, p.PipePair, 0),
		"secure": r.newSide("secure", places[0].EE, places[0].Pair, 0x80),
	}
	r.now = r.sides["linux"]
	return nil
}

func (r *run) newSide(name string, ee, pair int, salt byte) *side {
	s := &side{
		name: name, ee: ee, salt: salt, port: r.block.Port(ee), mem: &memory{data: make([]byte, ramSize)},
		rx:   pipe{number: 2 * pair, base: places["RXFIFO"], size: 0x7FF8},
		tx:   pipe{number: 2*pair + 1, base: places["TXFIFO"], size: 0x7FF8},
		code: places["CODE"], in: places["IN"], out: places["OUT"], outAt: places["OUT"], inFree: places["IN"],
	}
	s.port.Attach(s.mem, &s.line)
	return s
}

// fail notes that something is not as expected.
func (r *run) fail(line int, format string, args ...any) {
	r.failures = append(r.failures, r.scenario.at(line)+": "+fmt.Sprintf(format, args...))
}

// note adds to the outcome.
func (r *run) note(format string, args ...any) {
	r.outcome = append(r.outcome, fmt.Sprintf(format, args...))
}

// found returns the IDs of the findings so far.
func (r *run) found() []string {
	var ids []string
	for _, f := range r.log.Findings() {
		ids = append(ids, f.ID)
	}
	return ids
}

// result ends the scenario.
func (r *run) result() *Result {
	r.block.Settle()
	for _, name := range sorted(r.sides) {
		s := r.sides[name]
		for _, p := range []*pipe{&s.rx, &s.tx} {
			if n := r.watch.done[p.number]; n != 0 {
				r.note("%s: pipe %d did %d descriptors", name, p.number, n)
			}
		}
		if s.req.want != nil {
			r.note("%s: output %s", name, s.verdict())
		}
		r.note("%s: line %v", name, s.line.level)
	}
	r.note("lock %s", r.lockState())
	r.checker.Finish()
	found := r.found()
	for _, id := range found {
		r.note("finds %s", id)
		if line, ok := r.unwanted[id]; ok {
			r.fail(line, "%s: finds %s, to which it only comes close", r.scenario.Name, id)
		} else if _, ok := r.wanted[id]; !ok && !r.allowed[id] {
			i := slices.IndexFunc(r.log.Findings(), func(f finding.Finding) bool { return f.ID == id })
			r.fail(r.scenario.Line, "%s: finds %s, which it should not: %s", r.scenario.Name, id, r.log.Findings()[i].First)
		}
	}
	for _, id := range sorted(r.wanted) {
		if !slices.Contains(found, id) {
			r.fail(r.wanted[id], "%s: does not find %s; found: %s", r.scenario.Name, id, strings.Join(found, " "))
		}
	}
	return &Result{Findings: r.log.Findings(), Failures: r.failures, Outcome: r.outcome}
}

func (r *run) lockState() string {
	if !r.watch.lock {
		return "free"
	}
	for name, s := range r.sides {
		if s.ee == int(r.watch.ee) {
			return name
		}
	}
	return "foreign"
}

// verdict says whether the side's output is what its request should give.
func (s *side) verdict() string {
	got := s.mem.bytes(s.outAt, len(s.req.want))
	if bytes.Equal(got, s.req.want) {
		return "right"
	}
	return "wrong"
}

// register finds a register's offset in the window by its name: of the engine,
// or of the BAM with the pipe or EE in brackets.
func (r *run) register(name string) (uint32, error) {
	if off, ok := engineRegs[name]; ok {
		return r.profile.QCEOffset + off, nil
	}
	name, index, _ := strings.Cut(strings.TrimSuffix(name, "]"), "[")
	reg, ok := bamRegs[name]
	if !ok {
		return 0, fmt.Errorf("no register %q", name)
	}
	n := 0
	switch index {
	case "rx":
		n = r.now.rx.number
	case "tx":
		n = r.now.tx.number
	case "":
		if strings.HasSuffix(name, "_EE") {
			n = r.now.ee
		}
	default:
		v, err := number(index)
		if err != nil {
			return 0, err
		}
		n = int(v)
	}
	off, ok := r.layout.Offset(reg, n)
	if !ok {
		return 0, fmt.Errorf("layout %v has no %s", r.layout, name)
	}
	return r.profile.BAMOffset + off, nil
}

// engineRegs and bamRegs are the registers by name.
var engineRegs = func() map[string]uint32 {
	m := map[string]uint32{}
	for i := range qce.Registers {
		b := &qce.Registers[i]
		for n := range uint32(b.Count) {
			m[qce.Name(b.Off+4*n)] = b.Off + 4*n
		}
	}
	return m
}()

var bamRegs = func() map[string]bam.Reg {
	m := map[string]bam.Reg{}
	for reg := bam.None + 1; reg.String() != "?"; reg++ {
		m[reg.String()] = reg
	}
	return m
}()
