// Package rulebook is every rule that a finding can name, wherever it is
// watched, and the document that lists them.
package rulebook

//go:generate go test -run TestDocument -update .

import (
	"bufio"
	_ "embed" // mistakes.md
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/checker"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/integrity"
	"github.com/qcemu/qcemu/devices/trace"
)

// Rules returns all rules, sorted by ID.
func Rules() []*trace.Rule {
	list := slices.Concat(cryptoblock.Rules(), antagonist.Rules, integrity.Rules, checker.Rules())
	slices.SortFunc(list, func(a, b *trace.Rule) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// families says what the first two parts of an ID stand for.
var families = map[string]string{
	"BAM-BUS":   "The BAM as bus master: descriptors, elements, buffers",
	"BAM-CHAIN": "Chains of descriptors as a whole",
	"BAM-CMD":   "Command descriptors and their elements",
	"BAM-DESC":  "Single descriptors",
	"BAM-FIFO":  "The descriptor FIFO",
	"BAM-IRQ":   "Interrupts",
	"BAM-LOCK":  "The pipe lock",
	"BAM-POLL":  "Polling",
	"BAM-REG":   "Registers of the BAM",
	"BLK-LOCK":  "The block as a whole",
	"EE-RESULT": "Results of the other execution environments",
	"QCE-CFG":   "The configuration of an operation",
	"QCE-DATA":  "Data of an operation",
	"QCE-DONE":  "The end of an operation",
	"QCE-KEY":   "Keys",
	"QCE-LOCK":  "The engine and the lock",
	"QCE-PIPE":  "Pipe sets",
	"QCE-REG":   "Registers of the engine",
}

// Family is the part of an ID before its number, and what it stands for.
func Family(id string) (name, text string) {
	name = id[:max(0, strings.LastIndexByte(id, '-'))]
	return name, families[name]
}

const intro = `# Findings

Every rule that a finding can name. This document is made from the tables in the
code (` + "`go generate ./devices/rulebook`" + `); [locking.md](locking.md) explains those about
the lock, and how to read a finding.

* **error**: wrong data, a hang or a bus error may follow; if it is Linux's, ` + "`qcemu run`" + `
  fails. **warning**: it works, but not by the hardware's rules. **info**: worth
  knowing, allowed.
* The source is a section of the datasheet with its evidence mark: [D] documented, [C] a
  shipping driver relies on it, [O] observed on silicon, [I] inferred, [?] open.
* The function is where a Linux driver most likely did it.
`

//go:embed mistakes.md
var mistakes string

// WriteMarkdown writes the document.
func WriteMarkdown(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprint(w, intro)
	family := ""
	for _, r := range Rules() {
		name, text := Family(r.ID)
		if name != family {
			family = name
			fmt.Fprintf(w, "\n## %s: %s\n\n| rule | | what was seen | source | function |\n|---|---|---|---|---|\n", name, text)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", r.ID, r.Severity, cell(r.Title), cell(strings.TrimPrefix(r.Source, "datasheet ")), cell(r.Driver))
	}
	fmt.Fprint(w, "\n"+mistakes)
	return w.Flush()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
