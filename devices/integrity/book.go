package integrity

import (
	"cmp"
	"slices"

	"github.com/qcemu/qcemu/devices/trace"
)

// Book counts the requests of one execution environment.
type Book struct {
	EE        int          `json:"ee"`
	Requests  uint64       `json:"requests"`  // whose output ended
	Corrupted uint64       `json:"corrupted"` // with a result other than the one asked for, or an error
	Lost      uint64       `json:"lost"`      // never ended
	Stray     uint64       `json:"stray"`     // outputs that nobody had asked for
	Unjudged  uint64       `json:"unjudged"`  // too long, or unknown to the oracle
	Algs      []AlgCount   `json:"algorithms"`
	First     []Corruption `json:"first,omitempty"`

	byAlg map[string]*AlgCount
}

// AlgCount is the share of one algorithm.
type AlgCount struct {
	Alg       string `json:"algorithm"`
	Requests  uint64 `json:"requests"`
	Corrupted uint64 `json:"corrupted"`
	Lost      uint64 `json:"lost"`
}

// Corruption is a request that did not give what was asked for.
type Corruption struct {
	Alg     string   `json:"algorithm,omitempty"` // as intended
	Bytes   int      `json:"bytes,omitempty"`     // of input, as intended
	Part    string   `json:"part"`                // payload, dump, tag, status, length, input, start; of a lost one, why
	At      int      `json:"at"`                  // first wrong byte of that part
	Got     int      `json:"got"`                 // bytes of output
	Want    int      `json:"want,omitempty"`
	Status  uint32   `json:"status"`
	Seq     uint64   `json:"seq"` // place in the event stream
	History []string `json:"history"`
}

// maxFirst bounds Book.First, for each algorithm.
const maxFirst = 4

// told is how many of an algorithm are in Book.First.
func (b *Book) told(alg string) (n int) {
	for i := range b.First {
		if b.First[i].Alg == alg {
			n++
		}
	}
	return n
}

// entry opens the book of a side for a change.
func (m *Monitor) entry(s *side, change func(b *Book, a *AlgCount)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := s.book.byAlg[s.alg]
	if a == nil {
		a = &AlgCount{Alg: s.alg}
		s.book.byAlg[s.alg] = a
	}
	change(s.book, a)
}

func (m *Monitor) good(s *side) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.book.Requests++
	if a := s.book.byAlg[s.alg]; a != nil {
		a.Requests++
		return
	}
	s.book.byAlg[s.alg] = &AlgCount{Alg: s.alg, Requests: 1}
}

func (m *Monitor) unjudged(s *side) {
	m.entry(s, func(b *Book, a *AlgCount) {
		b.Requests++
		b.Unjudged++
		a.Requests++
	})
}

// find books a request that did not give what was asked for, and reports it.
func (m *Monitor) find(s *side, r *trace.Rule, c Corruption) {
	c.Status = s.status
	if s.asked {
		c.Alg, c.Bytes = s.alg, int(s.full.SegSize)
	} else {
		s.alg = ""
	}
	m.event = trace.Event{Kind: trace.Anomaly, Rule: r, By: trace.CPUOf(int(s.ee)), Pipe: -1, Off: uint32(c.At), Size: uint32(c.Got), Value: uint64(c.Status)}
	m.report(&m.event)
	c.Seq = m.event.Seq
	m.entry(s, func(b *Book, a *AlgCount) {
		switch r {
		case ruleLost:
			b.Lost++
			a.Lost++
		case ruleStray:
			b.Stray++
		default:
			b.Requests++
			b.Corrupted++
			a.Requests++
			a.Corrupted++
		}
		if b.told(s.alg) < maxFirst {
			c.History = m.history.render(m.cfg.Describe)
			b.First = append(b.First, c)
		}
	})
}

// Books returns a copy of the counts, by EE. It may be called while the model
// runs.
func (m *Monitor) Books() []Book {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Book
	for _, b := range m.books {
		if b == nil {
			continue
		}
		c := *b
		c.byAlg, c.First = nil, slices.Clone(b.First)
		for name, a := range b.byAlg {
			if name != "" {
				c.Algs = append(c.Algs, *a)
			}
		}
		slices.SortFunc(c.Algs, func(x, y AlgCount) int { return cmp.Compare(x.Alg, y.Alg) })
		out = append(out, c)
	}
	return out
}
