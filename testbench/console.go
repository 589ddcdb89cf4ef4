package testbench

import (
	"bytes"
	"io"
	"regexp"
	"sync"
)

// console keeps the guest's console in a file and looks for words that mean
// that the kernel is in trouble.
type console struct {
	w     io.Writer
	alive func()

	mu      sync.Mutex
	line    []byte
	trouble []string
	fatal   bool
}

// maxLine bounds what is kept of a line without an end.
const maxLine = 4096

// maxTrouble bounds how many lines are reported.
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
	{regexp.MustCompile(`WARNING: CPU: .*`), false},
	{regexp.MustCompile(`INFO: task .* blocked for more than .*`), false},
	{regexp.MustCompile(`INFO: rcu.* detected stalls.*`), false},
	{regexp.MustCompile(`irq \d+: nobody cared.*`), false},
	{regexp.MustCompile(`Unhandled fault.*`), false},
}

func (c *console) Write(p []byte) (int, error) {
	c.alive()
	if _, err := c.w.Write(p); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
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
	for _, d := range distress {
		if m := d.re.Find(line); m != nil {
			if len(c.trouble) < maxTrouble {
				c.trouble = append(c.trouble, string(m))
			}
			c.fatal = c.fatal || d.fatal
			return
		}
	}
}

// distress returns what the kernel complained of, and whether it died of it.
func (c *console) complaints() (lines []string, fatal bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.trouble...), c.fatal
}
