package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/devices/qce"
	"github.com/qcemu/qcemu/devices/reg"
)

// TestUpToDate: the document in the repository is what the tables give.
func TestUpToDate(t *testing.T) {
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../registers.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), want.String()); diff != "" {
		t.Errorf("docs/registers.md is not up to date: run \"go generate ./docs/gen\" (-have +want):\n%s", diff)
	}
}

// TestComplete: each chip, register and open question is in the document, and
// every table has as many cells in each row as in its heading.
func TestComplete(t *testing.T) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	want := cryptoblock.Profiles()
	for _, rows := range [][]string{names(), readings()} {
		want = append(want, rows...)
	}
	for _, name := range want {
		if !strings.Contains(text, name) {
			t.Errorf("%s is missing", name)
		}
	}
	cells := 0
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells != 0 && n != cells {
			t.Errorf("line %d has %d cells, its table %d: %s", i+1, n-1, cells-1, line)
		}
		cells = n
	}
}

func names() (list []string) {
	for _, s := range [][]string{rows(bam.Section().Rows), rows(qce.Section().Rows)} {
		list = append(list, s...)
	}
	return list
}

func readings() (list []string) {
	for _, r := range append(bam.ReadingTable(), qce.Readings...) {
		list = append(list, "`"+r.Name+"`")
	}
	return list
}

func rows(list []reg.Row) (names []string) {
	for _, r := range list {
		names = append(names, "| "+r.Register.Name+" |")
	}
	return names
}
