package kernel

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// patch is one patch of a series.
type patch struct {
	Name    string // the subject without its [PATCH …] tag, else the file name
	Diff    []byte // unified diff, with whatever text stood around it
	Touched []string
}

// patchList is a series, in the order of application.
type patchList []patch

// touched lists the files that the series changes, adds or removes.
func (ps patchList) touched() []string {
	var all []string
	for _, p := range ps {
		all = append(all, p.Touched...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// readPatches reads a series as "b4 am" or "git format-patch" write it: an mbox
// file, a single patch, a maildir, or a folder of patches, applied in the order
// of their names. Mails without a diff, cover letters for example, are left out.
func readPatches(name string) (patchList, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, inputf("--series %s: %w", name, unwrapPath(err))
	}
	files := []string{name}
	if st.IsDir() {
		if files, err = seriesFiles(name); err != nil {
			return nil, err
		}
	}
	var all patchList
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, inputf("--series %s: %w", name, err)
		}
		list, err := parseMbox(filepath.Base(file), data)
		if err != nil {
			return nil, inputf("--series %s: %w", file, err)
		}
		all = append(all, list...)
	}
	if len(all) == 0 {
		return nil, inputf("--series %s holds no patch: give an mbox file as b4 am writes it, or a folder of .patch files", name)
	}
	return all, nil
}

// readPatchFS reads the patches of a folder of an embedded series.
func readPatchFS(fsys fs.FS, dir string) (patchList, error) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var all patchList
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		list, err := parseMbox(path.Base(name), data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// seriesFiles lists the files of a folder with patches, in order.
func seriesFiles(dir string) ([]string, error) {
	for _, sub := range []string{"new", "cur"} { // a maildir
		if entries, err := os.ReadDir(filepath.Join(dir, sub)); err == nil && len(entries) > 0 {
			dir = filepath.Join(dir, sub)
			break
		}
	}
	maildir := slices.Contains([]string{"new", "cur"}, filepath.Base(dir))
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, inputf("--series: %w", err)
	}
	// quilt and Debian keep the order in a file.
	if order, err := os.ReadFile(filepath.Join(dir, "series")); err == nil {
		var files []string
		for line := range strings.Lines(string(order)) {
			line, _, _ = strings.Cut(line, "#")
			if f := strings.Fields(line); len(f) > 0 {
				files = append(files, filepath.Join(dir, f[0]))
			}
		}
		return files, nil
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !e.Type().IsRegular() || !maildir && !slices.Contains([]string{".patch", ".diff", ".mbx", ".mbox", ".eml"}, ext) {
			continue
		}
		files = append(files, filepath.Join(dir, e.Name()))
	}
	return files, nil
}

// fromLine separates the mails of an mbox, as git and b4 write it: "From",
// someone, and a date with the year at its end.
var fromLine = regexp.MustCompile(`(?m)^From \S+ .*\b[0-9]{4}\r?$`)

// parseMbox reads the mails of an mbox, or a bare diff.
func parseMbox(file string, data []byte) (patchList, error) {
	var mails [][]byte
	marks := fromLine.FindAllIndex(data, -1)
	for i, m := range marks {
		// Within a mail's text such a line stands behind a blank line too, but
		// no header follows it.
		end := len(data)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		body := bytes.TrimLeft(data[m[1]:end], "\r\n")
		if !startsHeader(body) && len(mails) > 0 {
			last := len(mails) - 1
			mails[last] = append(mails[last], data[m[0]:end]...)
			continue
		}
		mails = append(mails, slices.Clone(body))
	}
	if len(mails) == 0 {
		mails = [][]byte{data}
	}
	var list patchList
	for _, text := range mails {
		p, err := parseMail(file, text)
		if err != nil {
			return nil, err
		}
		if len(p.Touched) > 0 {
			list = append(list, p)
		}
	}
	return list, nil
}

var headerLine = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*:[ \t]`)

func startsHeader(b []byte) bool { return headerLine.Match(b) }

// parseMail takes the diff out of a mail. Text without mail headers is a diff
// as it stands.
func parseMail(file string, text []byte) (patch, error) {
	p := patch{Name: file, Diff: text}
	if startsHeader(text) {
		if msg, err := mail.ReadMessage(bytes.NewReader(text)); err == nil && msg.Header.Get("Subject") != "" {
			p.Name = subject(msg.Header.Get("Subject"))
			var body io.Reader = msg.Body
			switch strings.ToLower(msg.Header.Get("Content-Transfer-Encoding")) {
			case "quoted-printable":
				body = quotedprintable.NewReader(body)
			case "base64":
				body = base64.NewDecoder(base64.StdEncoding, body)
			}
			if p.Diff, err = io.ReadAll(body); err != nil {
				return p, fmt.Errorf("the mail %q is damaged: %w", p.Name, err)
			}
		}
	}
	p.Diff = bytes.ReplaceAll(p.Diff, []byte("\r\n"), []byte("\n"))
	touched, err := touchedFiles(p.Diff)
	if err != nil {
		return p, fmt.Errorf("patch %q: %w", p.Name, err)
	}
	p.Touched = touched
	return p, nil
}

var tag = regexp.MustCompile(`^\s*(\[[^\]]*\]\s*)*`)

// subject is a mail's subject without encoding, folding and [PATCH …] tags.
func subject(s string) string {
	if dec, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		s = dec
	}
	return strings.Join(strings.Fields(tag.ReplaceAllString(s, "")), " ")
}

// touchedFiles lists the files in the headers of a diff, without the a/ and b/.
func touchedFiles(diff []byte) ([]string, error) {
	var list []string
	var old string
	for line := range strings.Lines(string(diff)) {
		line = strings.TrimRight(line, "\r\n")
		name := ""
		switch {
		case strings.HasPrefix(line, "--- "):
			old = diffName(line[4:])
			continue
		case strings.HasPrefix(line, "+++ ") && old != "":
			name = diffName(line[4:])
			if name == "/dev/null" {
				name = old
			}
		case strings.HasPrefix(line, "rename from "):
			name = "a/" + line[len("rename from "):]
		case strings.HasPrefix(line, "rename to "):
			name = "b/" + line[len("rename to "):]
		case strings.HasPrefix(line, "GIT binary patch"):
			return nil, errors.New("binary patches are not supported")
		}
		old = ""
		if name == "" || name == "/dev/null" {
			continue
		}
		_, rest, ok := strings.Cut(name, "/")
		if !ok || !filepath.IsLocal(rest) {
			return nil, fmt.Errorf("it changes %s, which is no file of a kernel tree (patches are applied with -p1)", name)
		}
		list = append(list, rest)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func diffName(s string) string {
	s, _, _ = strings.Cut(s, "\t")
	return strings.TrimSpace(s)
}

func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
