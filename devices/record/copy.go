package record

import (
	"context"
	"fmt"

	"github.com/qcemu/qcemu/devices/model"
)

// Copy writes a recording to path of what the model does today when the entries
// of a recording are made again, up to entry number last; 0 is the end. Where
// the recording replays, the copy is as good as the original. Where it does not,
// because the model or an antagonist has changed since, the copy does: it has
// what a Variant would give.
func Copy(ctx context.Context, r *Reader, last uint64, path string) (entries uint64, err error) {
	s, err := load(ctx, r, last)
	if err != nil {
		return 0, err
	}
	w, err := writer(path, s.header, !s.ended)
	if err != nil {
		return 0, err
	}
	v := newVariant(s, s.header.Config)
	m, err := v.run(ctx, v.all(), model.Options{Tap: w}, func() bool { return false })
	if err != nil {
		return 0, err
	}
	return uint64(len(s.items)), finish(w, m)
}

// writer begins a recording of a recording. Nothing in it depends on the time.
func writer(path string, h Header, open bool) (*Recorder, error) {
	h.Chip, h.Rules = h.Config.Chip(), rules()
	w, err := create(path, h, nil)
	if err != nil {
		return nil, err
	}
	w.open = open
	w.start(0)
	return w, nil
}

// finish ends it.
func finish(w *Recorder, m *model.Model) error {
	if w.open {
		m.Stop()
	}
	if err := w.Close(m); err != nil {
		return err
	}
	if w.err != nil {
		return fmt.Errorf("writing %s: %w", w.path, reason(w.err))
	}
	return nil
}
