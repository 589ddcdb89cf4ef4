package reg

import (
	"fmt"
	"io"
	"strings"
)

// Section is a register block as a document shows it: a table of where the
// registers stand, then the bits of those that have named fields.
type Section struct {
	Title   string
	Intro   string   // paragraphs between the title and the table
	Columns []string // headings of Row.Offsets, e.g. one for each layout
	Rows    []Row
}

// Row is one register of a section and where it stands.
type Row struct {
	Register *Register
	Offsets  []string // one for each of the section's columns, "" where it does not exist
}

// WriteMarkdown writes a section. The output depends on the tables alone, so a
// document made from it can be compared with the one in the repository.
func WriteMarkdown(w io.Writer, s Section) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", s.Title)
	if s.Intro != "" {
		fmt.Fprintf(&b, "%s\n\n", s.Intro)
	}
	b.WriteString("| register |")
	for _, c := range s.Columns {
		fmt.Fprintf(&b, " %s |", cell(c))
	}
	b.WriteString(" access | reset | source | what it is |\n|---|")
	b.WriteString(strings.Repeat("---|", len(s.Columns)+4))
	b.WriteByte('\n')
	for _, r := range s.Rows {
		fmt.Fprintf(&b, "| %s |", cell(r.Register.Name))
		for i := range s.Columns {
			off := ""
			if i < len(r.Offsets) {
				off = r.Offsets[i]
			}
			if off == "" {
				off = "–"
			}
			fmt.Fprintf(&b, " %s |", cell(off))
		}
		fmt.Fprintf(&b, " %s | %s | %s | %s |\n", r.Register.Access, resetText(r.Register), cell(r.Register.Source), cell(describe(r.Register)))
	}
	for _, r := range s.Rows {
		writeFields(&b, r.Register)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFields(b *strings.Builder, r *Register) {
	if len(r.Fields) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n| bits | field | meaning |\n|---|---|---|\n", r.Name)
	for _, f := range r.Fields {
		bits := fmt.Sprint(f.Lo)
		if f.Hi != f.Lo {
			bits = fmt.Sprintf("%d:%d", f.Hi, f.Lo)
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", bits, cell(f.Name), cell(f.Doc))
	}
}

func resetText(r *Register) string {
	if r.Secret {
		return "–"
	}
	return fmt.Sprintf("%#x", r.Reset)
}

func describe(r *Register) string {
	s := r.Doc
	if r.Secret {
		s += " Key material: never shown."
	}
	if r.Unused {
		s += " Stored, without effect in the model."
	}
	return strings.TrimSpace(s)
}

// cell keeps text from ending a table cell or row.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
