package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/report"
)

func comparison() *Comparison {
	return &Comparison{Driver: "series", Kernel: "6.12", QEMU: "11.1", Missed: 1, Ways: []report.Way{
		{Name: "vhost-user", Users: 1, Requests: 10, PerSecond: 900, Engine: 10, Attested: true},
		{Name: "vhost-user", Users: 8, Requests: 10, PerSecond: 1500, Engine: 10, Attested: true},
		{Name: report.WayBuiltin, Users: 1, Requests: 10, PerSecond: 1000, Attested: true},
		{Name: report.WayBuiltin, Users: 8, Requests: 10, PerSecond: 1500, Attested: true},
		{Name: "qce", Users: 1, Requests: 10, PerSecond: 100, Engine: 10, Attested: true},
	}}
}

func TestComparison(t *testing.T) {
	c := comparison()
	var text bytes.Buffer
	if err := c.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Target, 1 at a time: 0.90 of the built-in back-end's requests a second, 1.00 wanted: missed.\n",
		"Target, 8 at a time: 1.00 of the built-in back-end's requests a second, 1.00 wanted: met.\n",
		"1 targets missed.\n", "guest: driver series, kernel 6.12, QEMU 11.1\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, text.String())
		}
	}
	var data bytes.Buffer
	if err := c.WriteJSON(&data); err != nil {
		t.Fatal(err)
	}
	var back Comparison
	if err := json.Unmarshal(data.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, &back); diff != "" {
		t.Error(diff)
	}
}

// A comparison whose work was done by somebody else is an error.
func TestWhyFailed(t *testing.T) {
	good := &report.Run{Suites: []report.Suite{{Name: "x", Ended: true, Cases: []report.Case{{Name: "a", Status: report.Pass}}}}}
	if err := whyFailed(good); err != nil {
		t.Error(err)
	}
	bad := &report.Run{Problems: []string{"no room"}, Suites: []report.Suite{{Name: "x", Ended: true, Cases: []report.Case{
		{Name: "speed/vhost-user/1", Status: report.Fail, Detail: "the engine has done 0 requests"}}}}}
	err := whyFailed(bad)
	if err == nil || !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), "speed/vhost-user/1: the engine has done 0 requests") {
		t.Errorf("%v", err)
	}
}
