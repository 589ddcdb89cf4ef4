// Package attest counts what the engine really did, from the event stream: the
// proof that a test's result came from the engine and not from a software
// fallback.
package attest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/qcemu/qcemu/devices/trace"
)

// Row counts the finished operations of one kind.
type Row struct {
	Suite     string `json:"suite"`     // "" before the first suite
	EE        int    `json:"ee"`        // execution environment that started the operations
	Algorithm string `json:"algorithm"` // trace.Op.Alg
	Direction string `json:"direction"` // "encrypt", "decrypt", or "digest" for a hash or MAC
	KeyBits   int    `json:"key_bits"`
	Requests  uint64 `json:"requests"`
	Bytes     uint64 `json:"bytes"` // of input: SEG_SIZE summed up
	// Of the requests: whose configuration came by MMIO, by command elements,
	// or by both.
	ByCPU     uint64 `json:"by_cpu"`
	ByCommand uint64 `json:"by_command"`
	ByBoth    uint64 `json:"by_both"`
	Locked    uint64 `json:"locked"` // ran from GO to DONE under the pipe lock
	Errors    uint64 `json:"errors"` // finished with an error bit in STATUS, a failed MAC comparison included
}

type key struct {
	ee      uint8
	alg     string
	dir     string
	keyBits int
}

// Counter is a trace.Sink that keeps the counts. It may be read while the
// model runs.
type Counter struct {
	mu    sync.Mutex
	suite string
	now   map[key]*Row // rows of the current suite
	rows  []*Row       // all rows, in order of appearance
	// The row that was counted last: most operations are like the one before.
	last    key
	lastRow *Row
}

// NewCounter returns an empty counter.
func NewCounter() *Counter { return &Counter{now: make(map[key]*Row)} }

// Begin attributes what follows to a suite.
func (c *Counter) Begin(suite string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suite = suite
	c.now = make(map[key]*Row)
	c.lastRow = nil
	for _, r := range c.rows {
		if r.Suite == suite {
			c.now[key{uint8(r.EE), r.Algorithm, r.Direction, r.KeyBits}] = r
		}
	}
}

// errorBits are the bits of STATUS that make an operation failed: SW_ERR,
// AXI_ERR, HSD_ERR and MAC_FAILED (datasheet §14).
const errorBits = 1<<0 | 1<<14 | 1<<20 | 1<<31

// Wants implements trace.Selective.
func (c *Counter) Wants(k trace.Kind) bool { return k == trace.OpDone }

// Emit implements trace.Sink.
func (c *Counter) Emit(e *trace.Event) {
	if e.Kind != trace.OpDone || e.Op == nil {
		return
	}
	op := e.Op
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key{op.EE, op.Alg, direction(op), op.KeyBits}
	r := c.lastRow
	if r == nil || k != c.last {
		r = c.now[k]
	}
	if r == nil {
		r = &Row{Suite: c.suite, EE: int(op.EE), Algorithm: op.Alg, Direction: k.dir, KeyBits: op.KeyBits}
		c.now[k] = r
		c.rows = append(c.rows, r)
	}
	c.last, c.lastRow = k, r
	r.Requests++
	r.Bytes += uint64(op.Bytes)
	switch {
	case op.ByCPU > 0 && op.ByCommand > 0:
		r.ByBoth++
	case op.ByCommand > 0:
		r.ByCommand++
	case op.ByCPU > 0:
		r.ByCPU++
	}
	if op.Locked && op.LockHeld {
		r.Locked++
	}
	if op.Status&errorBits != 0 {
		r.Errors++
	}
}

func direction(op *trace.Op) string {
	switch {
	case isDigest(op.Alg):
		return "digest"
	case op.Encrypt:
		return "encrypt"
	}
	return "decrypt"
}

func isDigest(alg string) bool {
	return strings.HasPrefix(alg, "sha") || strings.HasPrefix(alg, "hmac") || strings.HasPrefix(alg, "cmac")
}

