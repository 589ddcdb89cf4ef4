package suites

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseAlgorithms(t *testing.T) {
	const text = `name         : cbc(aes)
driver       : cbc-aes-qce
module       : qcrypto
priority     : 275
refcnt       : 2
selftest     : passed
internal     : no
type         : skcipher
async        : yes
min keysize  : 16

name         : ctr(aes)
driver       : ctr-aes-qce
priority     : x
internal     : yes
type         : larval
flags        : 0x10

`
	want := []Algorithm{
		{Name: "cbc(aes)", Driver: "cbc-aes-qce", Module: "qcrypto", Priority: 275, RefCount: 2, Selftest: "passed", Type: "skcipher",
			Fields: map[string]string{"name": "cbc(aes)", "driver": "cbc-aes-qce", "module": "qcrypto", "priority": "275", "refcnt": "2",
				"selftest": "passed", "internal": "no", "type": "skcipher", "async": "yes", "min keysize": "16"}},
		{Name: "ctr(aes)", Driver: "ctr-aes-qce", Internal: true, Type: larval,
			Fields: map[string]string{"name": "ctr(aes)", "driver": "ctr-aes-qce", "priority": "x", "internal": "yes", "type": "larval", "flags": "0x10"}},
	}
	if diff := cmp.Diff(want, parseAlgorithms([]byte(text))); diff != "" {
		t.Error(diff)
	}
}

func TestParseRecord(t *testing.T) {
	got, ok := parseRecord("12,339,5140900,-,caller=T1;text; with a semicolon\n SUBSYSTEM=platform\n")
	want := LogLine{Seq: 339, Level: 4, Time: 5140900 * time.Microsecond, Text: "text; with a semicolon"}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Error(ok, diff)
	}
	for _, bad := range []string{"", "6,1,2,-", "6;text", "a,1,2,-;text", "6,b,2,-;text", "6,1,c,-;text"} {
		if got, ok := parseRecord(bad); ok {
			t.Errorf("%q was taken for a record: %+v", bad, got)
		}
	}
}

func TestComplaints(t *testing.T) {
	lines := logLines(strings.Join([]string{
		"qcrypto 1003a000.crypto: Crypto device found, version 5.5.0",
		"WARNING: CPU: 1 PID: 61 at crypto/testmgr.c:5928 alg_test+0x4e8/0x5f8",
		"DMA-API: debugging enabled by kernel config",
		"alg: extra crypto tests enabled.  This is intended for developer use only.",
		"WARNING: CPU: 0 PID: 9 at drivers/dma/qcom/bam_dma.c:700 bam_dma_terminate_all+0x10/0x80",
		"Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008",
		"INFO: task cryptomgr_test:70 blocked for more than 120 seconds.",
		"watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
	}, "\n"))
	var got []string
	for _, l := range Complaints(lines) {
		got = append(got, strings.Fields(l.Text)[0])
	}
	if diff := cmp.Diff([]string{"WARNING:", "Unable", "INFO:", "watchdog:"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestJoinTexts(t *testing.T) {
	if got := joinTexts(nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
	got := joinTexts(logLines(strings.Repeat("x\n", 100)))
	if n := strings.Count(got, "\n"); n != 20 || !strings.HasSuffix(got, "and 80 more") {
		t.Errorf("of 100 lines: %d, ending in %q", n+1, got[len(got)-20:])
	}
}
