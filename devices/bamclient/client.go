package bamclient

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
)

// Client is a user of the crypto block. Make one with New and attach it to a
// block that has a client at its place. Do may be called by several goroutines
// at a time; operations are done one after the other.
type Client struct {
	name    string
	place   cryptoblock.Place
	profile *cryptoblock.Profile
	layout  bam.Layout

	port *cryptoblock.Port
	line line
	mem  memory

	turn   chan struct{} // has a token while nobody uses what is below
	timer  *time.Timer
	rx, tx ring
}

// line tells of the interrupt line's rising. It is driven from inside the block.
type line chan struct{}

// Set implements bus.Line.
func (l line) Set(asserted bool) {
	if asserted {
		select {
		case l <- struct{}{}:
		default:
		}
	}
}

// New returns a client that sits at a place that the chip has free.
func New(name string, p *cryptoblock.Profile, place cryptoblock.Place) (*Client, error) {
	layout, err := bam.ParseLayout(p.Layout)
	if err != nil {
		return nil, err
	}
	if !layout.PipeLock() {
		return nil, fmt.Errorf("SoC %s: its BAM has no pipe lock, which %s needs", p.Name, name)
	}
	c := &Client{name: name, place: place, profile: p, layout: layout, line: make(line, 1), turn: make(chan struct{}, 1)}
	c.rx = ring{pipe: 2 * place.Pair, base: rxFIFO}
	c.tx = ring{pipe: 2*place.Pair + 1, base: txFIFO}
	c.timer = time.NewTimer(0)
	c.timer.Stop()
	c.turn <- struct{}{}
	return c, nil
}

// Block is what the block must be made with.
func (c *Client) Block() cryptoblock.Client {
	return cryptoblock.Client{Name: c.name, EE: c.place.EE, Pair: c.place.Pair}
}

// Attach connects the client to the block.
func (c *Client) Attach(b *cryptoblock.Block) {
	c.port = b.Port(c.place.EE)
	c.port.Attach(&c.mem, c.line)
}

// Bits of ENGINES_AVAIL (datasheet §12).
const (
	hasAES     = 1 << 0
	hasDES     = 1 << 1
	hasSHA     = 1 << 4
	hasSHA512  = 1 << 5
	hasAuthAES = 1 << 6
)

// Supports reports whether the engine can do operations with a cipher, a length
// of its key, and a hash or MAC. It has no AES with 192 bits.
func (c *Client) Supports(cipher Cipher, keyLen int, auth Auth) bool {
	need := uint32(0)
	switch {
	case cipher == AESGCM && !c.profile.GCM:
		return false
	case cipher == DESECB, cipher == DESCBC, cipher == TDESECB, cipher == TDESCBC:
		need |= hasDES
	case cipher != NoCipher:
		need |= hasAES
	}
	switch {
	case cipher.AEAD(), auth == CMACAES:
		need |= hasAuthAES
	case auth.hash() == SHA384, auth.hash() == SHA512:
		need |= hasSHA | hasSHA512
	case auth != NoAuth:
		need |= hasSHA
	}
	if cipher.AEAD() && auth != NoAuth || cipher != NoCipher && auth == CMACAES {
		return false
	}
	return c.profile.Engines&need == need && cipher.KeyFits(keyLen) && (keyLen != 24 || need&hasDES != 0)
}

// check refuses operations that the engine cannot do, empty ones among them
// (datasheet §16.5).
func (c *Client) check(op *Operation) error {
	ok := c.Supports(op.Cipher, len(op.Key), op.Auth) && op.Len <= MaxLen && op.AADLen <= MaxLen
	switch {
	case !ok:
	case op.Cipher == AESCCM:
		ok = len(op.IV) >= 7 && len(op.IV) <= 13 && op.TagLen >= 4 && op.TagLen <= 16 && op.TagLen%2 == 0 &&
			(len(op.IV) < 13 || op.Len < 1<<16) && op.Len+op.AADLen > 0
	case op.Cipher == AESGCM:
		ok = len(op.IV) == 12 && op.TagLen >= 4 && op.TagLen <= 16 && op.Len+op.AADLen > 0
	default:
		ok = op.Len > 0 && len(op.IV) == op.Cipher.IVLen() && len(op.AuthKey) <= maxAuthKey &&
			inside(op.CipherStart, op.CipherLen, op.Len) && inside(op.AuthStart, op.AuthLen, op.Len) &&
			(op.Cipher == NoCipher || op.CipherLen > 0 && op.CipherLen%op.Cipher.Block() == 0) &&
			(op.Auth != CMACAES || len(op.AuthKey) == 16 || len(op.AuthKey) == 32)
	}
	if !ok {
		return ErrUnsupported
	}
	return nil
}

