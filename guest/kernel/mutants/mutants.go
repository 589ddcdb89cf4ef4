// Package mutants holds patches that each put one mistake into the project's own
// series, of the kind that driver authors make, with what the test bench has to say
// of it. README.md explains their headers. They are under the kernel's licence,
// GPL-2.0-only.
package mutants

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/mail"
	"slices"
	"strings"
)

//go:embed *.patch
var patches embed.FS

// Mutant is one mistake.
type Mutant struct {
	Name  string
	What  string // in words
	Patch []byte // to be applied behind the series

	Finds  []string // rules that have to be found
	Unseen string   // why the hardware cannot tell; "" if it can
	Passes bool     // the run passes all the same
	Quick  bool     // one of those that each test of the guest includes
	Run    []string // further arguments of qcemu run
}

// All returns the mutants in the order of their names.
func All() ([]Mutant, error) {
	names, err := fs.Glob(patches, "*.patch")
	if err != nil {
		return nil, err
	}
	var list []Mutant
	for _, name := range names {
		m, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, m)
	}
	return list, nil
}

// known are the headers that a mutant may have.
var known = []string{"Subject", "Finds", "Unseen", "Passes", "Quick", "Run"}

func read(name string) (Mutant, error) {
	data, err := patches.ReadFile(name)
	if err != nil {
		return Mutant{}, err
	}
	msg, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return Mutant{}, err
	}
	for h := range msg.Header {
		if !slices.Contains(known, h) {
			return Mutant{}, fmt.Errorf("unknown header %s", h)
		}
	}
	m := Mutant{
		Name: strings.TrimSuffix(name, ".patch"), Patch: data,
		What:  strings.TrimPrefix(msg.Header.Get("Subject"), "[PATCH] mutant: "),
		Finds: strings.Fields(msg.Header.Get("Finds")), Unseen: msg.Header.Get("Unseen"),
		Run: strings.Fields(msg.Header.Get("Run")),
	}
	for header, flag := range map[string]*bool{"Passes": &m.Passes, "Quick": &m.Quick} {
		switch v := msg.Header.Get(header); v {
		case "", "yes":
			*flag = v != ""
		default:
			return Mutant{}, fmt.Errorf("%s: %s, which must be yes or absent", header, v)
		}
	}
	if (len(m.Finds) > 0) == (m.Unseen != "") {
		return Mutant{}, fmt.Errorf("it must have either Finds or Unseen")
	}
	return m, nil
}
