package record

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/trace"
)

// Shrinking is how far a Shrink is.
type Shrinking struct {
	Recorded int // entries of the recording up to the finding
	Left     int // entries that the finding is known to need no more than
	Tries    int // replays so far
}

// NotFoundError says that a recording does not show a finding.
type NotFoundError struct {
	Finding string
	Shown   []string // the findings that it does show
}

func (e *NotFoundError) Error() string {
	if len(e.Shown) == 0 {
		return fmt.Sprintf("the recording does not show %s; it shows no finding at all", e.Finding)
	}
	return fmt.Sprintf("the recording does not show %s; it shows %s", e.Finding, strings.Join(e.Shown, ", "))
}

// Shrink writes a recording to path that still shows a finding, but no entry
// more than that needs: without any one of them the finding is gone. It is
// Linux's finding, if Linux is among those who caused it. What the pipes read in
// entries that are left out is read in others, if it is needed. The result
// depends on the recording alone.
//
// open opens the recording, from its beginning.
func Shrink(ctx context.Context, open func() (io.ReadCloser, error), finding, path string, tell func(Shrinking)) (*Shrinking, error) {
	w := &watch{finding: finding}
	last, err := w.locate(ctx, open)
	if err != nil {
		return nil, err
	}
	s, err := loadFrom(ctx, open, last)
	if err != nil {
		return nil, err
	}
	s.ended = last == 0 // it comes up when the books are closed
	h := &shrinker{variant: newVariant(s, s.header.Config), watch: w, tell: tell}
	h.Recorded = len(h.items)
	for {
		before := len(h.items)
		if err := h.shrink(ctx); err != nil {
			return nil, err
		}
		if h.Left == before {
			break
		}
		// What it reads now is in order again, so more may have become needless.
		if err := h.again(ctx); err != nil {
			return nil, err
		}
	}
	return &h.Shrinking, h.write(ctx, path)
}

func loadFrom(ctx context.Context, open func() (io.ReadCloser, error), last uint64) (*session, error) {
	in, err := open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r, err := NewReader(in)
	if err != nil {
		return nil, err
	}
	return load(ctx, r, last)
}

// watch looks for a finding in the event stream.
type watch struct {
	finding string
	ee      uint8 // whose it is to be
	seen    bool
	other   *uint8 // somebody else's, the first one
}

// Emit implements trace.Sink.
func (w *watch) Emit(e *trace.Event) {
	if e.Kind != trace.Anomaly || e.Rule.ID != w.finding {
		return
	}
	if e.By.EE == w.ee {
		w.seen = true
	} else if w.other == nil {
		ee := e.By.EE
		w.other = &ee
	}
}

// locate replays the recording as it is, decides whose finding it is, and
// returns the number of the entry that shows it first; 0 when it comes up at
// the end.
func (w *watch) locate(ctx context.Context, open func() (io.ReadCloser, error)) (uint64, error) {
	in, err := open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	r, err := NewReader(in)
	if err != nil {
		return 0, err
	}
	p, err := newPlayer(r, Without{Oracle: true}, w)
	if err != nil {
		return 0, err
	}
	w.ee = uint8(p.Model.Profile.EE)
	for p.err == nil && !w.seen {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if p.step(); w.other != nil && p.others == 0 && !p.ended {
			p.others = p.Entries
		}
	}
	switch {
	case w.seen && p.ended:
		return 0, nil
	case w.seen:
		return p.Entries, nil
	}
	return w.elsewhere(p)
}

// elsewhere is where a finding is that is not Linux's.
func (w *watch) elsewhere(p *player) (uint64, error) {
	res, err := p.result()
	if err != nil {
		return 0, err
	}
	if res.Divergence != nil {
		return 0, fmt.Errorf("the recording does not replay: %w", res.Divergence)
	}
	if w.other != nil {
		w.ee = *w.other
		return p.others, nil
	}
	missing := &NotFoundError{Finding: w.finding}
	for _, f := range res.Model.Findings.Findings() {
		missing.Shown = append(missing.Shown, f.ID)
	}
	return 0, missing
}

// shrinker looks for the smallest part of a session that shows the finding.
type shrinker struct {
	*variant
	Shrinking
	watch *watch
	keep  []int
	tell  func(Shrinking)
}

// try runs a part of the session and says whether it shows the finding. If it
// does, that part is kept, as far as it was needed.
func (h *shrinker) try(ctx context.Context, part []int) (bool, error) {
	h.Tries++
	h.watch.seen = false
	made := 0
	_, err := h.run(ctx, part, model.Options{Sinks: []trace.Sink{h.watch}}, func() bool {
		made++
		return h.watch.seen
	})
	if err == nil && h.watch.seen {
		h.keep = part[:made]
		h.Left = made
	}
	if h.tell != nil {
		h.tell(h.Shrinking)
	}
	return h.watch.seen, err
}

// shrink leaves out ever smaller pieces, as long as anything can be left out.
func (h *shrinker) shrink(ctx context.Context) error {
	ok, err := h.try(ctx, h.all())
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s is gone as soon as the recording is taken apart", h.watch.finding)
	}
	for size := max(len(h.keep)/2, 1); ; size = max(size/2, 1) {
		before := len(h.keep)
		if err := h.without(ctx, size); err != nil {
			return err
		}
		if size == 1 && len(h.keep) == before {
			return nil
		}
		if len(h.keep) < before/2 { // much has gone: larger pieces may go now
			size = len(h.keep)
		}
	}
}

// without tries to leave out each piece of a size, the first ones first.
func (h *shrinker) without(ctx context.Context, size int) error {
	for at := 0; at < len(h.keep); {
		part := slices.Concat(h.keep[:at], h.keep[min(at+size, len(h.keep)):])
		ok, err := h.try(ctx, part)
		if err != nil {
			return err
		}
		if !ok {
			at += size
		}
	}
	return nil
}

// again makes the recording of what is left the one to go on with.
func (h *shrinker) again(ctx context.Context) error {
	s := &session{header: h.header}
	if _, err := h.record(ctx, s); err != nil {
		return err
	}
	s.ended = h.ended
	h.variant = newVariant(s, h.config)
	return nil
}

// record runs what is left, with somebody who listens.
func (h *shrinker) record(ctx context.Context, tap model.Tap) (*model.Model, error) {
	h.watch.seen = false
	made := 0
	return h.run(ctx, h.keep, model.Options{Tap: tap, Sinks: []trace.Sink{h.watch}}, func() bool {
		made++
		return h.watch.seen && made == len(h.keep)
	})
}

// write writes a recording of what is left.
func (h *shrinker) write(ctx context.Context, path string) error {
	head := h.header
	head.Shrunk = h.watch.finding
	w, err := writer(path, head, !h.ended)
	if err != nil {
		return err
	}
	m, err := h.record(ctx, w)
	if err != nil {
		return err
	}
	return finish(w, m)
}
