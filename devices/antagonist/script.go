package antagonist

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/trace"
)

// Script says after which event an antagonist does what. Each line is
//
//	after EVENT [REGISTER] [count N | every N] do ACTION [ARGUMENT]
//
// EVENT is an event of the other sides by its name in the event stream:
// reg-read, reg-write, element, desc-fetch, desc-done, lock, unlock, lock-wait,
// nwd-wait, nwd-ack, op-start, op-done, pipe-irq, pipe-reset and so on. REGISTER
// narrows reg-read and reg-write down; the name of a bank stands for all its
// words (ENCR_KEY for ENCR_KEY0 to 7), that of a register of a pipe or an EE for
// all of these (P_CTRL; P_CTRL[4] is one). "count N" takes the N-th such event only,
// "every N" each N-th.
//
// Actions, of which all but begin go on until there is nothing to do or the
// antagonist waits:
//
//	begin [ALG]    prepare a request, and do no more
//	step N         make N steps with what is in progress
//	finish         finish what is in progress
//	request [ALG]  begin and finish
//
// Everything from # on is a comment.
type Script struct {
	text  string
	lines []line
}

type line struct {
	kind  trace.Kind
	reg   register
	nth   uint64
	every bool
	do    action
	alg   string
	steps int
}

type action uint8

const (
	actBegin action = iota
	actStep
	actFinish
	actRequest
)

var actions = []string{"begin", "step", "finish", "request"}

// ParseScript reads a script. Errors name the line.
func ParseScript(text string) (*Script, error) {
	s := &Script{text: text}
	n := 0
	for l := range strings.Lines(text) {
		n++
		l, _, _ = strings.Cut(l, "#")
		words := strings.Fields(l)
		if len(words) == 0 {
			continue
		}
		parsed, err := parseLine(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		s.lines = append(s.lines, parsed)
	}
	if len(s.lines) == 0 {
		return nil, fmt.Errorf("the script is empty")
	}
	return s, nil
}

// kinds finds an event by its name.
func kindByName(name string) (trace.Kind, bool) {
	for k := trace.RegRead; k <= trace.Anomaly; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

func parseLine(words []string) (l line, err error) {
	if words[0] != "after" || len(words) < 2 {
		return l, fmt.Errorf("want: after EVENT [REGISTER] [count N | every N] do ACTION")
	}
	var ok bool
	if l.kind, ok = kindByName(words[1]); !ok {
		return l, fmt.Errorf("no event %q", words[1])
	}
	words = words[2:]
	if len(words) > 0 && !slices.Contains([]string{"count", "every", "do"}, words[0]) {
		if l.kind != trace.RegRead && l.kind != trace.RegWrite {
			return l, fmt.Errorf("a register goes with reg-read and reg-write only, not with %s", l.kind)
		}
		if l.reg, err = parseRegister(words[0]); err != nil {
			return l, err
		}
		words = words[1:]
	}
	if len(words) > 1 && words[0] != "do" {
		l.every = words[0] == "every"
		if l.nth, err = strconv.ParseUint(words[1], 10, 32); err != nil || l.nth == 0 {
			return l, fmt.Errorf("%s %q: want a number from 1 on", words[0], words[1])
		}
		words = words[2:]
	}
	if len(words) < 2 || words[0] != "do" {
		return l, fmt.Errorf("want: do ACTION")
	}
	return l, l.action(words[1], words[2:])
}

func (l *line) action(name string, args []string) (err error) {
	i := slices.Index(actions, name)
	if i < 0 {
		return fmt.Errorf("no action %q; there are: %s", name, strings.Join(actions, ", "))
	}
	l.do = action(i)
	most := 1
	if l.do == actFinish {
		most = 0
	}
	if len(args) > most {
		return fmt.Errorf("%s: %q is too much", name, args[most])
	}
	switch l.do {
	case actStep:
		if len(args) == 0 {
			return fmt.Errorf("want: step N")
		}
		if l.steps, err = strconv.Atoi(args[0]); err != nil || l.steps < 1 {
			return fmt.Errorf("step %q: want a number from 1 on", args[0])
		}
	case actBegin, actRequest:
		if len(args) == 1 {
			if l.alg = args[0]; !slices.Contains(attest.Algorithms, l.alg) {
				return fmt.Errorf("no algorithm %q; there are: %s", l.alg, strings.Join(attest.Algorithms, ", "))
			}
		}
	}
	return nil
}
