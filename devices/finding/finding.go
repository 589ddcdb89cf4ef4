// Package finding collects broken rules from the event stream: each rule once,
// with a count, the first place it was seen and what led there.
package finding

import (
	"cmp"
	"slices"
	"sync"

	"github.com/qcemu/qcemu/devices/trace"
)

// historyLen is how many events before a finding are kept.
const historyLen = 32

// Finding is a rule that was broken.
type Finding struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity string   `json:"severity"`
	Source   string   `json:"source"`           // where the rule comes from
	Driver   string   `json:"driver,omitempty"` // likely driver function
	Count    uint64   `json:"count"`
	Suites   []string `json:"suites,omitempty"` // in which it was seen
	First    string   `json:"first"`            // the first occurrence, rendered
	Seq      uint64   `json:"seq"`              // its position in the event stream
	History  []string `json:"history"`          // the events before it, oldest first
}

// Log is a trace.Sink that collects findings. It may be read while the model
// runs.
type Log struct {
	describe func(*trace.Event) string

	mu       sync.Mutex
	suite    string
	findings map[*trace.Rule]*Finding
	ring     [historyLen]trace.Event
	ops      [historyLen]trace.Op
	n        uint64 // events seen
}

// NewLog returns an empty log. describe renders an event in one line.
func NewLog(describe func(*trace.Event) string) *Log {
	return &Log{describe: describe, findings: make(map[*trace.Rule]*Finding)}
}

// Begin attributes what follows to a suite.
func (l *Log) Begin(suite string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suite = suite
}

// Emit implements trace.Sink.
func (l *Log) Emit(e *trace.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Kind == trace.Anomaly {
		l.add(e)
	}
	i := l.n % historyLen
	l.ring[i] = *e
	if e.Op != nil {
		l.ops[i] = *e.Op
		l.ring[i].Op = &l.ops[i]
	}
	l.n++
}

func (l *Log) add(e *trace.Event) {
	f := l.findings[e.Rule]
	if f == nil {
		r := e.Rule
		f = &Finding{ID: r.ID, Title: r.Title, Severity: r.Severity.String(), Source: r.Source, Driver: r.Driver,
			First: l.describe(e), Seq: e.Seq, History: l.history()}
		l.findings[e.Rule] = f
	}
	f.Count++
	if l.suite != "" && !slices.Contains(f.Suites, l.suite) {
		f.Suites = append(f.Suites, l.suite)
	}
}

func (l *Log) history() []string {
	first := uint64(0)
	if l.n > historyLen {
		first = l.n - historyLen
	}
	lines := make([]string, 0, historyLen)
	for i := first; i < l.n; i++ {
		lines = append(lines, l.describe(&l.ring[i%historyLen]))
	}
	return lines
}

// Findings returns a copy, sorted by rule ID.
func (l *Log) Findings() []Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Finding, 0, len(l.findings))
	for _, f := range l.findings {
		c := *f
		c.Suites = slices.Clone(f.Suites)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Finding) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
