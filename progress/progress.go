// Package progress tells a person how far a long step is: on a terminal by one
// line that is rewritten, elsewhere by a line now and then.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// quiet is the time between two lines of one step when the output is no terminal.
const quiet = 30 * time.Second

// Printer writes the progress of steps, one step at a time. A nil *Printer is
// silent.
type Printer struct {
	mu   sync.Mutex
	w    io.Writer
	tty  bool
	live bool // the cursor stands behind an unfinished line
	// width is the terminal's, in columns; 0 if it is not known. A line that
	// does not fit could not be rewritten.
	width func() int
}

// New returns a printer that writes to w.
func New(w io.Writer) *Printer {
	p := &Printer{w: w, width: func() int { return 0 }}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.tty = true
		p.width = func() int {
			columns, _, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 0
			}
			return columns
		}
	}
	return p
}

// Printf writes a line of its own.
func (p *Printer) Printf(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *Printer) clear() {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.live = false
	}
}

// rewrite puts an unfinished line in the place of the one that is there, as much
// of it as fits, with its end.
func (p *Printer) rewrite(line, end string) {
	if columns := p.width(); columns > 0 {
		room := columns - 1 - len(end) // the last column would make a new line
		if runes := []rune(line); len(runes) > room {
			line = string(runes[:max(room-1, 0)]) + "…"
		}
	}
	fmt.Fprint(p.w, "\r\x1b[K", line, end)
	p.live = true
}

// Step is one long step, from Begin to End. Its methods may be called from any
// goroutine.
type Step struct {
	p     *Printer
	what  string
	start time.Time
	last  time.Time

	// Of a step that is silent at first; guarded by p.mu.
	silent bool
	later  *time.Timer
}

// Begin starts a step and says so.
func (p *Printer) Begin(format string, args ...any) *Step {
	return p.BeginAfter(0, format, args...)
}

// BeginAfter starts a step that is often over in a moment, with nothing done:
// it is not mentioned unless it takes longer than d, or fails.
func (p *Printer) BeginAfter(d time.Duration, format string, args ...any) *Step {
	now := time.Now()
	s := &Step{p: p, what: fmt.Sprintf(format, args...), start: now, last: now, silent: true}
	if p == nil {
		return s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == 0 {
		s.say()
		return s
	}
	s.later = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.later != nil {
			s.say()
		}
	})
	return s
}

// say says that the step has begun. p.mu is held.
func (s *Step) say() {
	p := s.p
	s.silent = false
	p.clear()
	if p.tty {
		p.rewrite("  "+s.what, "")
	} else {
		fmt.Fprintf(p.w, "  %s ...\n", s.what)
	}
}

// Update says how far the step is; total 0 means that nobody knows.
func (s *Step) Update(done, total int64, unit string) {
	switch {
	case total > 0:
		s.Note("%d of %d %s (%d %%)", done, total, unit, done*100/total)
	default:
		s.Note("%d %s", done, unit)
	}
}

// Note says what the step is at.
func (s *Step) Note(format string, args ...any) {
	p := s.p
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	wait := quiet
	if p.tty {
		wait = 100 * time.Millisecond
	}
	if s.silent || now.Sub(s.last) < wait {
		return
	}
	s.last = now
	line, since := fmt.Sprintf("  %s: %s", s.what, fmt.Sprintf(format, args...)), ", "+took(now.Sub(s.start))
	if p.tty {
		p.rewrite(line, since)
		return
	}
	fmt.Fprintln(p.w, line+since)
}

// End closes the step.
func (s *Step) End(err error) {
	if err != nil {
		s.end("failed", false)
	} else {
		s.end("done", true)
	}
}

// EndAs closes a step that neither went through nor failed, with a word for it.
func (s *Step) EndAs(word string) { s.end(word, false) }

// end closes the step; a quiet end of a silent step is not mentioned.
func (s *Step) end(word string, quiet bool) {
	p := s.p
	if p == nil {
		return
	}
	p.mu.Lock()
	quiet = quiet && s.silent
	if s.later != nil {
		s.later.Stop()
		s.later = nil
	}
	p.mu.Unlock()
	if quiet {
		return
	}
	p.Printf("  %s: %s, %s", s.what, word, took(time.Since(s.start)))
}

func took(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}
