package scenario

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
	"github.com/qcemu/qcemu/devices/rulebook"
)

// verb is a kind of statement.
type verb struct {
	usage    string
	min, max int // number of words behind it; max -1: any
	set      func(*setting, []string) error
	do       func(*run, step) error
}

// check says whether the number of words behind the statement's name is right.
func (v *verb) check(name string, args []string) error {
	if len(args) < v.min || v.max >= 0 && len(args) > v.max {
		return fmt.Errorf("want \"%s %s\"", name, v.usage)
	}
	return nil
}

var flagBits = map[string]uint32{
	"INT": bam.FlagINT, "EOT": bam.FlagEOT, "EOB": bam.FlagEOB, "NWD": bam.FlagNWD,
	"CMD": bam.FlagCMD, "LOCK": bam.FlagLOCK, "UNLOCK": bam.FlagUNLOCK, "IMME": bam.FlagIMME,
}

// verbs are all statements; doc.go says what they mean.
var verbs map[string]*verb

func init() { // the functions below refer back to the table
	verbs = map[string]*verb{
		"soc":       {usage: "NAME", min: 1, max: 1, set: func(s *setting, a []string) error { s.soc = a[0]; return nil }},
		"timing":    {usage: "NAME", min: 1, max: 1, set: func(s *setting, a []string) error { s.timing = a[0]; return nil }},
		"reading":   {usage: "NAME=VALUE", min: 1, max: 1, set: func(s *setting, a []string) error { return s.choice.Parse(a[0]) }},
		"in-flight": {set: func(s *setting, _ []string) error { s.inFlight = true; return nil }},

		"as":      {usage: "linux|secure", min: 1, max: 1, do: doAs},
		"hole":    {usage: "ADDR SIZE", min: 2, max: 2, do: doHole},
		"protect": {usage: "ADDR SIZE", min: 2, max: 2, do: doProtect},
		"poke":    {usage: "ADDR HEX", min: 2, max: 2, do: doPoke},
		"reset":   {usage: "chip", min: 1, max: 1, do: func(r *run, _ step) error { r.block.Reset(); return nil }},

		"open":    {usage: "rx|tx|both [group=N] [fifo=BYTES] [base=ADDR]", min: 1, max: -1, do: doOpen},
		"close":   {usage: "rx|tx", min: 1, max: 1, do: doClose},
		"cmd":     {usage: "REG=VALUE... [FLAGS] [size=N] [at=ADDR]", max: -1, do: doCmd},
		"lock":    {usage: "[FLAGS]", max: -1, do: doLock},
		"unlock":  {usage: "[FLAGS]", max: -1, do: doUnlock},
		"setup":   {usage: "ALG enc|dec|hash LEN [without=REG] [list] [FLAGS]", min: 3, max: -1, do: doSetup},
		"program": {usage: "ALG enc|dec|hash LEN [without=REG]", min: 3, max: -1, do: doProgram},
		"data":    {usage: "LEN [FLAGS] [at=ADDR]", min: 1, max: -1, do: doData},
		"room":    {usage: "LEN [FLAGS] [at=ADDR]", min: 1, max: -1, do: doRoom},
		"ring":    {usage: "rx|tx [to=OFFSET]", min: 1, max: 2, do: doRing},
		"write":   {usage: "REG VALUE", min: 2, max: 2, do: doWrite},
		"read":    {usage: "REG", min: 1, max: 1, do: doRead},
		"poll":    {usage: "REG COUNT", min: 2, max: 2, do: doPoll},
		"serve":   {do: doServe},
		"repeat":  {usage: "COUNT STATEMENT...", min: 2, max: -1, do: doRepeat},

		"finds":  {usage: "RULE...", min: 1, max: -1, do: doFinds},
		"near":   {usage: "RULE...", min: 1, max: -1, do: doNear},
		"allows": {usage: "RULE...", min: 1, max: -1, do: doAllows},
		"expect": {usage: "REG VALUE[/MASK] | output right|wrong | lock free|linux|secure | line 0|1 | done rx|tx COUNT", min: 2, max: 3, do: doExpect},
	}
}

