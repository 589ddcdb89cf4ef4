package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/antagonist"
	"github.com/qcemu/qcemu/devices/attest"
	"github.com/qcemu/qcemu/devices/integrity"
)

// TestEngineTable: who got something else than he asked for stands in the table,
// and who waits for ever; what an algorithm got right takes no line.
func TestEngineTable(t *testing.T) {
	r := &Run{
		EE:          2,
		Attestation: []attest.Row{{EE: 2, Algorithm: "cbc-aes", Direction: "encrypt", KeyBits: 128, Requests: 3, Bytes: 48, ByCPU: 3}},
		Antagonists: []antagonist.Counts{{Name: "secure side", Policy: "hold", EE: 0, Requests: 9, Corrupted: 1, Hung: 2, Blocked: true}},
		Integrity: []integrity.Book{
			{EE: 0, Requests: 9, Corrupted: 1, Algs: []integrity.AlgCount{{Alg: "sha256", Requests: 8}, {Alg: "ctr-aes", Requests: 1, Corrupted: 1}}},
			{EE: 2, Requests: 3, Lost: 1, Algs: []integrity.AlgCount{{Alg: "cbc-aes", Requests: 3, Lost: 1}}},
		},
		Oracle: &Oracle{Checked: 12, Wrong: 1, NotJudged: 4},
	}
	var b strings.Builder
	if err := r.WriteEngineTable(&b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			got = append(got, line)
		}
	}
	want := []string{
		"suite EE algorithm direction key requests bytes by commands locked errors",
		"- 2 cbc-aes encrypt 128 3 48 0 0 0",
		"Findings: none",
		"Other users of the engine:",
		"who policy requests corrupted hung",
		"secure side (EE0) hold 9 1 2 waits for a lock that is never released",
		"Results against what was asked for:",
		"EE algorithm requests corrupted lost",
		"EE0 all 9 1 0",
		"ctr-aes 1 1 0",
		"EE2 (Linux) all 3 0 1",
		"cbc-aes 3 0 1",
		"Oracle: 12 operations of the engine computed again, 1 of them wrong; 4 not judged",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
