package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/qcemu/qcemu/guest/suites"
	"github.com/qcemu/qcemu/report"
	"github.com/qcemu/qcemu/testbench"
)

// compareTarget is how many requests a second the way by vhost-user is to have
// for each of the built-in back-end's.
const compareTarget = 1.0

// Comparison is the outcome of Compare.
type Comparison struct {
	Machine Machine      `json:"machine"`
	Driver  string       `json:"driver"`
	Kernel  string       `json:"kernel"` // the guest's
	QEMU    string       `json:"qemu"`
	Ways    []report.Way `json:"ways"`
	Missed  int          `json:"missed"` // targets
}

// Compare lets a guest measure the ways to an engine, as the suite virtio-crypto
// does. An error means that they could not be measured, or that something other
// than what it must have been did the work.
func Compare(ctx context.Context, c Config, seed int64) (*Comparison, error) {
	out := c.Out
	if out == "" {
		dir, err := os.MkdirTemp("", "qcemu-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		out = dir
	}
	r := &Comparison{Machine: machine(), Driver: c.Guest.Driver}
	run, err := testbench.Run(ctx, testbench.Config{Guest: c.Guest, Suites: []string{suites.VirtioCompare}, Seed: seed, Out: out})
	if err != nil {
		return nil, err
	}
	r.Machine.LoadAfter = load()
	r.Kernel, r.QEMU, r.Ways = run.Kernel, run.QEMU, run.Ways
	if err := whyFailed(run); err != nil {
		return nil, err
	}
	for i := range r.Ways {
		if met, known := r.met(&r.Ways[i]); known && !met {
			r.Missed++
		}
	}
	return r, nil
}

// whyFailed collects what went wrong in a run, nil if nothing did.
func whyFailed(run *report.Run) error {
	if !run.Failed() {
		return nil
	}
	var all []error
	for _, p := range run.Problems {
		all = append(all, errors.New(p))
	}
	for _, s := range run.Suites {
		if s.Error != "" {
			all = append(all, errors.New(s.Error))
		}
		for _, c := range s.Cases {
			if c.Status.Bad() {
				all = append(all, fmt.Errorf("%s: %s", c.Name, c.Detail))
			}
		}
	}
	return errors.Join(append(all, errors.New("the ways were not all measured"))...)
}

// met reports whether a way meets the target; known is false without one.
func (c *Comparison) met(w *report.Way) (met, known bool) {
	if w.Name != suites.VirtioOurs {
		return false, false
	}
	ratio := report.RatioToBuiltin(c.Ways, w)
	return ratio >= compareTarget, ratio > 0
}

// WriteJSON writes the comparison for a program.
func (c *Comparison) WriteJSON(w io.Writer) error {
	return writeJSON(w, c)
}

// WriteTable writes the comparison for a person.
func (c *Comparison) WriteTable(w io.Writer) error {
	c.Machine.write(w)
	fmt.Fprintf(w, "guest: driver %s, kernel %s, QEMU %s\n", c.Driver, c.Kernel, c.QEMU)
	report.WriteWays(w, c.Ways)
	fmt.Fprintln(w)
	for i := range c.Ways {
		x := &c.Ways[i]
		met, known := c.met(x)
		if !known {
			continue
		}
		verdict := "missed"
		if met {
			verdict = "met"
		}
		fmt.Fprintf(w, "Target, %d at a time: %.2f of the built-in back-end's requests a second, %.2f wanted: %s.\n",
			x.Users, report.RatioToBuiltin(c.Ways, x), compareTarget, verdict)
	}
	_, err := fmt.Fprintf(w, "%d targets missed.\n", c.Missed)
	return err
}