func doAs(r *run, st step) error {
	s, ok := r.sides[st.args[0]]
	if !ok {
		return fmt.Errorf("there are: %s", strings.Join(sorted(r.sides), ", "))
	}
	r.now = s
	return nil
}

func stretch(args []string) (extent, error) {
	from, err := address(args[0])
	if err != nil {
		return extent{}, err
	}
	n, err := number(args[1])
	return extent{from, from + n}, err
}

func doHole(r *run, st step) error {
	x, err := stretch(st.args)
	r.now.mem.holes = append(r.now.mem.holes, x)
	return err
}

func doProtect(r *run, st step) error {
	x, err := stretch(st.args)
	r.now.mem.protected = append(r.now.mem.protected, x)
	return err
}

func doPoke(r *run, st step) error {
	addr, err := address(st.args[0])
	if err != nil {
		return err
	}
	p, err := hex.DecodeString(st.args[1])
	if err != nil {
		return err
	}
	return r.now.put(addr, p)
}

// put writes memory, as a processor does.
func (s *side) put(addr uint64, p []byte) error {
	at := s.mem.bytes(addr, len(p))
	if at == nil {
		return fmt.Errorf("no memory at %#x", addr)
	}
	copy(at, p)
	return nil
}

// pipes are the pipes that a word names.
func (s *side) pipes(word string) ([]*pipe, error) {
	switch word {
	case "rx":
		return []*pipe{&s.rx}, nil
	case "tx":
		return []*pipe{&s.tx}, nil
	case "both":
		return []*pipe{&s.rx, &s.tx}, nil
	}
	return nil, fmt.Errorf("no pipe %q: want rx, tx or both", word)
}

// store writes a register of a pipe, or of the side's EE.
func (r *run) store(reg bam.Reg, index int, val uint32) error {
	off, ok := r.layout.Offset(reg, index)
	if !ok {
		return fmt.Errorf("layout %v has no %v[%d]", r.layout, reg, index)
	}
	r.now.port.Write(r.profile.BAMOffset+off, val)
	return nil
}

func (r *run) load(reg bam.Reg, index int) uint32 {
	off, _ := r.layout.Offset(reg, index)
	return r.now.port.Read(r.profile.BAMOffset + off)
}

// pair is a register and what is written to it.
type pair struct {
	reg   bam.Reg
	index int
	val   uint32
}

func (r *run) storeAll(list ...pair) error {
	for _, p := range list {
		if err := r.store(p.reg, p.index, p.val); err != nil {
			return err
		}
	}
	return nil
}

// doOpen sets pipes up in the order of bam_chan_init_hw (datasheet §22).
func doOpen(r *run, st step) error {
	pipes, err := r.now.pipes(st.args[0])
	if err != nil {
		return err
	}
	o := parseOptions(st.args[1:], "group", "fifo", "base")
	if err := o.none(); err != nil {
		return err
	}
	for _, p := range pipes {
		group, err1 := o.number("group", uint64(p.group))
		size, err2 := o.number("fifo", uint64(p.size))
		base, err3 := o.number("base", p.base)
		for _, err := range []error{err1, err2, err3} {
			if err != nil {
				return err
			}
		}
		p.group, p.size, p.base, p.tail = uint32(group), uint32(size), base, 0
		const enabled, producer, events = 0x22, 0x08, bam.IRQPrcsdDesc | bam.IRQErr | bam.IRQTrnsfrEnd
		ctrl := enabled | p.group<<16
		if p.number&1 != 0 {
			ctrl |= producer
		}
		mask := r.load(bam.IRQSrcsMskEE, r.now.ee)
		if err := r.storeAll(pair{bam.PRst, p.number, 1}, pair{bam.PRst, p.number, 0},
			pair{bam.PDescFIFOAddr, p.number, uint32(p.base)}, pair{bam.PFIFOSizes, p.number, p.size},
			pair{bam.PIRQEn, p.number, events}, pair{bam.IRQSrcsMskEE, r.now.ee, mask | 1<<p.number},
			pair{bam.PCtrl, p.number, ctrl}); err != nil {
			return err
		}
	}
	return nil
}