func inside(start, size, whole uint32) bool { return uint64(start)+uint64(size) <= uint64(whole) }

// Do does an operation. It waits for its turn and for the engine, which another
// side can hold for as long as it likes; while it waits it ends with ErrCanceled
// when cancel is closed. An operation that has begun goes on to its end. Errors
// of the operation's data are returned as they are.
func (c *Client) Do(op *Operation, cancel <-chan struct{}) error {
	if err := c.check(op); err != nil {
		return err
	}
	select {
	case <-c.turn:
	case <-cancel:
		return ErrCanceled
	}
	defer func() { c.turn <- struct{}{} }()
	for {
		again, err := c.try(op, cancel)
		if err != nil {
			return err
		}
		if !again {
			return c.result(op)
		}
	}
}

// try does the operation once. It reports whether it must be done again,
// because the chip was reset before anything of it had come out.
func (c *Client) try(op *Operation, cancel <-chan struct{}) (again bool, err error) {
	if !c.alive() {
		c.setUp()
	}
	c.mem.begin(op)
	first := c.rx.tail
	c.fill(op)
	c.write(bam.PEvntReg, c.tx.pipe, c.tx.tail)
	c.write(bam.PEvntReg, c.rx.pipe, c.rx.tail)
	err = c.wait(first, cancel)
	if err != nil {
		c.setUp() // what is still queued is dropped
	}
	written, dataErr := c.mem.end()
	switch {
	case errors.Is(err, errReset) && !written:
		return true, nil
	case err == nil:
		err = dataErr
	}
	return false, err
}

func (c *Client) off(r bam.Reg, index int) uint32 {
	off, ok := c.layout.Offset(r, index)
	if !ok {
		panic("bamclient: no " + r.String() + " in " + c.layout.String())
	}
	return c.profile.BAMOffset + off
}

func (c *Client) write(r bam.Reg, index int, val uint32) { c.port.Write(c.off(r, index), val) }
func (c *Client) read(r bam.Reg, index int) uint32       { return c.port.Read(c.off(r, index)) }

// P_CTRL of an enabled pipe in system mode (datasheet §4). The lock group is the
// pair's number, as the vendor's drivers have it.
const (
	pipeOn       = 1<<1 | 1<<5
	pipeProducer = 1 << 3
	lockGroup    = 16 // shift
)

// setUp resets the pipes and programs them (datasheet §7).
func (c *Client) setUp() {
	for _, r := range []*ring{&c.tx, &c.rx} {
		r.tail = 0
		c.write(bam.PRst, r.pipe, 1)
		c.write(bam.PRst, r.pipe, 0)
		c.write(bam.PDescFIFOAddr, r.pipe, r.base)
		c.write(bam.PFIFOSizes, r.pipe, fifoSize)
		c.write(bam.PIRQEn, r.pipe, bam.IRQPrcsdDesc|bam.IRQErr|bam.IRQTrnsfrEnd)
		msk := c.read(bam.IRQSrcsMskEE, c.place.EE)
		c.write(bam.IRQSrcsMskEE, c.place.EE, msk|1<<r.pipe)
		c.write(bam.PCtrl, r.pipe, c.ctrl(r))
	}
}

func (c *Client) ctrl(r *ring) uint32 {
	v := uint32(pipeOn) | uint32(c.place.Pair)<<lockGroup
	if r == &c.tx {
		v |= pipeProducer
	}
	return v
}

