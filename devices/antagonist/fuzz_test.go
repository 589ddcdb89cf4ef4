package antagonist_test

import (
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/antagonist"
)

// Whatever a user writes gives a policy that prints as it was written, or one
// line that says what is wrong.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{"between,gentle,mode=mmio", "every=7", "random=0.5,group=3", "burst,rate=1,alg=sha1+cbc-aes", "off", "script=", "between,,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "script=") {
			return // names a file
		}
		p, err := antagonist.ParsePolicy(text)
		switch {
		case err == nil && p.String() != text:
			t.Errorf("%q became %q", text, p.String())
		case err != nil && strings.Contains(strings.ReplaceAll(err.Error(), text, ""), "\n"):
			t.Errorf("%q: more than a line: %v", text, err)
		}
	})
}

func FuzzScript(f *testing.F) {
	for _, s := range []string{"after lock do finish", "after reg-write KEY0 every 3 do step 2 # x", "# nothing", "after op-done count 1 do request sha1\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := antagonist.ParseScript(text); err == nil && s == nil {
			t.Errorf("%q: neither a script nor an error", text)
		}
	})
}
