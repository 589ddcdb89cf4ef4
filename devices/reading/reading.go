// Package reading holds the questions that the hardware guide leaves open, as
// data: what is asked, which answers a model can give, which one is the
// default, and on what evidence.
//
// A device model has one Table of its readings. A run makes a Choice for both
// devices at once; each model resolves the part that is its own.
package reading

import (
	"fmt"
	"slices"
	"strings"
)

// Reading is one open question. The first value is the default.
type Reading struct {
	Name     string // stable, lower case with dashes: what a user writes
	Question string // one sentence
	Source   string // datasheet section that leaves it open
	Values   []Value
}

// Value is one answer.
type Value struct {
	Name     string
	Meaning  string // what the model does
	Evidence string // what speaks for it
}

// Table is the readings of one device, in the order in which the device
// numbers them.
type Table []Reading

// Choice maps names of readings to names of values. What it does not name has
// its default; nil chooses every default.
type Choice map[string]string

// Selection is a resolved choice: for each reading of a table the index of the
// chosen value.
type Selection []uint8

// Resolve picks this table's part of a choice. Names of other tables are left
// alone; Check finds those that no table has.
func (t Table) Resolve(c Choice) (Selection, error) {
	s := make(Selection, len(t))
	for i := range t {
		name, ok := c[t[i].Name]
		if !ok {
			continue
		}
		v := slices.IndexFunc(t[i].Values, func(v Value) bool { return v.Name == name })
		if v < 0 {
			return nil, fmt.Errorf("reading %s has no value %q; there are: %s", t[i].Name, name, t[i].names())
		}
		s[i] = uint8(v)
	}
	return s, nil
}

func (r *Reading) names() string {
	names := make([]string, len(r.Values))
	for i, v := range r.Values {
		names[i] = v.Name
	}
	return strings.Join(names, ", ")
}

// Check says which name or value of a choice none of the tables has.
func Check(c Choice, tables ...Table) error {
	known := map[string]bool{}
	var names []string
	for _, t := range tables {
		if _, err := t.Resolve(c); err != nil {
			return err
		}
		for i := range t {
			known[t[i].Name] = true
			names = append(names, t[i].Name)
		}
	}
	for name := range c {
		if !known[name] {
			slices.Sort(names)
			return fmt.Errorf("no reading %q; there are: %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// Parse reads "NAME=VALUE" into a choice.
func (c Choice) Parse(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" || value == "" {
		return fmt.Errorf("reading %q: want NAME=VALUE", s)
	}
	c[name] = value
	return nil
}
