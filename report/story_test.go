package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/integrity"
)

// TestStory puts what both sides did beside one another, from the request's
// first write on.
func TestStory(t *testing.T) {
	r := Run{EE: 0, Phases: []Phase{{Suite: "contention", Name: "between", Others: []antagonist.Counts{{}}, Integrity: []integrity.Book{
		{EE: 1, First: []integrity.Corruption{{Alg: "sha1", History: []string{"#1 EE1 cpu reg-write STATUS = 0x0"}}}},
		{EE: 0, First: []integrity.Corruption{{Alg: "cbc-aes", Bytes: 176, Part: "payload", History: []string{
			"#541 EE1 pipe 0 op-done cmac-aes",
			"#574 EE0 cpu reg-write STATUS = 0x0", "#575 EE0 cpu reg-write CONFIG = 0xe006b", "#576 EE0 cpu reg-write AUTH_SEG_CFG = 0x0", "#577 EE0 cpu reg-write ENCR_KEY0 = 0x0",
			"#587 EE1 pipe 0 lock pipe 0", "#589 EE1 pipe 0 reg-write STATUS = 0x0",
			"#677 EE0 cpu op-start cbc-aes, 256 bits, 21 writes by CPU, 0 by commands",
		}}}},
	}}}}
	var b strings.Builder
	r.writeStory(&b)
	want := `
How a wrong result comes about (contention/between, cbc-aes, 176 bytes, payload wrong from byte 0 on; more in report.json):
  Linux                                     the other side  
  writes STATUS, CONFIG, ... ENCR_KEY0 (4)                  
                                            lock pipe 0     
                                            writes STATUS   
  op-start cbc-aes, 256 bits                                
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	r.Phases[0].Integrity[1].First[0].Part = "it was aborted"
	if r.writeStory(&b); !strings.Contains(b.String(), "(contention/between, cbc-aes, 176 bytes, it was aborted; more") {
		t.Errorf("of a request without an end: %q", b.String())
	}
	b.Reset()
	r.Phases[0].Others = nil
	if r.writeStory(&b); b.Len() != 0 {
		t.Errorf("where nobody else is: %q", b.String())
	}
	if (&Run{}).writeStory(&b); b.Len() != 0 {
		t.Errorf("of a run without any: %q", b.String())
	}
}
