package record

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/qcemu/qcemu/devices/bus"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/trace"
)

// Result is what came of a replay.
type Result struct {
	Header  Header
	Model   *model.Model
	Entries uint64 // that were made
	// Complete recordings have an end. A run that died leaves one without, and
	// results that nobody knows to compare with.
	Complete bool
	// Divergence is where the model has done something else than in the
	// recorded run; nil: nowhere. What follows on it was not replayed.
	Divergence *Divergence
	// OtherRules: everything was as recorded, but findings are not, since the
	// program knows other rules by now, or the checker was left out.
	OtherRules bool
}

// Divergence is the first difference between a replay and its recording.
type Divergence struct {
	Entry uint64 // number of the entry, from 1; 0: the results at the end
	Doing string // the entry in words
	What  string
}

func (d *Divergence) Error() string {
	if d.Entry == 0 {
		return d.What
	}
	return fmt.Sprintf("entry %d (%s): %s", d.Entry, d.Doing, d.What)
}

// Without says which of those who watched the recorded run are left out of a
// replay. Whether changes in flight are looked for cannot be chosen: what was read
// for it is in the recording.
type Without struct {
	Checker bool // Result.OtherRules then
	Oracle  bool
}

// Replay makes a recorded run again. What is kept in memory does not depend on
// the recording's length.
func Replay(ctx context.Context, r *Reader, w Without) (*Result, error) {
	p, err := newPlayer(r, w)
	if err != nil {
		return nil, err
	}
	for p.err == nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p.step()
	}
	return p.result()
}

func newPlayer(r *Reader, w Without, sinks ...trace.Sink) (*player, error) {
	c := r.Header.Config
	if w.Checker {
		c.Check = nil
	}
	if w.Oracle {
		c.Oracle = 0
	}
	m, err := model.New(c, model.Options{Manual: true, Exact: true, Sinks: sinks})
	if err != nil {
		return nil, damagedf("the recording's header: %v", err)
	}
	p := &player{in: r, without: w, Result: Result{Header: r.Header, Model: m}}
	for _, ee := range portsOf(m) {
		m.Block.Port(ee).Attach(p, nil)
	}
	return p, nil
}

// portsOf are the execution environments whose memory is outside the model.
func portsOf(m *model.Model) []int {
	ees := []int{m.Profile.EE}
	for _, c := range m.Config.Clients {
		ees = append(ees, c.EE)
	}
	return ees
}

// player makes the entries of a recording, and is the memory of all pipes that
// the recording has the accesses of.
type player struct {
	Result
	in      *Reader
	without Without
	entry   cryptoblock.Entry
	writes  uint64 // of the entry that is being made
	sum     uint32
	ended   bool
	others  uint64 // for Shrink: the entry that shows somebody else's finding
	err     error  // why the replay is over
}

var errDiverged = errors.New("diverged")

// step makes the next entry, or takes note of what stands between entries.
func (p *player) step() {
	n, err := p.in.take()
	if err != nil {
		p.err = err
		return
	}
	switch n.kind {
	case readRec, writeRec, resetRec, idleRec:
		p.make(n.entry)
	case suiteRec:
		p.Model.Begin(n.suite)
	case timeRec:
	case endRec:
		p.Model.End()
		p.ended = true
	default:
		p.err = damagedf("the recording is damaged before byte %d: a record is out of place", p.in.in.off)
	}
}

// make makes an entry and compares what came of it.
func (p *player) make(e cryptoblock.Entry) {
	p.Entries++
	p.entry, p.writes, p.sum = e, 0, 0
	done := p.Model.Block.Do(e)
	if p.err != nil {
		return
	}
	n := p.skip()
	switch {
	case n == nil:
		return
	case n.kind != leaveRec:
		p.diverge("here the recording has %s", accessText(n))
		return
	case e.Kind == cryptoblock.ReadEntry && n.value != done.Value:
		p.diverge("%s", valuesText(p.Model.Profile, &e, done.Value, n.value))
	case n.writes != p.writes:
		p.diverge("the model has written memory %d times, recorded are %d", p.writes, n.writes)
	case n.sum != p.sum:
		p.diverge("the model has written other bytes to memory")
	}
	p.in.peeked = false
}

// skip returns the next record that is no time.
func (p *player) skip() *rec {
	for {
		n, err := p.in.peek()
		if err != nil {
			p.halt(err)
			return nil
		}
		if n.kind != timeRec {
			return n
		}
		p.in.peeked = false
	}
}

// halt ends the replay: nothing counts any more, and every access fails.
func (p *player) halt(err error) {
	p.err = err
	p.Model.Stop()
}

func (p *player) diverge(format string, args ...any) {
	p.Divergence = &Divergence{Entry: p.Entries, Doing: entryText(p.Model.Profile, &p.entry), What: fmt.Sprintf(format, args...)}
	p.halt(errDiverged)
}

// Read implements bus.Memory.
func (p *player) Read(addr uint64, b []byte) error {
	if p.err != nil {
		return &bus.Fault{Addr: addr, Len: len(b)}
	}
	n := p.skip()
	if n == nil {
		return &bus.Fault{Addr: addr, Len: len(b)}
	}
	same := n.addr == addr && n.size == len(b)
	switch {
	case n.kind == fetchRec && same:
		copy(b, n.data)
		p.in.peeked = false
		return nil
	case n.kind == faultRec && !n.write && same:
		p.in.peeked = false
		return &bus.Fault{Addr: addr, Len: len(b), Reason: n.reason}
	}
	p.diverge("the model reads %d bytes of memory at %#x; here the recording has %s", len(b), addr, accessText(n))
	return &bus.Fault{Addr: addr, Len: len(b)}
}

// Write implements bus.Memory.
func (p *player) Write(addr uint64, b []byte) error {
	if p.err != nil {
		return &bus.Fault{Addr: addr, Len: len(b), Write: true}
	}
	n := p.skip()
	if n != nil && n.kind == faultRec && n.write && n.writes == p.writes {
		if n.addr == addr && n.size == len(b) {
			p.in.peeked = false
			return &bus.Fault{Addr: addr, Len: len(b), Write: true, Reason: n.reason}
		}
		p.diverge("the model writes %d bytes of memory at %#x; here the recording has %s", len(b), addr, accessText(n))
	}
	if p.err != nil {
		return &bus.Fault{Addr: addr, Len: len(b), Write: true}
	}
	p.writes++
	p.sum = checksum(p.sum, addr, b)
	return nil
}

// result closes the books.
func (p *player) result() (*Result, error) {
	r := &p.Result
	switch {
	case errors.Is(p.err, errDiverged):
	case errors.Is(p.err, errCut):
		p.Model.Stop()
	case p.err != io.EOF:
		return nil, p.err
	default:
		r.Complete = true
		if !p.ended {
			p.Model.Stop()
		}
	}
	p.Model.End()
	if !r.Complete {
		return r, nil
	}
	switch t := p.in.tail; {
	case t.Entries != p.Entries:
		return nil, damagedf("the recording has %d entries, and says it has %d", p.Entries, t.Entries)
	case t.Digest == p.Model.Digest():
	case r.Header.Rules != rules() || p.without.Checker:
		r.OtherRules = true
	default:
		r.Divergence = &Divergence{What: "every entry gave what was recorded, but attestation and findings at the end are not those of the recorded run"}
	}
	return r, nil
}