// Rows returns a copy of the counts, sorted by suite in order of appearance,
// then by algorithm, direction, key size and EE.
func (c *Counter) Rows() []Row {
	c.mu.Lock()
	defer c.mu.Unlock()
	order := map[string]int{}
	rows := make([]Row, 0, len(c.rows))
	for _, r := range c.rows {
		if _, ok := order[r.Suite]; !ok {
			order[r.Suite] = len(order)
		}
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(order[a.Suite], order[b.Suite]), cmp.Compare(a.Algorithm, b.Algorithm),
			cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.KeyBits, b.KeyBits), cmp.Compare(a.EE, b.EE))
	})
	return rows
}

// Total is the sum over rows of one suite and algorithm.
type Total struct {
	Requests, Bytes, ByCommand, Locked uint64
}

// sum adds up the rows that keep accepts.
func sum(rows []Row, keep func(Row) bool) Total {
	var t Total
	for _, r := range rows {
		if keep(r) {
			t.Requests += r.Requests
			t.Bytes += r.Bytes
			t.ByCommand += r.ByCommand
			t.Locked += r.Locked
		}
	}
	return t
}

// Requirement is a lower limit for what the engine must have done for a run to
// pass.
type Requirement struct {
	Algorithm string
	Requests  uint64
	Locked    bool // count requests under the lock only
	ByCommand bool // count requests configured by command elements only
}

// Algorithms are the names that an operation can have: the values of
// Row.Algorithm.
var Algorithms = algorithms()

func algorithms() []string {
	names := map[string]bool{}
	for _, c := range []string{"aes", "des", "des3_ede"} {
		names["ecb-"+c], names["cbc-"+c] = true, true
		for _, h := range []string{"sha1", "sha256"} {
			names["authenc-hmac-"+h+"-cbc-"+c] = true
		}
	}
	for _, m := range []string{"ctr", "xts", "ccm", "gcm", "cmac"} {
		names[m+"-aes"] = true
	}
	for _, h := range []string{"sha1", "sha256", "sha384", "sha512"} {
		names[h], names["hmac-"+h] = true, true
	}
	return slices.Sorted(maps.Keys(names))
}

// ParseRequirement reads "ALG=N", optionally followed by ",locked" and
// ",commands".
func ParseRequirement(s string) (Requirement, error) {
	head, tail, _ := strings.Cut(s, ",")
	alg, count, ok := strings.Cut(head, "=")
	if !ok {
		return Requirement{}, fmt.Errorf("requirement %q: want ALG=N, for example xts-aes=100 or xts-aes=100,locked", s)
	}
	alg = strings.TrimSuffix(alg, "-qce")
	if !slices.Contains(Algorithms, alg) {
		return Requirement{}, fmt.Errorf("requirement %q: no algorithm %q; there are: %s", s, alg, strings.Join(Algorithms, ", "))
	}
	n, err := strconv.ParseUint(count, 10, 64)
	if err != nil {
		return Requirement{}, fmt.Errorf("requirement %q: %q is no count of requests", s, count)
	}
	r := Requirement{Algorithm: alg, Requests: n}
	for tail != "" {
		var word string
		word, tail, _ = strings.Cut(tail, ",")
		switch word {
		case "locked":
			r.Locked = true
		case "commands":
			r.ByCommand = true
		default:
			return Requirement{}, fmt.Errorf("requirement %q: %q is neither \"locked\" nor \"commands\"", s, word)
		}
	}
	return r, nil
}

// Check says what is missing, nil when the requirement is met by the requests
// of the execution environment ee.
func (r Requirement) Check(rows []Row, ee int) error {
	t := sum(rows, func(row Row) bool { return row.Algorithm == r.Algorithm && row.EE == ee })
	have, what := t.Requests, "requests"
	if r.Locked {
		have, what = t.Locked, "requests under the lock"
	}
	if r.ByCommand && t.ByCommand < have {
		have, what = t.ByCommand, "requests set up by command elements"
	}
	if have < r.Requests {
		return fmt.Errorf("%s: the engine did %d %s, %d are required", r.Algorithm, have, what, r.Requests)
	}
	return nil
}
