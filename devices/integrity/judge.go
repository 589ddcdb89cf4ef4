package integrity

import (
	"errors"

	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/qce/oracle"
	"github.com/qcemu/qcemu/devices/trace"
)

// Rules of the monitor. By is the side that did not get what it asked for.
var (
	// Off: first wrong byte of the output, Size: its length, Value: STATUS.
	ruleCorrupted = &trace.Rule{ID: "EE-RESULT-003", Severity: trace.Error, Title: "an execution environment's request gave another result than it asked for",
		Source: "datasheet §8, §24 [D]", Driver: "no lock around qce_setup_regs_*"}
	ruleLost = &trace.Rule{ID: "EE-RESULT-004", Severity: trace.Error, Title: "an execution environment's request never ended",
		Source: "datasheet §8, §16.3 [D]", Driver: "no lock around qce_setup_regs_*"}
	// Size: bytes of output.
	ruleStray = &trace.Rule{ID: "EE-RESULT-005", Severity: trace.Error, Title: "an execution environment got output that it had not started",
		Source: "datasheet §8, §24 [D]", Driver: "no lock around qce_setup_regs_*"}
)

// Rules are all rules of the monitor.
var Rules = []*trace.Rule{ruleCorrupted, ruleLost, ruleStray}

// judge looks at the result of a request when its output has ended.
func (m *Monitor) judge(s *side) {
	defer s.forget()
	if !s.asked {
		m.find(s, ruleStray, Corruption{Part: "start", Got: len(s.out)})
		return
	}
	const failed = qce.SwErr | qce.AxiErr | qce.HsdErr
	if s.same && !s.foreign {
		authIV, iv, byteCnt := m.results()
		s.shadow.Finish(&authIV, &iv, &byteCnt)
		if s.status&failed != 0 {
			m.find(s, ruleCorrupted, Corruption{Part: "status"})
			return
		}
		m.good(s)
		return
	}
	if s.long || uint64(s.full.SegSize) > uint64(len(s.in)) && uint64(s.full.SegSize) > uint64(m.cfg.Limit) {
		m.unjudged(s)
		return
	}
	c := Corruption{Got: len(s.out)}
	if uint64(s.full.SegSize) > uint64(len(s.in)) {
		c.Part, c.At = "input", len(s.in) // less was taken than it wanted to give
		m.find(s, ruleCorrupted, c)
		return
	}
	want, err := oracle.Expect(&s.full, s.in[:s.full.SegSize])
	if errors.Is(err, oracle.ErrNotJudged) {
		m.unjudged(s)
		return
	}
	s.shadow.Finish(&want.AuthIV, &want.IV, &want.ByteCnt)
	c.Want = len(want.Payload) + len(want.Dump)
	var differs bool
	if c.Part, c.At, differs = compare(s, want); differs || s.status&failed != 0 {
		m.find(s, ruleCorrupted, c)
		return
	}
	m.good(s)
}

// compare finds the first difference of a result.
func compare(s *side, want *oracle.Result) (part string, at int, differs bool) {
	n := min(len(s.out), len(want.Payload))
	for i := range n {
		if s.out[i] != want.Payload[i] {
			return "payload", i, true
		}
	}
	if len(s.out) != len(want.Payload)+len(want.Dump) {
		return "length", n, true
	}
	mask := oracle.DumpMask(&s.full)
	for i, b := range s.out[n:] {
		if i < len(mask) && (b^want.Dump[i])&mask[i] != 0 {
			return "dump", i, true
		}
	}
	if failed := s.status&qce.MACFailed != 0; failed != want.MACFailed {
		return "tag", 0, true
	}
	return "status", 0, false
}

// lose takes note of a request that does not end.
func (m *Monitor) lose(s *side, why string) {
	m.find(s, ruleLost, Corruption{Part: why})
	s.forget()
}
