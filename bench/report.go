package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Unit says what a figure counts.
type Unit string

const (
	nanoseconds  Unit = "ns"
	milliseconds Unit = "ms"
	mebibytes    Unit = "MiB"
	howOften     Unit = "times" // how often something happens
)

// Line is one figure.
type Line struct {
	Section string  `json:"section"`
	What    string  `json:"what"`
	Value   float64 `json:"value"`
	Unit    Unit    `json:"unit"`
	// What the value is compared with; Against is empty when with nothing.
	Against string  `json:"against,omitempty"`
	Base    float64 `json:"base,omitempty"`   // in the same unit
	Quoted  bool    `json:"quoted,omitempty"` // Base was measured elsewhere, see Against
	// Target is the greatest value, or the greatest ratio to Base, that is
	// wanted; nil: the figure is told for information.
	Target *float64 `json:"target,omitempty"`
	Note   string   `json:"note,omitempty"`
}

// Ratio is the value relative to what it is compared with, 0 with nothing.
func (l *Line) Ratio() float64 {
	if l.Base == 0 {
		return 0
	}
	return l.Value / l.Base
}

// Met reports whether the target is met; known is false without one.
func (l *Line) Met() (met, known bool) {
	switch {
	case l.Target == nil:
		return false, false
	case l.Base != 0:
		return l.Ratio() <= *l.Target, true
	}
	return l.Value <= *l.Target, true
}

// atMost is a target.
func atMost(v float64) *float64 { return &v }

// Machine is what a reader must know of the machine to make sense of the
// figures.
type Machine struct {
	CPU    string  `json:"cpu"`
	CPUs   int     `json:"cpus"`
	Kernel string  `json:"kernel"`
	Go     string  `json:"go"`
	Load   Average `json:"load"` // when the run began
	// LoadAfter is the load when it was over, the run's own included.
	LoadAfter Average `json:"load_after"`
}

// Average is the number of processes that ran or wanted to, over the last
// minute.
type Average float64

// Report is the outcome of a run.
type Report struct {
	Machine Machine `json:"machine"`
	Lines   []Line  `json:"lines"`
	Missed  int     `json:"missed"` // targets
}

// write writes the line at the head of a table.
func (m *Machine) write(w io.Writer) {
	fmt.Fprintf(w, "%s, %d CPUs, Linux %s, %s; load %.1f before, %.1f after\n", m.CPU, m.CPUs, m.Kernel, m.Go, m.Load, m.LoadAfter)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// WriteJSON writes the report for a program.
func (r *Report) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// WriteTable writes the report for a person.
func (r *Report) WriteTable(w io.Writer) error {
	r.Machine.write(w)
	section := ""
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range r.Lines {
		l := &r.Lines[i]
		if l.Section != section {
			section = l.Section
			fmt.Fprintf(t, "\n%s\tmeasured\tcompared with\t\tratio\ttarget\t\n", section)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.What, figure(l.Value, l.Unit), l.Against, l.base(), l.ratio(), l.target(), l.verdict())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var notes strings.Builder
	for i := range r.Lines {
		if l := &r.Lines[i]; l.Note != "" {
			fmt.Fprintf(&notes, "%s, %s: %s\n", l.Section, l.What, l.Note)
		}
	}
	if notes.Len() > 0 {
		fmt.Fprintf(w, "\n%s", notes.String())
	}
	_, err := fmt.Fprintf(w, "\n%d figures, %d targets missed.\n", len(r.Lines), r.Missed)
	return err
}

func (l *Line) base() string {
	switch {
	case l.Base == 0:
		return ""
	case l.Quoted:
		return figure(l.Base, l.Unit) + " (quoted)"
	}
	return figure(l.Base, l.Unit)
}

func (l *Line) ratio() string {
	if l.Base == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", l.Ratio())
}

func (l *Line) target() string {
	switch {
	case l.Target == nil:
		return ""
	case l.Base != 0:
		return fmt.Sprintf("<= %.2f", *l.Target)
	}
	return "<= " + figure(*l.Target, l.Unit)
}

func (l *Line) verdict() string {
	met, known := l.Met()
	switch {
	case !known:
		return ""
	case met:
		return "met"
	}
	return "missed"
}

// figure renders a value with a unit that suits its size.
func figure(v float64, u Unit) string {
	switch {
	case u == howOften:
		return fmt.Sprintf("%.0f", v)
	case u == nanoseconds && v >= 1e6:
		return fmt.Sprintf("%.2f ms", v/1e6)
	case u == nanoseconds && v >= 1e3:
		return fmt.Sprintf("%.2f µs", v/1e3)
	case u == nanoseconds:
		return fmt.Sprintf("%.0f ns", v)
	}
	return fmt.Sprintf("%.1f %s", v, u)
}
