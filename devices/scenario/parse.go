package scenario

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Scenario is one script.
type Scenario struct {
	File string
	Name string
	Text string // one sentence: what it shows
	Line int

	steps []step
}

// step is one statement.
type step struct {
	line int
	text string
	verb *verb
	args []string
}

// Finds returns the rules that the scenario breaks, Near those that it comes
// close to breaking.
func (s *Scenario) Finds() []string { return s.words("finds") }

// Near is described at Finds.
func (s *Scenario) Near() []string { return s.words("near") }

func (s *Scenario) words(verb string) []string {
	var list []string
	for _, st := range s.steps {
		if st.verb == verbs[verb] && st.args[0] != "nothing" {
			list = append(list, st.args...)
		}
	}
	return list
}

func (s *Scenario) at(line int) string { return fmt.Sprintf("%s:%d", s.File, line) }

// Parse reads a file of scenarios.
func Parse(file, text string) ([]*Scenario, error) {
	var list []*Scenario
	var common []step
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		at := fmt.Sprintf("%s:%d", file, i+1)
		if words[0] == "scenario" {
			name, sentence, ok := strings.Cut(strings.TrimSpace(strings.TrimSpace(line)[len("scenario"):]), ":")
			if !ok || name == "" || strings.Contains(name, " ") {
				return nil, fmt.Errorf("%s: want \"scenario NAME: SENTENCE\"", at)
			}
			if slices.ContainsFunc(list, func(s *Scenario) bool { return s.Name == name }) {
				return nil, fmt.Errorf("%s: a second scenario %s", at, name)
			}
			list = append(list, &Scenario{File: file, Name: name, Text: strings.TrimSpace(sentence), Line: i + 1, steps: slices.Clone(common)})
			continue
		}
		v := verbs[words[0]]
		if v == nil {
			return nil, fmt.Errorf("%s: no statement %q; there are: %s", at, words[0], strings.Join(sorted(verbs), ", "))
		}
		args := words[1:]
		if err := v.check(words[0], args); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		st := step{i + 1, strings.Join(words, " "), v, args}
		if len(list) == 0 {
			common = append(common, st)
		} else {
			s := list[len(list)-1]
			s.steps = append(s.steps, st)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no scenario in it", file)
	}
	return list, nil
}

//go:embed files/*.txt
var files embed.FS

// All returns the scenarios that come with the project: for each rule one that
// breaks it and one that comes close, and those of the lock.
func All() ([]*Scenario, error) {
	var all []*Scenario
	err := fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		list, err := Parse(d.Name(), string(text))
		all = append(all, list...)
		return err
	})
	return all, err
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func number(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return n, nil
}

// address reads a number, or a place with an offset.
func address(s string) (uint64, error) {
	sign, name, offset := uint64(1), s, ""
	if i := strings.IndexAny(s, "+-"); i > 0 {
		name, offset = s[:i], s[i+1:]
		if s[i] == '-' {
			sign = ^uint64(0)
		}
	}
	base, ok := places[name]
	if !ok {
		return number(s)
	}
	if offset == "" {
		return base, nil
	}
	n, err := number(offset)
	return base + sign*n, err
}

// options are the words of a statement that are not in fixed places.
type options struct {
	flags uint32
	named map[string]string
	rest  []string
}

// parseOptions sorts out flags, NAME=VALUE with a known name, and the rest.
func parseOptions(args []string, names ...string) options {
	o := options{named: map[string]string{}}
	for _, a := range args {
		if f, ok := flagBits[a]; ok {
			o.flags |= f
			continue
		}
		name, value, ok := strings.Cut(a, "=")
		if ok && slices.Contains(names, name) {
			o.named[name] = value
			continue
		}
		o.rest = append(o.rest, a)
	}
	return o
}

// none refuses words that are left.
func (o options) none() error {
	if len(o.rest) > 0 {
		return fmt.Errorf("what is %q?", o.rest[0])
	}
	return nil
}

// number is a named option as a number, or what it is when it is not there.
func (o options) number(name string, otherwise uint64) (uint64, error) {
	s, ok := o.named[name]
	if !ok {
		return otherwise, nil
	}
	return address(s)
}
