package scenario

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
)

// Survey says which answers to the open questions about the hardware matter.
type Survey struct {
	Questions    int      `json:"questions"`
	Combinations uint64   `json:"combinations"` // of all answers to all of them, for each scenario
	Runs         int      `json:"runs"`         // that were made for it
	Scenarios    []Varied `json:"scenarios"`
	Changes      []Change `json:"changes"`
}

// Varied is what was tried with one scenario. Questions are those whose answer
// can change its outcome; Tried is the number of combinations of answers to
// them, each of which was played, and Outcomes how many different ends it took.
type Varied struct {
	Scenario  string   `json:"scenario"`
	Questions []string `json:"questions"`
	Tried     int      `json:"tried"`
	Outcomes  int      `json:"outcomes"`
	// Closed says that no answer to any other question makes a difference under
	// any of these combinations. If not, there were too many to look.
	Closed bool `json:"closed"`
}

// Change is a scenario that comes out differently with other answers, and not
// as with a part of them.
type Change struct {
	Scenario string   `json:"scenario"`
	Answers  []string `json:"answers"` // NAME=VALUE: those that differ from the default
	Gone     []string `json:"gone"`    // lines of the outcome that are no longer there
	New      []string `json:"new"`     // lines that are there instead
}

// openQuestions are those of both devices.
func openQuestions() reading.Table {
	return slices.Concat(bam.ReadingTable(), qce.Readings)
}

// Answers lists every answer to an open question but the defaults, as NAME=VALUE.
func Answers() (list []string) {
	for _, r := range openQuestions() {
		for _, v := range r.Values[1:] {
			list = append(list, r.Name+"="+v.Name)
		}
	}
	return list
}

// maxClosing bounds the runs that show that a question does not matter.
const maxClosing = 20000

// Readings plays scenarios under the combinations of answers to open questions,
// and says which change an outcome.
//
// All combinations of all answers would be some 10^11 runs for each scenario. But
// most questions do not arise in most scenarios. So each scenario is played under
// every other answer and every pair of other answers, which shows the questions
// that matter to it; then under every combination of answers to those; then under
// each of these combinations with each answer to one of the remaining questions.
// If that makes a difference the question is one that matters, and all begins anew;
// if none does, combinations with those questions are known without being played,
// unless three answers, two of them to questions that never matter otherwise, have
// an effect together. progress may be nil.
func Readings(ctx context.Context, list []*Scenario, progress func(done, total int)) (*Survey, error) {
	table := openQuestions()
	s := &Survey{Questions: len(table), Combinations: 1, Scenarios: make([]Varied, len(list))}
	for _, r := range table {
		s.Combinations *= uint64(len(r.Values))
	}
	changes := make([][]Change, len(list))
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	next, done := 0, 0
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := failed != nil || i >= len(list)
				mu.Unlock()
				if stop {
					return
				}
				v := variation{ctx: ctx, scenario: list[i], table: table, known: map[string]*outcome{}}
				err := v.explore()
				mu.Lock()
				failed = cmp.Or(failed, err)
				s.Scenarios[i], changes[i] = v.found, v.changes
				s.Runs += len(v.known)
				done++
				if progress != nil {
					progress(done, len(list))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.Changes = slices.Concat(changes...)
	return s, failed
}

// variation is the work on one scenario.
type variation struct {
	ctx      context.Context
	scenario *Scenario
	table    reading.Table
	known    map[string]*outcome // by answers
	kinds    map[string]*outcome // by its lines
	found    Varied
	changes  []Change
}

// outcome is one of the ends that a scenario takes. Equal ones are one object.
type outcome struct{ lines []string }

// answer is an answer to a question, both by their numbers in the table.
type answer struct{ question, value int }

func (v *variation) name(a answer) string {
	return v.table[a.question].Name + "=" + v.table[a.question].Values[a.value].Name
}

func (v *variation) names(list []answer) []string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = v.name(a)
	}
	return names
}

// play returns the outcome under some answers, which are in the order of the
// table.
func (v *variation) play(answers []answer) (*outcome, error) {
	names := v.names(answers)
	key := strings.Join(names, " ")
	if o := v.known[key]; o != nil {
		return o, nil
	}
	if err := v.ctx.Err(); err != nil {
		return nil, err
	}
	c := reading.Choice{}
	for _, name := range names {
		if err := c.Parse(name); err != nil {
			return nil, err
		}
	}
	r, err := v.scenario.Run(c)
	if err != nil {
		return nil, err
	}
	if v.kinds == nil {
		v.kinds = map[string]*outcome{}
	}
	text := strings.Join(r.Outcome, "\n")
	if v.kinds[text] == nil {
		v.kinds[text] = &outcome{r.Outcome}
	}
	v.known[key] = v.kinds[text]
	return v.known[key], nil
}

