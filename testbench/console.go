package testbench

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// console keeps the guest's console in a file and looks for words that mean
// that the kernel is in trouble.
type console struct {
	w     io.Writer
	alive func()

	mu      sync.Mutex
	err     error // of the file
	line    []byte
	last    []string // lines, at most tailLines
	trouble []string // at most maxTrouble, failed self-tests apart
	failed  int      // self-tests among trouble, at most maxTrouble
	fatal   bool
	waits   time.Time // when the kernel last complained of a task that waits
}

// maxLine bounds what is kept of a line without an end.
const maxLine = 4096

// tailLines is how many lines of a dead guest's console go into the report.
const tailLines = 20

// maxTrouble bounds how many lines are reported, and as many of failed self-tests:
// those come first and may be many, and what comes behind them tells more.
const maxTrouble = 8

// distress are the kernel's own words for a fault of its own. Fatal ones are
// followed by the kernel's death.
var distress = []struct {
	re    *regexp.Regexp
	fatal bool
}{
	{regexp.MustCompile(`Kernel panic - not syncing.*`), true},
	{regexp.MustCompile(`Unable to handle kernel .*`), false},
	{regexp.MustCompile(`Internal error: .*`), false},
	{regexp.MustCompile(`BUG: .*`), false},
	{regexp.MustCompile(`kernel BUG at .*`), false},
	{regexp.MustCompile(`WARNING: .*`), false},
	{regexp.MustCompile(`INFO: task .* blocked for more than .*`), false},
	{regexp.MustCompile(`INFO: rcu.* detected stalls.*`), false},
	{regexp.MustCompile(`irq \d+: nobody cared.*`), false},
	{regexp.MustCompile(`Unhandled fault.*`), false},
}

func (c *console) Write(p []byte) (int, error) {
	c.alive()
	_, err := c.w.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err // not to be returned: QEMU would lose its standard output
	}
	for _, b := range p {
		if b != '\n' {
			if len(c.line) < maxLine {
				c.line = append(c.line, b)
			}
			continue
		}
		c.scan(bytes.TrimRight(c.line, "\r"))
		c.line = c.line[:0]
	}
	return len(p), nil
}

func (c *console) scan(line []byte) {
	if len(c.last) == tailLines {
		c.last = append(c.last[:0], c.last[1:]...)
	}
	c.last = append(c.last, string(line))
	for _, d := range distress {
		if m := d.re.Find(line); m != nil {
			if bytes.HasPrefix(m, []byte("INFO: task ")) {
				c.waits = time.Now()
			}
			c.complain(string(m))
			c.fatal = c.fatal || d.fatal
			return
		}
	}
}

// complain keeps a complaint if there is room for its kind.
func (c *console) complain(words string) {
	selftest := isFailedSelftest(words)
	kept := len(c.trouble) - c.failed
	if selftest {
		kept = c.failed
	}
	if kept == maxTrouble {
		return
	}
	if selftest {
		c.failed++
	}
	c.trouble = append(c.trouble, words)
}

// blockedFor is how long a task counts as waiting since the kernel's last complaint of
// it; the kernel complains every two minutes.
const blockedFor = 3 * time.Minute

// blocked reports whether a task waits for long, as the kernel complains.
func (c *console) blocked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.waits.IsZero() && time.Since(c.waits) < blockedFor
}

// failure is what kept the console from being written to its file.
func (c *console) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// tail returns the last lines, what stands behind them without an end included.
func (c *console) tail() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for _, line := range c.last {
		lines = append(lines, printable(line))
	}
	if rest := printable(string(c.line)); rest != "" {
		lines = append(lines, rest)
	}
	return lines
}

// printable leaves out what would steer a terminal, and what is no text: a guest
// may write anything.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\t' {
			return -1
		}
		return r
	}, line)
}

// complaints returns what the kernel complained of, and whether it died of it.
func (c *console) complaints() (lines []string, fatal bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.trouble...), c.fatal
}
