package vhostuser

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// Trace prints the messages of a protocol to standard error, one line each.
// What a line says, and that no key is in it, is the protocol's affair. It is
// nil where nothing is to be printed, and then nothing need be put into words.
type Trace struct {
	mu sync.Mutex // whole lines
	w  io.Writer
}

// NewTrace returns a trace if the environment variable asks for one, else nil.
func NewTrace(variable string) *Trace {
	if os.Getenv(variable) == "" {
		return nil
	}
	return &Trace{w: os.Stderr}
}

// Printf prints a line.
func (t *Trace) Printf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, format+"\n", args...)
}