// alive reports whether the pipes are as setUp has left them. A reset of the
// chip, which comes with each boot of Linux, undoes that.
func (c *Client) alive() bool {
	return c.read(bam.PCtrl, c.rx.pipe) == c.ctrl(&c.rx) && c.read(bam.PCtrl, c.tx.pipe) == c.ctrl(&c.tx)
}

// fill puts the operation into memory. Nothing of it is known to the BAM yet.
func (c *Client) fill(op *Operation) {
	m := &c.mem
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.ram[prefix : tailOut+tailSize])
	var head, pad uint32
	if op.Cipher == AESCCM && op.AADLen > 0 {
		head = ccmHeader(m.ram[prefix:], op.AADLen)
		pad = -(head + op.AADLen) & 15
	}
	skip := head + op.AADLen + pad
	total := skip + op.Len
	aeadOpen := op.Cipher.AEAD() && !op.Encrypt
	if aeadOpen {
		total += uint32(copy(m.ram[tagIn:], op.Result[:op.TagLen]))
	}
	p := program{m: m, base: c.profile.QCEOffset}
	p.write(op, c.place.Pair, skip, total)
	p.m.element(unlock, c.profile.QCEOffset+qce.Version, 0)

	m.push(&c.rx, list, p.at-list, bam.FlagCMD|bam.FlagLOCK)
	left := total
	for _, part := range [...]struct{ addr, size uint32 }{
		{prefix, head}, {aadWindow, op.AADLen}, {padding, pad}, {inWindow, op.Len}, {tagIn, total - skip - op.Len},
	} {
		if part.size == 0 {
			continue
		}
		flags := uint32(0)
		if left -= part.size; left == 0 {
			flags = bam.FlagEOT | bam.FlagNWD
		}
		m.push(&c.rx, part.addr, part.size, flags)
	}
	m.push(&c.rx, unlock, bam.ElementSize, bam.FlagCMD|bam.FlagUNLOCK|bam.FlagINT)

	if op.Cipher != NoCipher {
		if skip > 0 {
			m.push(&c.tx, sink, skip, 0)
		}
		if op.Len > 0 {
			m.push(&c.tx, outWindow, op.Len, 0)
		}
	}
	m.push(&c.tx, tailOut, tailSize, bam.FlagEOT|bam.FlagINT)
}

// ccmHeader writes the length in front of associated data (SP 800-38C A.2.2).
func ccmHeader(b []byte, n uint32) uint32 {
	if n < 0xff00 {
		binary.BigEndian.PutUint16(b, uint16(n))
		return 2
	}
	b[0], b[1] = 0xff, 0xfe
	binary.BigEndian.PutUint32(b[2:], n)
	return 6
}

// wait returns when both pipes have done all that was queued, by interrupts as a
// driver does. It obeys cancel if the operation, whose first descriptor is named,
// has not begun.
func (c *Client) wait(first uint32, cancel <-chan struct{}) error {
	var last *progress // since cancel was closed
	for {
		if err := c.sleep(cancel); err != nil {
			if !c.begun(first) {
				return err
			}
			cancel, last = nil, &progress{at: time.Now()}
		}
		if last != nil && c.stuck(last) {
			return fmt.Errorf("%w: %w", ErrFailed, errStuck)
		}
		if failed := c.interrupt(); failed {
			return fmt.Errorf("%w: pipe error", ErrFailed)
		}
		if c.done(&c.tx) && c.done(&c.rx) {
			return nil
		}
		if !c.alive() {
			return fmt.Errorf("%w: %w", ErrFailed, errReset)
		}
	}
}

var (
	errReset = errors.New("the chip was reset")
	errStuck = errors.New("canceled, and the operation comes to no end")
)

// descValid is in P_PSM_CNTXT_2: the pipe has fetched a descriptor (datasheet §4).
const descValid = 1 << 31

