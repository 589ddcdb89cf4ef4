package series

import (
	"fmt"
	"io/fs"
	"net/mail"
	"strings"
	"testing"
)

// The files are a complete series in the order of their names, each one a mail
// that its author signed off.
func TestPatches(t *testing.T) {
	names, err := fs.Glob(Patches, "*.patch")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("no patches")
	}
	for i, name := range names {
		data, err := fs.ReadFile(Patches, name)
		if err != nil {
			t.Fatal(err)
		}
		head, text, _ := strings.Cut(string(data), "\n")
		if !strings.HasPrefix(head, "From ") {
			t.Errorf("%s: starts with %q", name, head)
		}
		msg, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := fmt.Sprintf("[PATCH %02d/%d] ", i+1, len(names)); !strings.HasPrefix(msg.Header.Get("Subject"), want) {
			t.Errorf("%s: subject %q, want it to start with %q", name, msg.Header.Get("Subject"), want)
		}
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s: name does not start with %s", name, want)
		}
		if want := "\nSigned-off-by: " + msg.Header.Get("From") + "\n---\n"; !strings.Contains(text, want) {
			t.Errorf("%s: not signed off by its author", name)
		}
	}
}