// others are all answers but the defaults.
func (v *variation) others() (list []answer) {
	for q, r := range v.table {
		for n := 1; n < len(r.Values); n++ {
			list = append(list, answer{q, n})
		}
	}
	return list
}

// explore plays the scenario under all combinations that tell something.
func (v *variation) explore() error {
	matters, err := v.pairs()
	if err != nil {
		return err
	}
	for {
		all := combinations(v.table, matters)
		for _, c := range all {
			if _, err := v.play(c); err != nil {
				return err
			}
		}
		v.found = Varied{Scenario: v.scenario.Name, Questions: v.questions(matters), Tried: len(all)}
		if len(all)*len(v.others()) > maxClosing {
			break
		}
		more, err := v.further(all, matters)
		if err != nil {
			return err
		}
		if len(more) == 0 {
			v.found.Closed = true
			break
		}
		matters = append(matters, more...)
	}
	return v.collect(matters)
}

// pairs plays each answer alone and each two together, and returns the questions
// that made a difference.
func (v *variation) pairs() (matters []int, err error) {
	usual, err := v.play(nil)
	if err != nil {
		return nil, err
	}
	note := func(q int) {
		if !slices.Contains(matters, q) {
			matters = append(matters, q)
		}
	}
	others := v.others()
	alone := make([]*outcome, len(others))
	for i, a := range others {
		if alone[i], err = v.play([]answer{a}); err != nil {
			return nil, err
		}
		if alone[i] != usual {
			note(a.question)
		}
	}
	for i, a := range others {
		for j := i + 1; j < len(others); j++ {
			b := others[j]
			if a.question == b.question {
				continue
			}
			both, err := v.play([]answer{a, b})
			if err != nil {
				return nil, err
			}
			if both != alone[i] {
				note(b.question)
			}
			if both != alone[j] {
				note(a.question)
			}
		}
	}
	return matters, nil
}

// further plays each combination with one more answer to a question that is not
// known to matter, and returns those that do.
func (v *variation) further(all [][]answer, matters []int) (more []int, err error) {
	for _, c := range all {
		before, err := v.play(c)
		if err != nil {
			return nil, err
		}
		for _, a := range v.others() {
			if slices.Contains(matters, a.question) || slices.Contains(more, a.question) {
				continue
			}
			after, err := v.play(sortAnswers(append(slices.Clone(c), a)))
			if err != nil {
				return nil, err
			}
			if after != before {
				more = append(more, a.question)
			}
		}
	}
	return more, nil
}

func sortAnswers(list []answer) []answer {
	slices.SortFunc(list, func(a, b answer) int { return cmp.Compare(a.question, b.question) })
	return list
}

// combinations are all answers to some questions; defaults are left out of each.
// Those with fewer answers come first.
func combinations(table reading.Table, questions []int) [][]answer {
	all := [][]answer{nil}
	for _, q := range slices.Sorted(slices.Values(questions)) {
		for _, c := range slices.Clone(all) {
			for n := 1; n < len(table[q].Values); n++ {
				all = append(all, append(slices.Clone(c), answer{q, n}))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b []answer) int { return cmp.Compare(len(a), len(b)) })
	return all
}

func (v *variation) questions(numbers []int) []string {
	names := []string{}
	for _, q := range slices.Sorted(slices.Values(numbers)) {
		names = append(names, v.table[q].Name)
	}
	return names
}

// collect makes changes of the combinations whose outcome is not that of one of
// their parts.
func (v *variation) collect(matters []int) error {
	usual, err := v.play(nil)
	if err != nil {
		return err
	}
	kinds := map[*outcome]bool{}
	for _, c := range combinations(v.table, matters) {
		o, err := v.play(c)
		if err != nil {
			return err
		}
		kinds[o] = true
		if o == usual || v.partOf(c, o) {
			continue
		}
		v.changes = append(v.changes, Change{Scenario: v.scenario.Name, Answers: v.names(c), Gone: without(usual.lines, o.lines), New: without(o.lines, usual.lines)})
	}
	v.found.Outcomes = len(kinds)
	return nil
}

// partOf reports whether a part of the answers has the same outcome.
func (v *variation) partOf(c []answer, o *outcome) bool {
	for mask := 1; mask < 1<<len(c)-1; mask++ {
		var part []answer
		for i, a := range c {
			if mask&(1<<i) != 0 {
				part = append(part, a)
			}
		}
		if v.known[strings.Join(v.names(part), " ")] == o {
			return true
		}
	}
	return false
}

// without returns the lines of a that b does not have.
func without(a, b []string) []string {
	rest := []string{}
	for _, line := range a {
		if !slices.Contains(b, line) {
			rest = append(rest, line)
		}
	}
	return rest
}