// begun reports whether the chip has taken up the operation: a pipe that waits
// for the lock does not fetch, and one that has fetched LOCK goes on. If it has
// not, the pipe is left halted, so that it does not begin before it is reset.
func (c *Client) begun(first uint32) bool {
	c.write(bam.PHalt, c.rx.pipe, 1)
	at, open := c.read(bam.PSWOfsts, c.rx.pipe)&0xffff, c.read(bam.PPSMCntxt2, c.rx.pipe)&descValid != 0
	if at == first && !open {
		return false
	}
	c.write(bam.PHalt, c.rx.pipe, 0)
	return true
}

// progress is how far a canceled operation was at the last look, and for how long
// it has stood still.
type progress struct {
	moves uint64
	at    time.Time
	still time.Duration
}

// patience is how long a canceled operation may stand still. What has begun ends
// by itself, unless somebody has changed the engine's registers under it.
const patience = 2 * time.Second

// stuck reports whether a canceled operation stands still.
func (c *Client) stuck(last *progress) bool {
	now := time.Now()
	if n := c.mem.moved(); n != last.moves {
		last.moves, last.still = n, 0
	} else {
		// If it is we who had no processor for long, the model had none either.
		last.still += min(now.Sub(last.at), lookAfter)
	}
	last.at = now
	return last.still > patience
}

// lookAfter is how long no interrupt comes until the client looks whether the
// pipes are still there.
const lookAfter = 100 * time.Millisecond

// sleep waits for the interrupt. Mostly it is there already.
func (c *Client) sleep(cancel <-chan struct{}) error {
	select {
	case <-c.line:
		return nil
	default:
	}
	c.timer.Reset(lookAfter)
	defer c.timer.Stop()
	select {
	case <-c.line:
	case <-c.timer.C:
	case <-cancel:
		return ErrCanceled
	}
	return nil
}

// interrupt serves the pipes that ask for it, until none does. It reports
// whether one has an error.
func (c *Client) interrupt() (failed bool) {
	for {
		srcs := c.read(bam.IRQSrcsEE, c.place.EE) & (1<<c.rx.pipe | 1<<c.tx.pipe)
		if srcs == 0 {
			return failed
		}
		for _, r := range []*ring{&c.rx, &c.tx} {
			if srcs>>r.pipe&1 == 0 {
				continue
			}
			stts := c.read(bam.PIRQStts, r.pipe)
			c.write(bam.PIRQClr, r.pipe, stts)
			failed = failed || stts&bam.IRQErr != 0
		}
	}
}

func (c *Client) done(r *ring) bool { return c.read(bam.PSWOfsts, r.pipe)&0xffff == r.tail }

// Places in the result dump (datasheet §17), and its sizes.
const (
	dumpStatus = 0x60
	dumpSize   = 104
	dumpPadded = 128

	macAreaPadded = 64

	statusFailed = qce.SwErr | qce.AxiErr | qce.HsdErr
)

var errStatus = errors.New("STATUS of the operation")

// result takes what the operation has put out behind the text.
func (c *Client) result(op *Operation) error {
	dump := c.mem.ram[tailOut+c.macArea(op):][:dumpSize]
	status := binary.BigEndian.Uint32(dump[dumpStatus:])
	if status&statusFailed != 0 {
		return fmt.Errorf("%w: %w %#x", ErrFailed, errStatus, status)
	}
	if op.Cipher.AEAD() && !op.Encrypt {
		if status&qce.MACFailed != 0 {
			return ErrTag
		}
		return nil
	}
	copy(op.Result[:], dump[:64])
	return nil
}

// macArea returns how much an AEAD puts out between text and result dump: the
// tag, filled up by some engines to 64 bytes. The BAM has written back how much
// there was in all (datasheet §5.2).
func (c *Client) macArea(op *Operation) int {
	if !op.Cipher.AEAD() {
		return 0
	}
	last := (c.tx.tail + fifoSize - bam.DescriptorSize) % fifoSize
	n := int(binary.LittleEndian.Uint16(c.mem.ram[c.tx.base+last+4:]))
	if n == macAreaPadded+dumpSize || n == macAreaPadded+dumpPadded {
		return macAreaPadded
	}
	return op.TagLen
}