func doClose(r *run, st step) error {
	pipes, err := r.now.pipes(st.args[0])
	if err != nil {
		return err
	}
	for _, p := range pipes {
		if err := r.storeAll(pair{bam.PRst, p.number, 1}, pair{bam.PRst, p.number, 0}); err != nil {
			return err
		}
	}
	return nil
}

// push puts a descriptor into a pipe's FIFO.
func (s *side) push(p *pipe, addr uint64, size, flags uint32) error {
	var raw [bam.DescriptorSize]byte
	binary.LittleEndian.PutUint32(raw[:], uint32(addr))
	binary.LittleEndian.PutUint32(raw[4:], flags<<16|uint32(addr>>32)<<16|size)
	if err := s.put(p.base+uint64(p.tail), raw[:]); err != nil {
		return err
	}
	if p.tail += bam.DescriptorSize; p.tail >= p.size {
		p.tail = 0
	}
	return nil
}

// element is a command element.
type element struct {
	read bool
	addr uint32
	val  uint32
}

// command queues a command descriptor on rx.
func (r *run) command(es []element, flags uint32, size, at uint64) error {
	s := r.now
	for i, e := range es {
		var raw [bam.ElementSize]byte
		word := e.addr & 0xFFFFFF
		if e.read {
			word |= bam.CommandRead << 24
		}
		binary.LittleEndian.PutUint32(raw[:], word)
		binary.LittleEndian.PutUint32(raw[4:], e.val)
		if !e.read {
			binary.LittleEndian.PutUint32(raw[8:], ^uint32(0))
		}
		if err := s.put(s.code+uint64(i)*bam.ElementSize, raw[:]); err != nil {
			return err
		}
	}
	if at == 0 {
		at = s.code
	}
	s.code += uint64(len(es)) * bam.ElementSize
	return s.push(&s.rx, at, uint32(size), flags|bam.FlagCMD)
}

func doCmd(r *run, st step) error {
	o := parseOptions(st.args, "size", "at")
	var es []element
	for _, w := range o.rest {
		e, err := r.element(w)
		if err != nil {
			return err
		}
		es = append(es, e)
	}
	size, err1 := o.number("size", uint64(len(es)*bam.ElementSize))
	at, err2 := o.number("at", 0)
	if err1 != nil {
		return err1
	}
	if err2 != nil {
		return err2
	}
	return r.command(es, o.flags, size, at)
}

// element reads REG=VALUE, @ADDR=VALUE or read:REG.
func (r *run) element(word string) (element, error) {
	if name, ok := strings.CutPrefix(word, "read:"); ok {
		off, err := r.register(name)
		return element{read: true, addr: off, val: uint32(places["END"] - 16)}, err
	}
	name, value, ok := strings.Cut(word, "=")
	if !ok {
		return element{}, fmt.Errorf("%q: want REG=VALUE", word)
	}
	val, err := number(value)
	if err != nil {
		return element{}, err
	}
	if raw, ok := strings.CutPrefix(name, "@"); ok {
		addr, err := number(raw)
		return element{addr: uint32(addr), val: uint32(val)}, err
	}
	off, err := r.register(name)
	return element{addr: off, val: uint32(val)}, err
}

func (r *run) dummy(st step, flag uint32) error {
	o := parseOptions(st.args)
	if err := o.none(); err != nil {
		return err
	}
	return r.command([]element{{addr: r.profile.QCEOffset + qce.Version}}, flag|o.flags, bam.ElementSize, 0)
}

