package reading

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	colours = Table{
		{Name: "sky", Values: []Value{{Name: "blue"}, {Name: "grey"}}},
		{Name: "sea", Values: []Value{{Name: "green"}, {Name: "blue"}, {Name: "black"}}},
	}
	sounds = Table{{Name: "bell", Values: []Value{{Name: "high"}, {Name: "low"}}}}
)

func TestResolve(t *testing.T) {
	tests := []struct {
		choice Choice
		want   Selection
		err    string
	}{
		{nil, Selection{0, 0}, ""},
		{Choice{"sea": "black"}, Selection{0, 2}, ""},
		{Choice{"sky": "grey", "bell": "low"}, Selection{1, 0}, ""},
		{Choice{"sky": "red"}, nil, `reading sky has no value "red"; there are: blue, grey`},
	}
	for _, tt := range tests {
		got, err := colours.Resolve(tt.choice)
		if msg := errText(err); msg != tt.err {
			t.Errorf("Resolve(%v): error %q, want %q", tt.choice, msg, tt.err)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("Resolve(%v): %s", tt.choice, d)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := Check(Choice{"sky": "grey", "bell": "low"}, colours, sounds); err != nil {
		t.Error(err)
	}
	if msg := errText(Check(Choice{"horn": "low"}, colours, sounds)); !strings.HasPrefix(msg, `no reading "horn"; there are: bell,`) {
		t.Errorf("unknown name: %q", msg)
	}
	if msg := errText(Check(Choice{"bell": "flat"}, colours, sounds)); !strings.Contains(msg, "high, low") {
		t.Errorf("unknown value: %q", msg)
	}
}

func TestParse(t *testing.T) {
	c := Choice{}
	for _, bad := range []string{"", "sky", "sky=", "=grey"} {
		if err := c.Parse(bad); err == nil {
			t.Errorf("Parse(%q) succeeded", bad)
		}
	}
	if err := c.Parse("sky=grey"); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(Choice{"sky": "grey"}, c); d != "" {
		t.Error(d)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
