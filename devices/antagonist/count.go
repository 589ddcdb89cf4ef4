package antagonist

import (
	"cmp"
	"slices"

	"github.com/qcemu/qcemu/devices/trace"
)

// Counts is what came of an antagonist's requests.
type Counts struct {
	Name      string       `json:"name"`
	Policy    string       `json:"policy"`
	EE        int          `json:"ee"`
	Pair      int          `json:"pair"`
	Requests  uint64       `json:"requests"` // finished
	Corrupted uint64       `json:"corrupted"`
	Hung      uint64       `json:"hung"`    // never finished, pipes reset
	Dropped   uint64       `json:"dropped"` // by a reset of the chip
	Blocked   bool         `json:"blocked"` // waits for another side's lock now, and nothing moves
	Algs      []AlgCount   `json:"algorithms"`
	First     []Corruption `json:"first,omitempty"` // the first corrupted requests

	byAlg map[string]*AlgCount
}

// AlgCount is the share of one algorithm.
type AlgCount struct {
	Alg       string `json:"algorithm"`
	Requests  uint64 `json:"requests"`
	Corrupted uint64 `json:"corrupted"`
	Hung      uint64 `json:"hung"`
}

// Corruption is a request whose result was not what it must be.
type Corruption struct {
	Alg   string `json:"algorithm"`
	Bytes int    `json:"bytes"` // of input
	Part  string `json:"part"`  // payload, dump or status
	At    int    `json:"at"`    // first wrong byte; of the status, its value
}

// maxCorruptions bounds Counts.First.
const maxCorruptions = 32

func (c *Counts) of(q *answer) *AlgCount {
	n := c.byAlg[q.alg]
	if n == nil {
		n = &AlgCount{Alg: q.alg}
		c.byAlg[q.alg] = n
	}
	return n
}

func (c *Counts) add(q *answer, d difference, bad bool) {
	n := c.of(q)
	c.Requests++
	n.Requests++
	if !bad {
		return
	}
	c.Corrupted++
	n.Corrupted++
	if len(c.First) < maxCorruptions {
		c.First = append(c.First, Corruption{Alg: q.alg, Bytes: len(q.input), Part: d.part, At: d.at})
	}
}

func (c *Counts) hung(q *answer) {
	c.Hung++
	c.of(q).Hung++
}

// snapshot is a copy for readers.
func (c *Counts) snapshot() Counts {
	s := *c
	s.byAlg = nil
	s.First = slices.Clone(c.First)
	s.Algs = nil
	for _, n := range c.byAlg {
		s.Algs = append(s.Algs, *n)
	}
	slices.SortFunc(s.Algs, func(a, b AlgCount) int { return cmp.Compare(a.Alg, b.Alg) })
	return s
}

// Rules of what an antagonist sees.
var (
	// Off: the first wrong byte, Size: bytes of input.
	ruleCorrupted = &trace.Rule{ID: "EE-RESULT-001", Severity: trace.Error, Title: "another execution environment's request gave a wrong result",
		Source: "datasheet §8, §24 [D]", Driver: "no lock around qce_setup_regs_*"}
	ruleHung = &trace.Rule{ID: "EE-RESULT-002", Severity: trace.Error, Title: "another execution environment's request never ended",
		Source: "datasheet §8, §24 [D]", Driver: "no lock around qce_setup_regs_*"}
)

// Rules are the rules that antagonists report.
var Rules = []*trace.Rule{ruleCorrupted, ruleHung}