func doLock(r *run, st step) error   { return r.dummy(st, bam.FlagLOCK) }
func doUnlock(r *run, st step) error { return r.dummy(st, bam.FlagUNLOCK) }

// request starts a request of the side and returns its register writes.
func (r *run) request(st step) ([]qcetest.Write, options, error) {
	o := parseOptions(st.args[3:], "without")
	n, err := number(st.args[2])
	if err != nil {
		return nil, o, err
	}
	s := r.now
	if s.req, err = newRequest(st.args[0], st.args[1], int(n), s.salt); err != nil {
		return nil, o, err
	}
	s.in, s.out = s.inFree, (s.out+0xfff)&^0xfff
	s.outAt = s.out
	if err := s.put(s.in, s.req.input); err != nil {
		return nil, o, err
	}
	s.inFree += (n + 0xfff) &^ 0xfff
	var kept []qcetest.Write
	for _, w := range s.req.Writes(s.rx.number / 2) {
		if qce.Name(w.Off) != o.named["without"] {
			kept = append(kept, w)
		}
	}
	return kept, o, nil
}

func doSetup(r *run, st step) error {
	writes, o, err := r.request(st)
	if err != nil {
		return err
	}
	es := make([]element, len(writes))
	for i, w := range writes {
		es[i] = element{addr: r.profile.QCEOffset + w.Off, val: w.Val}
	}
	if len(o.rest) == 1 && o.rest[0] == "list" {
		return r.command(es, o.flags, uint64(len(es)*bam.ElementSize), 0)
	}
	if err := o.none(); err != nil {
		return err
	}
	for i := range es {
		flags := uint32(0)
		if i == len(es)-1 {
			flags = o.flags
		}
		if err := r.command(es[i:i+1], flags, bam.ElementSize, 0); err != nil {
			return err
		}
	}
	return nil
}

func doProgram(r *run, st step) error {
	writes, o, err := r.request(st)
	if err != nil {
		return err
	}
	for _, w := range writes {
		r.now.port.Write(r.profile.QCEOffset+w.Off, w.Val)
	}
	return o.none()
}

func doData(r *run, st step) error { return r.buffer(st, &r.now.rx, &r.now.in) }
func doRoom(r *run, st step) error { return r.buffer(st, &r.now.tx, &r.now.out) }

func (r *run) buffer(st step, p *pipe, next *uint64) error {
	n, err := number(st.args[0])
	if err != nil {
		return err
	}
	o := parseOptions(st.args[1:], "at")
	if err := o.none(); err != nil {
		return err
	}
	at, err := o.number("at", *next)
	if err != nil {
		return err
	}
	*next = at + n
	return r.now.push(p, at, uint32(n), o.flags)
}

func doRing(r *run, st step) error {
	pipes, err := r.now.pipes(st.args[0])
	if err != nil {
		return err
	}
	o := parseOptions(st.args[1:], "to")
	if err := o.none(); err != nil {
		return err
	}
	for _, p := range pipes {
		to, err := o.number("to", uint64(p.tail))
		if err != nil {
			return err
		}
		if err := r.store(bam.PEvntReg, p.number, uint32(to)); err != nil {
			return err
		}
	}
	return nil
}

func doWrite(r *run, st step) error {
	off, err := r.register(st.args[0])
	if err != nil {
		return err
	}
	val, err := number(st.args[1])
	r.now.port.Write(off, uint32(val))
	return err
}

func doRead(r *run, st step) error {
	off, err := r.register(st.args[0])
	if err == nil {
		r.note("line %d: %s is %#x", st.line, st.args[0], r.now.port.Read(off))
	}
	return err
}

func doPoll(r *run, st step) error {
	off, err := r.register(st.args[0])
	if err != nil {
		return err
	}
	n, err := number(st.args[1])
	for range n {
		r.now.port.Read(off)
	}
	return err
}

