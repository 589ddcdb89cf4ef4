package rulebook

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// functions reads testdata/functions.txt: where the functions are that rules
// name as the likely place of a mistake.
func functions(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open("testdata/functions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list := map[string][]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		if words := strings.Fields(line); len(words) > 0 {
			list[words[0]] = words[1:]
		}
	}
	return list
}

// TestFunctions: what a rule names as the likely function exists, and is said to
// be in a series where mainline does not have it.
func TestFunctions(t *testing.T) {
	known, used := functions(t), map[string]bool{}
	name := regexp.MustCompile(`[a-z0-9]+(_[a-z0-9]+)*_([a-z0-9]+|\*_?[a-z_]*)`)
	for _, r := range Rules() {
		for _, f := range name.FindAllString(r.Driver, -1) {
			used[f] = true
			where, ok := known[f]
			if !ok {
				t.Errorf("%s names %s, which is not in testdata/functions.txt", r.ID, f)
				continue
			}
			for _, w := range where {
				if w != "mainline" && !strings.Contains(r.Driver, "("+w+")") && !strings.Contains(r.Driver, w+" series)") && !strings.Contains(r.Driver, "("+w+" ") {
					t.Errorf("%s names %s, which is %s, and does not say so: %q", r.ID, f, w, r.Driver)
				}
			}
		}
	}
	for f := range known {
		if !used[f] {
			t.Errorf("testdata/functions.txt has %s, which no rule names", f)
		}
	}
}

// TestSeriesFunctions looks into the patches for the functions that are said to
// be theirs.
func TestSeriesFunctions(t *testing.T) {
	patches, err := filepath.Glob("../../guest/kernel/series/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	var all strings.Builder
	for _, p := range patches {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for f, where := range functions(t) {
		if where[0] != "our" {
			continue
		}
		if !regexp.MustCompile(`(?m)^\+[a-z].*\b` + f + `\(`).MatchString(all.String()) {
			t.Errorf("no patch adds %s", f)
		}
	}
}
