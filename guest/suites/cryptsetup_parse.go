package suites

import (
	"fmt"
	"regexp"
	"strconv"
)

// benchmarkRow is one line of the table of cryptsetup's benchmark.
type benchmarkRow struct {
	Cipher           string // "aes-cbc"
	KeyBits          int
	Encrypt, Decrypt float64 // bytes per second, 0 where it says N/A
}

var reBenchmark = regexp.MustCompile(`(?m)^ *([a-z0-9-]+) +(\d+)b +(N/A|[\d.]+ [KMG]iB/s) +(N/A|[\d.]+ [KMG]iB/s) *$`)

// parseBenchmark reads the table.
func parseBenchmark(text string) ([]benchmarkRow, error) {
	var rows []benchmarkRow
	for _, m := range reBenchmark.FindAllStringSubmatch(text, -1) {
		row := benchmarkRow{Cipher: m[1]}
		var err error
		if row.KeyBits, err = strconv.Atoi(m[2]); err != nil {
			return nil, fmt.Errorf("key size %q: %w", m[2], err)
		}
		if row.Encrypt, err = parseRate(m[3]); err != nil {
			return nil, err
		}
		if row.Decrypt, err = parseRate(m[4]); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

var rateUnits = map[byte]float64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}

// parseRate reads "12.3 MiB/s" as bytes per second, and "N/A" as none.
func parseRate(s string) (float64, error) {
	if s == "N/A" {
		return 0, nil
	}
	number, unit := s[:len(s)-len(" MiB/s")], s[len(s)-len("MiB/s")]
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("rate %q: %w", s, err)
	}
	return v * rateUnits[unit], nil
}