func doRepeat(r *run, st step) error {
	n, err := number(st.args[0])
	if err != nil {
		return err
	}
	again := step{st.line, st.text, verbs[st.args[1]], st.args[2:]}
	if again.verb == nil || again.verb.do == nil {
		return fmt.Errorf("no statement %q", st.args[1])
	}
	if err := again.verb.check(st.args[1], again.args); err != nil {
		return err
	}
	for range n {
		if err := again.verb.do(r, again); err != nil {
			return err
		}
	}
	return nil
}

// doServe is an interrupt as bam_dma_irq takes it (datasheet §22).
func doServe(r *run, _ step) error {
	s := r.now
	sources := r.load(bam.IRQSrcsEE, s.ee)
	for _, p := range []*pipe{&s.rx, &s.tx} {
		if sources>>p.number&1 == 0 {
			continue
		}
		if err := r.store(bam.PIRQClr, p.number, r.load(bam.PIRQStts, p.number)); err != nil {
			return err
		}
		r.load(bam.PSWOfsts, p.number)
	}
	return nil
}

// known refuses the name of a rule that does not exist.
func known(ids []string) error {
	for _, id := range ids {
		if _, ok := ruleIDs[id]; !ok {
			return fmt.Errorf("no rule %s", id)
		}
	}
	return nil
}

var ruleIDs = func() map[string]bool {
	m := map[string]bool{}
	for _, rule := range rulebook.Rules() {
		m[rule.ID] = true
	}
	return m
}()

func doFinds(r *run, st step) error {
	if len(st.args) == 1 && st.args[0] == "nothing" {
		return nil
	}
	for _, id := range st.args {
		r.wanted[id] = st.line
	}
	return known(st.args)
}

func doNear(r *run, st step) error {
	for _, id := range st.args {
		r.unwanted[id] = st.line
	}
	return known(st.args)
}

func doAllows(r *run, st step) error {
	for _, id := range st.args {
		r.allowed[id] = true
	}
	return known(st.args)
}

func doExpect(r *run, st step) error {
	r.block.Settle()
	a := st.args
	switch a[0] {
	case "output":
		if got := r.now.verdict(); got != a[1] {
			r.fail(st.line, "the output of %s is %s", r.now.name, got)
		}
		return nil
	case "lock":
		if got := r.lockState(); got != a[1] {
			r.fail(st.line, "the lock is %s, want %s", got, a[1])
		}
		return nil
	case "line":
		if got := fmt.Sprint(map[bool]int{true: 1}[r.now.line.level]); got != a[1] {
			r.fail(st.line, "the line is %s, want %s", got, a[1])
		}
		return nil
	case "done":
		return r.expectDone(st)
	}
	return r.expectRegister(st)
}

func (r *run) expectDone(st step) error {
	if len(st.args) != 3 {
		return fmt.Errorf("want \"expect done rx|tx COUNT\"")
	}
	pipes, err := r.now.pipes(st.args[1])
	if err != nil {
		return err
	}
	if got := fmt.Sprint(r.watch.done[pipes[0].number]); got != st.args[2] {
		r.fail(st.line, "%s has finished %s descriptors, want %s", st.args[1], got, st.args[2])
	}
	return nil
}

func (r *run) expectRegister(st step) error {
	off, err := r.register(st.args[0])
	if err != nil {
		return err
	}
	word, maskWord, masked := strings.Cut(st.args[1], "/")
	want, err := number(word)
	if err != nil {
		return err
	}
	mask := uint64(allBits)
	if masked {
		if mask, err = number(maskWord); err != nil {
			return err
		}
	}
	got := r.now.port.Read(off)
	r.note("line %d: %s is %#x", st.line, st.args[0], got)
	if uint64(got)&mask != want {
		r.fail(st.line, "%s is %#x, want %#x", st.args[0], uint64(got)&mask, want)
	}
	return nil
}

const allBits = 1<<32 - 1
