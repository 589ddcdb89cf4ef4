package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/qcemu/qcemu/devices/integrity"
)

// writeStory tells how one corrupted request of Linux's came about: what both
// sides did meanwhile, beside one another. It is the first of the run; the others
// are in the report as JSON.
func (r *Run) writeStory(w io.Writer) {
	phase, c := r.firstCorruption()
	if c == nil {
		return
	}
	what := fmt.Sprintf("%s wrong from byte %d on", c.Part, c.At)
	if strings.Contains(c.Part, " ") { // why it never ended
		what = c.Part
	}
	fmt.Fprintf(w, "\nHow a wrong result comes about (%s, %s, %d bytes, %s; more in %s):\n", phase, c.Alg, c.Bytes, what, JSONFile)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  Linux\tthe other side\t")
	for _, s := range scenes(c.History, fmt.Sprintf("EE%d", r.EE)) {
		if s.linux {
			fmt.Fprintf(t, "  %s\t\t\n", s.text())
		} else {
			fmt.Fprintf(t, "\t%s\t\n", s.text())
		}
	}
	t.Flush()
}

// firstCorruption is the first one of Linux's with a history, and where it was.
func (r *Run) firstCorruption() (phase string, c *integrity.Corruption) {
	find := func(books []integrity.Book) *integrity.Corruption {
		for i := range books {
			for j := range books[i].First {
				if f := &books[i].First[j]; books[i].EE == r.EE && f.Alg != "" && len(f.History) > 0 {
					return f
				}
			}
		}
		return nil
	}
	if c := find(r.Integrity); c != nil {
		return "the run", c
	}
	for i := range r.Phases {
		if len(r.Phases[i].Others) == 0 {
			continue // nobody else did it
		}
		if c := find(r.Phases[i].Integrity); c != nil {
			return r.Phases[i].Suite + "/" + r.Phases[i].Name, c
		}
	}
	return "", nil
}

// scene is what one side did without the other one in between: some register
// writes, or one event of another kind.
type scene struct {
	linux  bool
	writes []string // registers
	event  string   // if it is no write
}

func (s *scene) text() string {
	switch n := len(s.writes); n {
	case 0:
		return s.event
	case 1:
		return "writes " + s.writes[0]
	case 2, 3:
		return "writes " + strings.Join(s.writes, ", ")
	default:
		return fmt.Sprintf("writes %s, %s, ... %s (%d)", s.writes[0], s.writes[1], s.writes[n-1], n)
	}
}

// byWay is how an operation was set up, which the lines before have
// shown.
var byWay = regexp.MustCompile(`, \d+ writes by CPU, \d+ by commands`)

// scenes makes a short story of a history: from the first write of Linux's
// request on. ee is Linux's name in it.
func scenes(history []string, ee string) (list []scene) {
	begun := false
	for _, line := range history {
		// "#574 EE0 cpu reg-write STATUS = 0x0", "#587 EE1 pipe 0 lock pipe 0"
		words := strings.Fields(line)
		if len(words) < 4 {
			continue
		}
		linux := words[1] == ee
		rest := words[3:]
		if words[2] == "pipe" {
			rest = words[4:]
		}
		if len(rest) == 0 {
			continue
		}
		write := rest[0] == "reg-write" && len(rest) > 1
		if begun = begun || linux && write; !begun {
			continue
		}
		if !write {
			list = append(list, scene{linux: linux, event: byWay.ReplaceAllString(strings.Join(rest, " "), "")})
			continue
		}
		if n := len(list); n > 0 && list[n-1].linux == linux && list[n-1].event == "" {
			list[n-1].writes = append(list[n-1].writes, rest[1])
			continue
		}
		list = append(list, scene{linux: linux, writes: []string{rest[1]}})
	}
	return list
}
