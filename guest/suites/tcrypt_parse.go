package suites

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// speedTable is one table of tcrypt: an algorithm in one direction, for all key
// sizes and block sizes.
type speedTable struct {
	Name       string // as tcrypt was asked: a generic name or a driver name
	Driver     string // what the kernel took
	Direction  string // "encryption", "decryption", "" for hashes
	Concurrent bool   // several requests at a time
	Rows       []speedRow
	Errors     []string // what tcrypt said instead of a row
}

// speedRow is one line of a table. Cycles is set when tcrypt counted them, Ops
// when it ran by the clock.
type speedRow struct {
	KeyBits   int // 0 for hashes
	Block     int // bytes
	PerUpdate int // bytes of each update of a hash; Block for all at once
	Cycles    int64
	Ops       int64 // per second
}

// tcryptLog is what tcrypt said in one run.
type tcryptLog struct {
	Tables []speedTable
	Failed map[string]string // generic name → the self-test's complaint
	Errors []string          // what belongs to no table
}

const tcryptPrefix = "tcrypt: "

var (
	reTable = regexp.MustCompile(`^testing speed of (async |sync |multibuffer )?(\S+) \((\S+)\)(?: (encryption|decryption))?$`)
	// The two headings of a row; what follows is the result, if it is on the
	// same line.
	reCipherRow = regexp.MustCompile(`^test +\d+ \((\d+) bit key, (\d+) byte blocks\): *(.*)$`)
	reHashRow   = regexp.MustCompile(`^test *\d+ \( *(\d+) byte blocks, *(\d+) bytes per update, *\d+ updates\): *(.*)$`)
	// The results: by cycles and by the clock, of ciphers and of hashes.
	reCipherCycles = regexp.MustCompile(`^1 operation in (\d+) cycles \(\d+ bytes\)$`)
	reCipherClock  = regexp.MustCompile(`^(\d+) operations in (\d+) seconds \(\d+ bytes\)$`)
	reHashCycles   = regexp.MustCompile(`^(\d+) cycles/operation, *\d+ cycles/byte$`)
	reHashClock    = regexp.MustCompile(`^(\d+) opers/sec, *\d+ bytes/sec$`)
	// The test manager's verdict, and tcrypt's summary of it.
	reSelftest = regexp.MustCompile(`^alg: self-tests for (\S+) using (\S+) failed \(rc=(-?\d+)\)$`)
)

const tcryptSummary = "one or more tests failed!"

// parseTcrypt reads tcrypt's output from the kernel log. A result may stand on
// a line of its own, where other messages came between it and its heading.
func parseTcrypt(lines []LogLine) tcryptLog {
	log := tcryptLog{Failed: map[string]string{}}
	var table *speedTable
	var pending *speedRow
	drop := func() {
		if pending != nil {
			table.Errors = append(table.Errors, fmt.Sprintf("no result for %d byte blocks", pending.Block))
			pending = nil
		}
	}
	for _, l := range lines {
		text, ours := strings.CutPrefix(l.Text, tcryptPrefix)
		text = strings.TrimSpace(text)
		if m := reSelftest.FindStringSubmatch(text); m != nil {
			log.Failed[m[1]] = text
			continue
		}
		if pending != nil && pending.result(text) {
			table.Rows, pending = append(table.Rows, *pending), nil
			continue
		}
		if !ours {
			continue
		}
		if m := reTable.FindStringSubmatch(text); m != nil {
			drop()
			log.Tables = append(log.Tables, speedTable{Name: m[2], Driver: m[3], Direction: m[4], Concurrent: m[1] == "multibuffer "})
			table = &log.Tables[len(log.Tables)-1]
			continue
		}
		row, result := parseRow(text)
		if row != nil {
			drop()
		}
		switch {
		case row != nil && table == nil:
			log.Errors = append(log.Errors, "a row without a table: "+text)
		case row == nil && text == tcryptSummary:
		case row == nil && table == nil, strings.HasPrefix(text, "failed to load"), strings.Contains(text, ": Failed to load"):
			log.Errors = append(log.Errors, text)
		case row == nil:
			table.Errors, pending = append(table.Errors, text), nil
		case row.result(result):
			table.Rows = append(table.Rows, *row)
		case result == "":
			pending = row
		default: // an error that the kernel put on the same line
			table.Errors = append(table.Errors, result)
		}
	}
	drop()
	return log
}

// parseRow reads the heading of a row and returns what follows it on the line.
// It returns no row if the line is none.
func parseRow(text string) (*speedRow, string) {
	if m := reCipherRow.FindStringSubmatch(text); m != nil {
		block := number(m[2])
		return &speedRow{KeyBits: int(number(m[1])), Block: int(block), PerUpdate: int(block)}, m[3]
	}
	if m := reHashRow.FindStringSubmatch(text); m != nil {
		return &speedRow{Block: int(number(m[1])), PerUpdate: int(number(m[2]))}, m[3]
	}
	return nil, ""
}

// result fills in the row's figure and says whether the text was one.
func (r *speedRow) result(text string) bool {
	if m := firstMatch(text, reCipherCycles, reHashCycles); m != nil {
		r.Cycles = number(m[1])
		return true
	}
	if m := reCipherClock.FindStringSubmatch(text); m != nil {
		if seconds := number(m[2]); seconds > 0 {
			r.Ops = number(m[1]) / seconds
			return true
		}
		return false
	}
	if m := reHashClock.FindStringSubmatch(text); m != nil {
		r.Ops = number(m[1])
		return true
	}
	return false
}

func firstMatch(text string, res ...*regexp.Regexp) []string {
	for _, re := range res {
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
	}
	return nil
}

// number reads digits; what does not fit reads as 0, which no figure of tcrypt
// can be mistaken for.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// reTimer is the line in which the kernel tells the frequency of the counter
// that tcrypt calls cycles on arm64.
var reTimer = regexp.MustCompile(`arch_timer: .* running at (\d+)\.(\d\d)MHz`)

// counterHz finds that frequency in the kernel log; 0 if it is not there.
func counterHz(lines []LogLine) float64 {
	for _, l := range lines {
		if m := reTimer.FindStringSubmatch(l.Text); m != nil {
			return float64(number(m[1])*100+number(m[2])) * 1e4
		}
	}
	return 0
}
