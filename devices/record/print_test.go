package record

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/qcemu/qcemu/devices/model"
)

func printed(t *testing.T, file []byte, span Span) string {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Print(context.Background(), &out, r, span); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPrint(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845", Seed: 9}, 1)
	text := printed(t, run.file, Span{})
	for _, want := range []string{"SoC sdm845, seed 9", "# a test\n", "EE0 write P_CTRL[6] = 0x22 P_EN|P_SYS_MODE\n", "# suite \"first\"\n",
		"pipe 6 reading 8 bytes at 0x", "write GOPROC = ", "EE0 read STATUS = ", "write ENCR_KEY0 = (not shown)\n", "# end of the run\nend of the recording\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in what is printed", want)
		}
	}
	// No key, in any byte order.
	for _, word := range []string{"a7a7", strconv.Itoa(0xa7a7a7a7), fmt.Sprint([]byte{keyByte, keyByte})} {
		if strings.Contains(strings.ToLower(text), word) {
			t.Errorf("%q is in what is printed", word)
		}
	}
}

func TestPrintSpan(t *testing.T) {
	run := runLinux(t, model.Config{SoC: "sdm845"}, 1)
	numbers := func(text string) (list []string) {
		for _, m := range regexp.MustCompile(`(?m)^ *(\d+)  `).FindAllStringSubmatch(text, -1) {
			list = append(list, m[1])
		}
		return list
	}
	if got := numbers(printed(t, run.file, Span{From: 5, To: 7})); strings.Join(got, " ") != "5 6 7" {
		t.Errorf("from 5 to 7: %v", got)
	}
	all := numbers(printed(t, run.file, Span{}))
	if got := numbers(printed(t, run.file, Span{From: 6})); len(got) != len(all)-5 || got[0] != "6" {
		t.Errorf("from 6: %d of %d entries", len(got), len(all))
	}
	if got := printed(t, run.file[:len(run.file)-20], Span{}); !strings.Contains(got, "cut off here") {
		t.Error("it does not say that the recording is cut off")
	}
}
