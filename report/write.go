package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/finding"
)

// Files that WriteDir makes.
const (
	JSONFile        = "report.json"
	KTAPFile        = "report.ktap"
	JUnitFile       = "report.xml"
	AttestationFile = "attestation.json"
	FindingsFile    = "findings.json"
)

// WriteDir writes all forms of the report into a folder.
func (r *Run) WriteDir(dir string) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{JSONFile, func(w io.Writer) error { return writeJSON(w, r) }},
		{KTAPFile, r.WriteKTAP},
		{JUnitFile, r.WriteJUnit},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.write); err != nil {
			return err
		}
	}
	return WriteEngine(dir, r.Attestation, r.Findings)
}

// WriteEngine writes what is known of the engine alone: what it did, and the
// rules that were broken.
func WriteEngine(dir string, rows []attest.Row, findings []finding.Finding) error {
	err := writeFile(filepath.Join(dir, AttestationFile), func(w io.Writer) error { return writeJSON(w, rows) })
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, FindingsFile), func(w io.Writer) error { return writeJSON(w, findings) })
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return f.Close()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// oneLine makes text fit for a line-based format.
func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

// WriteKTAP writes the kernel's test result format, version 1: one subtest per
// suite. An expected failure is a "not ok" with the XFAIL directive.
func (r *Run) WriteKTAP(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "KTAP version 1\n1..%d\n", len(r.Suites))
	fmt.Fprintf(&b, "# driver %s, soc %s, kernel %s, qemu %s, seed %d\n", r.Driver, r.SoC, r.Kernel, r.QEMU, r.Seed)
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "# problem: %s\n", oneLine(p))
	}
	for i := range r.Suites {
		s := &r.Suites[i]
		fmt.Fprintf(&b, "  KTAP version 1\n  1..%d\n", len(s.Cases))
		for j, c := range s.Cases {
			if c.Detail != "" && c.Status != Pass {
				for line := range strings.Lines(c.Detail) {
					fmt.Fprintf(&b, "  # %s\n", strings.TrimRight(line, "\n"))
				}
			}
			fmt.Fprintf(&b, "  %s %d %s%s\n", ktapResult(c.Status), j+1, ktapName(c.Name), ktapDirective(c))
		}
		if s.Error != "" {
			fmt.Fprintf(&b, "# %s\n", oneLine(s.Error))
		}
		result := "ok"
		if s.Failed() {
			result = "not ok"
		}
		fmt.Fprintf(&b, "%s %d %s\n", result, i+1, ktapName(s.Name))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ktapResult(s Status) string {
	if s.Bad() || s == XFail {
		return "not ok"
	}
	return "ok"
}

func ktapName(s string) string { return strings.ReplaceAll(oneLine(s), "#", "_") }

func ktapDirective(c Case) string {
	switch c.Status {
	case XFail:
		return " # XFAIL " + oneLine(c.Reason)
	case Skip:
		return " # SKIP " + oneLine(c.Reason)
	case Timeout:
		return " # TIMEOUT"
	case XPass:
		return " # expected to fail: " + oneLine(c.Reason)
	}
	return ""
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property,omitempty"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// WriteJUnit writes JUnit XML. An expected failure appears as skipped, with its
// reason, since the format knows no better word; a suite that did not end and a
// problem of the run appear as errors.
func (r *Run) WriteJUnit(w io.Writer) error {
	out := junitSuites{Name: "qcemu", Time: seconds(r.Seconds)}
	for i := range r.Suites {
		s := junitOf(&r.Suites[i])
		s.Properties = []junitProperty{{"driver", r.Driver}, {"soc", r.SoC}, {"kernel", r.Kernel}, {"qemu", r.QEMU}, {"seed", fmt.Sprint(r.Seed)}}
		out.Suites = append(out.Suites, s)
	}
	if len(r.Problems) > 0 {
		s := junitSuite{Name: "run", Time: seconds(0)}
		for _, p := range r.Problems {
			s.Cases = append(s.Cases, junitCase{Class: "run", Name: oneLine(p), Time: seconds(0), Error: &junitMessage{Message: oneLine(p)}})
		}
		s.Tests, s.Errors = len(s.Cases), len(s.Cases)
		out.Suites = append(out.Suites, s)
	}
	for _, s := range out.Suites {
		out.Tests += s.Tests
		out.Failures += s.Failures
		out.Errors += s.Errors
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitOf(s *Suite) junitSuite {
	out := junitSuite{Name: s.Name, Time: seconds(s.Seconds)}
	for _, c := range s.Cases {
		j := junitCase{Class: s.Name, Name: c.Name, Time: seconds(c.Seconds)}
		switch {
		case c.Status == Timeout:
			j.Error = &junitMessage{Message: "timeout", Text: c.Detail}
			out.Errors++
		case c.Status.Bad():
			j.Failure = &junitMessage{Message: oneLine(string(c.Status) + " " + c.Reason), Text: c.Detail}
			out.Failures++
		case c.Status == XFail:
			j.Skipped = &junitMessage{Message: oneLine("expected failure: " + c.Reason), Text: c.Detail}
			out.Skipped++
		case c.Status == Skip:
			j.Skipped = &junitMessage{Message: oneLine(c.Reason)}
			out.Skipped++
		}
		out.Cases = append(out.Cases, j)
	}
	if !s.Ended || s.Error != "" {
		why := s.Error
		if why == "" {
			why = "the guest ended inside the suite"
		}
		out.Cases = append(out.Cases, junitCase{Class: s.Name, Name: "suite", Time: seconds(0), Error: &junitMessage{Message: oneLine(why)}})
		out.Errors++
	}
	out.Tests = len(out.Cases)
	return out
}
