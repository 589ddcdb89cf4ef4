package progress

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// screen is what a terminal of so many columns gets.
func screen(columns int) (*Printer, *bytes.Buffer) {
	var out bytes.Buffer
	p := New(&out)
	p.tty, p.width = true, func() int { return columns }
	return p, &out
}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := New(&out)
		s := p.Begin("Building %s", "it")
		s.Update(1, 4, "MB") // too soon after the beginning
		time.Sleep(quiet)
		s.Update(2, 4, "MB")
		s.Note("soon") // too soon after the last
		p.Printf("a note")
		time.Sleep(time.Minute)
		s.End(nil)
		p.Begin("Trying").End(errors.New("no"))
		p.Begin("Dying").EndAs("dead")
		want := `  Building it ...
  Building it: 2 of 4 MB (50 %), 30.0 s
a note
  Building it: done, 1 min 30 s
  Trying ...
  Trying: failed, 0.0 s
  Dying ...
  Dying: dead, 0.0 s
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// On a terminal a step is one line that is rewritten, so it has to fit.
func TestTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, out := screen(30)
		s := p.Begin("Building Linux")
		time.Sleep(time.Second)
		s.Note("%s", strings.Repeat("ü", 100))
		s.End(nil)
		want := "\r\x1b[K  Building Linux" + "\r\x1b[K  Building Linux: " + strings.Repeat("ü", 3) + "…, 1.0 s" + "\r\x1b[K  Building Linux: done, 1.0 s\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, line := range regexp.MustCompile(`\r\x1b\[K|\n`).Split(out.String(), -1) {
			if n := len([]rune(line)); n >= 30 {
				t.Errorf("%q has %d columns", line, n)
			}
		}
	})
}

// TestBeginAfter: a step that is over in a moment is not mentioned.
func TestBeginAfter(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *Step)
		want string
	}{
		{"short", func(s *Step) { s.Note("x"); s.End(nil); time.Sleep(time.Hour) }, ""},
		{"long", func(s *Step) { time.Sleep(5 * time.Second); s.End(nil) }, "  Looking ...\n  Looking: done, 5.0 s\n"},
		{"failed", func(s *Step) { s.End(errors.New("no")) }, "  Looking: failed, 0.0 s\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				c.do(New(&out).BeginAfter(2*time.Second, "Looking"))
				if diff := cmp.Diff(c.want, out.String()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A nil printer is silent.
func TestNil(t *testing.T) {
	var p *Printer
	p.Printf("x")
	for _, s := range []*Step{p.Begin("x"), p.BeginAfter(time.Second, "x")} {
		s.Note("x")
		s.End(nil)
	}
}
