package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMet(t *testing.T) {
	for _, tt := range []struct {
		name       string
		line       Line
		met, known bool
	}{
		{"no target", Line{Value: 5, Base: 1}, false, false},
		{"ratio", Line{Value: 3, Base: 2, Target: atMost(1.5)}, true, true},
		{"ratio missed", Line{Value: 3.1, Base: 2, Target: atMost(1.5)}, false, true},
		{"limit", Line{Value: 0, Target: atMost(0)}, true, true},
		{"limit missed", Line{Value: 1, Target: atMost(0)}, false, true},
	} {
		if met, known := tt.line.Met(); met != tt.met || known != tt.known {
			t.Errorf("%s: met %v, known %v; want %v, %v", tt.name, met, known, tt.met, tt.known)
		}
	}
}

var sample = Report{
	Machine: Machine{CPU: "Some CPU", CPUs: 2, Kernel: "6.1", Go: "go1.26", Load: 0.5, LoadAfter: 1.25},
	Missed:  1,
	Lines: []Line{
		{Section: "core", What: "a request", Value: 3500, Unit: nanoseconds, Against: "the cipher", Base: 2500, Target: atMost(1.5)},
		{Section: "core", What: "allocations", Unit: howOften, Target: atMost(0)},
		{Section: "guest", What: "a read", Value: 120e3, Unit: nanoseconds, Against: "a server in C", Base: 108e3, Quoted: true, Target: atMost(1), Note: "measured elsewhere"},
		{Section: "guest", What: "a request", Value: 2.5e6, Unit: nanoseconds},
		{Section: "serve", What: "memory", Value: 16.25, Unit: mebibytes, Target: atMost(64)},
	},
}

func TestWriteTable(t *testing.T) {
	var b bytes.Buffer
	if err := sample.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `Some CPU, 2 CPUs, Linux 6.1, go1.26; load 0.5 before, 1.2 after

core           measured  compared with           ratio  target
  a request    3.50 µs   the cipher     2.50 µs  1.40   <= 1.50  met
  allocations  0                                        <= 0     met

guest        measured   compared with                       ratio  target
  a read     120.00 µs  a server in C  108.00 µs (quoted)  1.11   <= 1.00  missed
  a request  2.50 ms

serve     measured  compared with    ratio  target
  memory  16.2 MiB                          <= 64.0 MiB  met

guest, a read: measured elsewhere

5 figures, 1 targets missed.
`
	if diff := cmp.Diff(squeeze(want), squeeze(b.String())); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// squeeze takes the padding out of a table.
func squeeze(s string) []string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample, got); diff != "" {
		t.Errorf("after a round trip (-want +got):\n%s", diff)
	}
}
