package debian

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// entry is one repository of an apt configuration, as sources.list(5) has it.
type entry struct {
	URI        string
	Suite      string
	Components []string
	SignedBy   string // a file, fingerprints, or a key block
}

// readSources reads the binary repositories of an apt configuration folder,
// usually /etc/apt. Files that cannot be read are left out: apt says what is
// wrong with them.
func readSources(etc fs.FS) []entry {
	var list []entry
	if data, err := fs.ReadFile(etc, "sources.list"); err == nil {
		list = parseOneLine(string(data))
	}
	parts, _ := fs.ReadDir(etc, "sources.list.d")
	for _, part := range parts {
		data, err := fs.ReadFile(etc, path.Join("sources.list.d", part.Name()))
		if err != nil {
			continue
		}
		switch path.Ext(part.Name()) {
		case ".list":
			list = append(list, parseOneLine(string(data))...)
		case ".sources":
			list = append(list, parseDeb822(string(data))...)
		}
	}
	return list
}

// parseOneLine reads the one-line format: deb [options] uri suite components.
func parseOneLine(text string) []entry {
	var list []entry
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		kind, rest, ok := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		if !ok || kind != "deb" {
			continue
		}
		rest = strings.TrimSpace(rest)
		var e entry
		if strings.HasPrefix(rest, "[") {
			options, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				continue
			}
			for option := range strings.FieldsSeq(options) {
				if name, value, _ := strings.Cut(option, "="); strings.EqualFold(name, "signed-by") {
					e.SignedBy = value
				}
			}
			rest = strings.TrimSpace(after)
		}
		// A cdrom URI has its label in brackets, blanks included; it is of no use here.
		f := strings.Fields(rest)
		if len(f) < 2 || strings.HasPrefix(f[0], "cdrom:") {
			continue
		}
		e.URI, e.Suite, e.Components = f[0], f[1], f[2:]
		list = append(list, e)
	}
	return list
}

// parseDeb822 reads the format of .sources files: stanzas of fields, one entry
// for each pair of URI and suite.
func parseDeb822(text string) []entry {
	var list []entry
	fields := map[string]string{}
	last := ""
	flush := func() {
		enabled := !slices.Contains([]string{"no", "false", "off", "0", "without", "disable"}, strings.ToLower(fields["enabled"]))
		if enabled && slices.Contains(strings.Fields(fields["types"]), "deb") {
			for uri := range strings.FieldsSeq(fields["uris"]) {
				for suite := range strings.FieldsSeq(fields["suites"]) {
					if strings.HasPrefix(uri, "cdrom:") {
						continue
					}
					list = append(list, entry{
						URI:        uri,
						Suite:      suite,
						Components: strings.Fields(fields["components"]),
						SignedBy:   fields["signed-by"],
					})
				}
			}
		}
		clear(fields)
		last = ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			flush()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] = strings.TrimSpace(fields[last] + "\n" + strings.TrimSpace(line))
			}
		default:
			if name, value, ok := strings.Cut(line, ":"); ok {
				last = strings.ToLower(name)
				fields[last] = strings.TrimSpace(value)
			}
		}
	}
	flush()
	return list
}
