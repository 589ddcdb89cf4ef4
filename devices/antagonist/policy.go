package antagonist

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/qcemu/qcemu/devices/attest"
)

// When says at which moments an antagonist acts.
type When uint8

const (
	Off          When = iota
	Between           // between any two register writes, elements or descriptors of the other side
	Every             // after every N steps of the other side
	Random            // after a step of the other side, with a probability
	Burst             // seldom, then many requests in a row
	DuringUnlock      // while the other side's UNLOCK is on its way; without locks, when its operation ends
	Scripted          // as a script says
)

// How says in which way an antagonist uses the engine.
type How uint8

const (
	Locked How = iota // command lists under the lock, as a well-behaved driver
	MMIO              // register writes by the processor, no lock
	NoLock            // command lists without the lock
	NoNWD             // under the lock, but nothing holds UNLOCK back until the engine is done
	Hold              // takes the lock and keeps it
)

var whens = []string{"off", "between", "every", "random", "burst", "during-unlock", "script"}

var hows = []string{"lock", "mmio", "nolock", "no-nwd", "hold"}

func (w When) String() string { return whens[w] }
func (h How) String() string  { return hows[h] }

// Policy is what an antagonist does, and when.
type Policy struct {
	When   When
	Every  uint64  // steps of the other side
	Rate   float64 // probability at a step
	Script *Script
	How    How
	// Gentle antagonists act only before the other side has written what it
	// would hang without: the wrong keys and IVs of a race, but no operation
	// that never ends.
	Gentle bool
	Group  uint8    // LOCK_GROUP of its pipes
	Algs   []string // of its requests; empty: all
	text   string
}

func (p *Policy) String() string {
	if p.text == "" {
		return p.When.String()
	}
	return p.text
}

// policyJSON is a policy as a configuration file has it: its text, and the
// script itself, since the script's file may be gone when it is read again.
type policyJSON struct {
	Policy string `json:"policy"`
	Script string `json:"script,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (p Policy) MarshalJSON() ([]byte, error) {
	j := policyJSON{Policy: p.String()}
	if p.Script != nil {
		j.Script = p.Script.text
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Policy) UnmarshalJSON(b []byte) error {
	var j policyJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	var err error
	*p, err = parse(j.Policy, func(string) ([]byte, error) { return []byte(j.Script), nil })
	return err
}

// Probabilities at a step where the user gives none.
const (
	betweenRate = 0.2
	burstRate   = 0.004
)

// PolicyHelp describes the syntax in a few lines.
const PolicyHelp = `off; between (any two steps of the other side); every=N (steps); random=RATE
(0 to 1); burst; during-unlock; script=FILE. Options follow, separated by commas:
mode=lock|mmio|nolock|no-nwd|hold, gentle, rate=RATE, group=N, alg=A+B`

// ParsePolicy reads a policy, for example "between,mode=mmio,gentle".
func ParsePolicy(text string) (Policy, error) { return parse(text, os.ReadFile) }

// ScriptPolicy is "script=NAME" with the script itself instead of its file.
func ScriptPolicy(name, script string) (Policy, error) {
	return parse("script="+name, func(string) ([]byte, error) { return []byte(script), nil })
}

func parse(text string, read func(name string) ([]byte, error)) (Policy, error) {
	p := Policy{text: text}
	head, tail, more := strings.Cut(text, ",")
	name, arg, hasArg := strings.Cut(head, "=")
	i := slices.Index(whens, name)
	if i < 0 {
		return p, fmt.Errorf("policy %q: no policy %q; there are: %s", text, name, strings.Join(whens, ", "))
	}
	p.When = When(i)
	if err := p.argument(arg, hasArg, read); err != nil {
		return p, fmt.Errorf("policy %q: %w", text, err)
	}
	if more && p.When == Off {
		return p, fmt.Errorf("policy %q: off takes no options", text)
	}
	for more {
		var word string
		word, tail, more = strings.Cut(tail, ",")
		if err := p.option(word); err != nil {
			return p, fmt.Errorf("policy %q: %w", text, err)
		}
	}
	return p, nil
}

// argument reads what follows the policy's name.
func (p *Policy) argument(arg string, given bool, read func(string) ([]byte, error)) (err error) {
	switch p.When {
	case Every:
		if p.Every, err = strconv.ParseUint(arg, 10, 32); err != nil || p.Every == 0 {
			return fmt.Errorf("want every=N, a number of steps from 1 on")
		}
	case Random:
		if p.Rate, err = rate(arg); err != nil {
			return fmt.Errorf("want random=RATE, a probability above 0 and up to 1")
		}
	case Scripted:
		if arg == "" {
			return fmt.Errorf("want script=FILE")
		}
		text, err := read(arg)
		if err != nil {
			return err
		}
		p.Script, err = ParseScript(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
	default:
		if given {
			return fmt.Errorf("%s takes no value", p.When)
		}
		switch p.When {
		case Between:
			p.Rate = betweenRate
		case Burst:
			p.Rate = burstRate
		}
	}
	return nil
}

// option reads one of the words behind the policy.
func (p *Policy) option(word string) (err error) {
	name, arg, _ := strings.Cut(word, "=")
	switch name {
	case "gentle":
		if p.Gentle = true; arg != "" {
			return fmt.Errorf("gentle takes no value")
		}
	case "mode":
		i := slices.Index(hows, arg)
		if i < 0 {
			return fmt.Errorf("no mode %q; there are: %s", arg, strings.Join(hows, ", "))
		}
		p.How = How(i)
	case "rate":
		if p.When != Between && p.When != Burst {
			return fmt.Errorf("rate goes with between and burst")
		}
		if p.Rate, err = rate(arg); err != nil {
			return fmt.Errorf("rate %q: want a probability above 0 and up to 1", arg)
		}
	case "group":
		g, err := strconv.ParseUint(arg, 10, 8)
		if err != nil || g > 31 {
			return fmt.Errorf("group %q: want 0 to 31", arg)
		}
		p.Group = uint8(g)
	case "alg":
		p.Algs = strings.Split(arg, "+")
		for _, a := range p.Algs {
			if !slices.Contains(attest.Algorithms, a) {
				return fmt.Errorf("no algorithm %q; there are: %s", a, strings.Join(attest.Algorithms, ", "))
			}
		}
	default:
		return fmt.Errorf("no option %q; there are: mode, gentle, rate, group, alg", name)
	}
	return nil
}

func rate(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0 && v <= 1) {
		return 0, fmt.Errorf("no probability")
	}
	return v, nil
}
