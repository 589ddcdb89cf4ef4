// Command gen writes docs/registers.md from the tables of the models: chips,
// registers, and the questions that the hardware guide leaves open.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reading"
	"github.com/qcemu/qcemu/devices/reg"
)

//go:generate go run . -o ../registers.md

func main() {
	out := flag.String("o", "docs/registers.md", "file to write")
	flag.Parse()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, b.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}

const intro = `# Registers

Every register of the model, as its tables have it. This file is made from the code (` + "`go generate ./docs/gen`" + `):
what stands here is what the model decodes, resets, masks, names in traces and checks.

The window that QEMU shows to the guest has 256 KiB, laid out like a SoC's crypto subsystem: the BAM and the engine
stand in it where the table of chips says. Registers are 32 bits wide, little-endian, and take aligned accesses of
four bytes; an access of eight bytes is two of four. Anything else reads as 0 and is reported.

Sources are sections of the project's datasheet, with its marks for evidence: **[D]** documented by a named constant,
a comment, a binding or the vendor's engineers; **[C]** what a shipping driver relies on; **[O]** observed on silicon;
**[I]** inferred; **[?]** unknown.
`

// write writes the document.
func write(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(intro + "\n")
	if err := writeChips(&b); err != nil {
		return err
	}
	for _, s := range []reg.Section{bam.Section(), qce.Section()} {
		if err := reg.WriteMarkdown(&b, s); err != nil {
			return err
		}
	}
	writeReadings(&b)
	_, err := w.Write(append(bytes.TrimRight(b.Bytes(), "\n"), '\n'))
	return err
}

// writeChips writes the profiles.
func writeChips(b *bytes.Buffer) error {
	b.WriteString(`## Chips

What ` + "`--soc`" + ` chooses. Pipes not named are the secure side's; pipe numbers are those of Linux's pair, rx (memory to
engine) and tx (engine to memory).

| SoC | BAM | at | REVISION | pipes | EEs | address bits | QCE VERSION | at | ENGINES_AVAIL | Linux's EE | rx, tx | clock in DT |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
`)
	var evidence bytes.Buffer
	for _, name := range cryptoblock.Profiles() {
		p, err := cryptoblock.ProfileByName(name)
		if err != nil {
			return err
		}
		clock := "no"
		if p.DT.Clock {
			clock = "yes"
		}
		engines := fmt.Sprintf("%#08x", p.Engines)
		if p.GCM {
			engines += ", GCM"
		}
		fmt.Fprintf(b, "| %s | %s | +%#x | %#x | %d | %d | %d | %d.%d.%d | +%#x | %s | %d | %d, %d | %s |\n",
			p.Name, p.Layout, p.BAMOffset, p.Revision, p.Pipes, p.NumEEs, p.AddrBits,
			p.Version>>24, p.Version>>16&0xff, p.Version&0xffff, p.QCEOffset, engines, p.EE, p.RXPipe(), p.TXPipe(), clock)
		fmt.Fprintf(&evidence, "* **%s**: %s.\n", p.Name, p.Evidence)
	}
	fmt.Fprintf(b, "\nWhere the values come from:\n\n%s\n", evidence.String())
	return nil
}

// writeReadings writes the open questions of both devices.
func writeReadings(b *bytes.Buffer) {
	b.WriteString(`## Where the hardware guide is silent

Each open question is a named choice: ` + "`--reading NAME=VALUE`" + ` (may be repeated). The first answer is the default.
`)
	for _, part := range []struct {
		title string
		table reading.Table
	}{{"BAM", bam.ReadingTable()}, {"QCE", qce.Readings}} {
		fmt.Fprintf(b, "\n### Open questions: %s\n\n| name | question | source | answers |\n|---|---|---|---|\n", part.title)
		for _, r := range part.table {
			var answers []string
			for _, v := range r.Values {
				a := "`" + v.Name + "`: " + v.Meaning
				if v.Evidence != "" {
					a += " (" + v.Evidence + ")"
				}
				answers = append(answers, a)
			}
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", r.Name, cell(r.Question), cell(r.Source), cell(strings.Join(answers, "<br>")))
		}
	}
}

// cell keeps text from ending a table cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
