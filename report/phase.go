package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/integrity"
)

// Phase is what came of one phase of a suite that has its hardware, and those
// who use it, vary.
type Phase struct {
	Suite     string              `json:"suite"`
	Name      string              `json:"name"`
	Hardware  string              `json:"hardware"` // how it was made to behave, or by whom it was used
	Expected  string              `json:"expected"` // of the driver
	Outcome   string              `json:"outcome"`  // what it did
	Boots     int                 `json:"boots"`
	Seconds   float64             `json:"seconds"`
	Linux     []Side              `json:"linux"`               // as the guest has counted
	ByTcrypt  bool                `json:"by_tcrypt,omitempty"` // Linux's requests are runs of tcrypt
	Others    []antagonist.Counts `json:"others,omitempty"`
	Integrity []integrity.Book    `json:"integrity,omitempty"`
	Locks     []LockUse           `json:"locks,omitempty"`
	Findings  map[string]uint64   `json:"findings,omitempty"` // how often each rule was broken
	Faults    map[string]uint64   `json:"faults,omitempty"`   // how often each befell
}

// Side is what came of one algorithm's requests.
type Side struct {
	Algorithm string `json:"algorithm"` // kernel driver name
	Requests  uint64 `json:"requests"`
	Corrupted uint64 `json:"corrupted"`
	Failed    uint64 `json:"failed"`
	Hung      uint64 `json:"hung"`
	First     string `json:"first,omitempty"` // of what went wrong
}

// LockUse is what an execution environment did with the pipe lock.
type LockUse struct {
	EE      int    `json:"ee"`
	Held    uint64 `json:"held"`            // times
	Waited  uint64 `json:"waited"`          // times that a pipe of it stalled
	Longest uint64 `json:"longest_ns"`      // held, in model time
	Steps   uint64 `json:"longest_events"`  // held, in events of the model
	Forced  uint64 `json:"released_forced"` // by a reset or a disabled pipe
}

// sum adds up the algorithms.
func sum(list []Side) (s Side) {
	for _, a := range list {
		s.Requests += a.Requests
		s.Corrupted += a.Corrupted
		s.Failed += a.Failed
		s.Hung += a.Hung
	}
	return s
}

// writePhases tells what came of each phase.
func (r *Run) writePhases(w io.Writer) {
	if len(r.Phases) == 0 {
		return
	}
	fmt.Fprintf(w, "\nPhases (seed %d; corrupted also counts what never ended, the longest lock is in events of the model):\n", r.Seed)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  phase\tLinux\tcorrupted\tothers\tcorrupted\tlock held\twaited\tlongest\thardware\t")
	for i := range r.Phases {
		p := &r.Phases[i]
		linux := sum(p.Linux)
		var others, bad, held, waited, steps uint64
		for _, o := range p.Others {
			others += o.Requests
			bad += o.Corrupted + o.Hung
		}
		for _, l := range p.Locks {
			held += l.Held
			waited += l.Waited
			steps = max(steps, l.Steps)
		}
		fmt.Fprintf(t, "  %s/%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", p.Suite, p.Name,
			linux.Requests+linux.Failed+linux.Hung, linux.Corrupted+linux.Failed+linux.Hung, others, bad, held, waited, steps, p.Hardware)
	}
	t.Flush()
	r.writeOutcomes(w)
	r.writeFirsts(w)
	r.writeStory(w)
}

// writeOutcomes sets what the driver was expected to do against what it did,
// where the hardware misbehaves: elsewhere the numbers say it all.
func (r *Run) writeOutcomes(w io.Writer) {
	var b strings.Builder
	for i := range r.Phases {
		if p := &r.Phases[i]; len(p.Others) == 0 {
			fmt.Fprintf(&b, "  %s/%s\n    expected: %s\n    seen:     %s\n", p.Suite, p.Name, oneLine(p.Expected), oneLine(p.Outcome))
		}
	}
	if b.Len() > 0 {
		fmt.Fprintf(w, "\nWhat the driver did:\n%s", b.String())
	}
}

// writeFirsts shows the first thing that went wrong with each algorithm.
func (r *Run) writeFirsts(w io.Writer) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	rows := 0
	for i := range r.Phases {
		p := &r.Phases[i]
		for _, a := range p.Linux {
			if n := a.Corrupted + a.Failed + a.Hung; n > 0 {
				fmt.Fprintf(t, "  %s/%s\tLinux\t%s\t%d of %d\t%s\t\n", p.Suite, p.Name, a.Algorithm, n, a.Requests+a.Failed+a.Hung, oneLine(cmp.Or(a.First, "-")))
				rows++
			}
		}
		for _, o := range p.Others {
			for _, a := range o.Algs {
				if n := a.Corrupted + a.Hung; n > 0 {
					fmt.Fprintf(t, "  %s/%s\t%s\t%s\t%d of %d\t%s\t\n", p.Suite, p.Name, o.Name, a.Alg, n, a.Requests+a.Hung, firstOf(o, a.Alg))
					rows++
				}
			}
		}
	}
	if rows == 0 {
		return
	}
	t.Flush()
	fmt.Fprintf(w, "\nWhat went wrong:\n%s", b.String())
}

// firstOf is the first corrupted request of an algorithm, in words.
func firstOf(o antagonist.Counts, alg string) string {
	for _, c := range o.First {
		switch {
		case c.Alg != alg:
		case c.Part == "status":
			return fmt.Sprintf("first: %d bytes, status %#x", c.Bytes, c.At)
		default:
			return fmt.Sprintf("first: %d bytes, %s wrong from %d on", c.Bytes, c.Part, c.At)
		}
	}
	for _, a := range o.Algs {
		if a.Alg == alg && a.Hung > 0 && a.Corrupted == 0 {
			return "never ended"
		}
	}
	return "-"
}
