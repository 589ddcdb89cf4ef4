package suites

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func logLines(text string) []LogLine {
	var lines []LogLine
	for i, s := range strings.Split(strings.Trim(text, "\n"), "\n") {
		lines = append(lines, LogLine{Seq: uint64(i), Text: s})
	}
	return lines
}

func TestParseTcrypt(t *testing.T) {
	for _, tt := range []struct {
		name, log string
		want      tcryptLog
	}{
		{"ciphers by cycles", `
tcrypt: testing speed of async cbc(aes) (cbc-aes-qce) encryption
tcrypt: test 0 (128 bit key, 16 byte blocks): 1 operation in 61234 cycles (16 bytes)
tcrypt: test 1 (128 bit key, 4096 byte blocks): 1 operation in 70000 cycles (4096 bytes)
tcrypt: testing speed of async cts(cbc(aes)) (cts(cbc-aes-qce)) decryption
tcrypt: test 0 (256 bit key, 16 byte blocks): 1 operation in 5 cycles (16 bytes)`,
			tcryptLog{Tables: []speedTable{
				{Name: "cbc(aes)", Driver: "cbc-aes-qce", Direction: "encryption",
					Rows: []speedRow{{KeyBits: 128, Block: 16, PerUpdate: 16, Cycles: 61234}, {KeyBits: 128, Block: 4096, PerUpdate: 4096, Cycles: 70000}}},
				{Name: "cts(cbc(aes))", Driver: "cts(cbc-aes-qce)", Direction: "decryption",
					Rows: []speedRow{{KeyBits: 256, Block: 16, PerUpdate: 16, Cycles: 5}}},
			}}},
		{"by the clock, several at a time", `
tcrypt: testing speed of multibuffer ctr-aes-qce (ctr-aes-qce) encryption
tcrypt: test 0 (128 bit key, 16 byte blocks): 3000 operations in 2 seconds (48000 bytes)`,
			tcryptLog{Tables: []speedTable{
				{Name: "ctr-aes-qce", Driver: "ctr-aes-qce", Direction: "encryption", Concurrent: true,
					Rows: []speedRow{{KeyBits: 128, Block: 16, PerUpdate: 16, Ops: 1500}}},
			}}},
		{"hashes", `
tcrypt: testing speed of async sha256-qce (sha256-qce)
tcrypt: test  0 (   16 byte blocks,   16 bytes per update,   1 updates):  62345 cycles/operation, 3896 cycles/byte
tcrypt: test  1 (   64 byte blocks,   16 bytes per update,   4 updates):    120 opers/sec,      7680 bytes/sec`,
			tcryptLog{Tables: []speedTable{
				{Name: "sha256-qce", Driver: "sha256-qce",
					Rows: []speedRow{{Block: 16, PerUpdate: 16, Cycles: 62345}, {Block: 64, PerUpdate: 16, Ops: 120}}},
			}}},
		{"an AEAD, and a result that other messages tore off", `
tcrypt: testing speed of rfc4309(ccm(aes)) (rfc4309-ccm-aes-qce) encryption
tcrypt: test 0 (152 bit key, 16 byte blocks): 
random: crng init done
1 operation in 777 cycles (16 bytes)
1 operation in 888 cycles (16 bytes)`,
			tcryptLog{Tables: []speedTable{
				{Name: "rfc4309(ccm(aes))", Driver: "rfc4309-ccm-aes-qce", Direction: "encryption",
					Rows: []speedRow{{KeyBits: 152, Block: 16, PerUpdate: 16, Cycles: 777}}},
			}}},
		{"errors", `
tcrypt: failed to load transform for lrw(aes): -2
tcrypt: testing speed of async xts(aes) (xts-aes-qce) encryption
tcrypt: test 0 (256 bit key, 16 byte blocks): 
tcrypt: setkey() failed flags=0
tcrypt: testing speed of async sha1 (sha1-qce)
tcrypt: test  0 (   16 byte blocks,   16 bytes per update,   1 updates): tcrypt: hashing failed ret=-22
tcrypt: failed to load transform for md4: -2
alg: self-tests for xts(aes) using xts(aes) failed (rc=-126)
------------[ cut here ]------------
alg: self-tests for xts(aes) using xts(aes) failed (rc=-126)
tcrypt: one or more tests failed!`,
			tcryptLog{
				Tables: []speedTable{
					{Name: "xts(aes)", Driver: "xts-aes-qce", Direction: "encryption", Errors: []string{"setkey() failed flags=0"}},
					{Name: "sha1", Driver: "sha1-qce", Errors: []string{"tcrypt: hashing failed ret=-22"}},
				},
				Failed: map[string]string{"xts(aes)": "alg: self-tests for xts(aes) using xts(aes) failed (rc=-126)"},
				Errors: []string{"failed to load transform for lrw(aes): -2", "failed to load transform for md4: -2"},
			}},
		{"a row from nowhere", "tcrypt: test 0 (128 bit key, 16 byte blocks): 1 operation in 5 cycles (16 bytes)",
			tcryptLog{Errors: []string{"a row without a table: test 0 (128 bit key, 16 byte blocks): 1 operation in 5 cycles (16 bytes)"}}},
		{"a result that never came", `
tcrypt: testing speed of async cbc(aes) (cbc-aes-qce) encryption
tcrypt: test 0 (128 bit key, 16 byte blocks): 
tcrypt: test 1 (128 bit key, 64 byte blocks): 
tcrypt: testing speed of async cbc(aes) (cbc-aes-qce) decryption`,
			tcryptLog{Tables: []speedTable{
				{Name: "cbc(aes)", Driver: "cbc-aes-qce", Direction: "encryption",
					Errors: []string{"no result for 16 byte blocks", "no result for 64 byte blocks"}},
				{Name: "cbc(aes)", Driver: "cbc-aes-qce", Direction: "decryption"},
			}}},
		{"zero seconds", `
tcrypt: testing speed of async cbc(aes) (cbc-aes-qce) encryption
tcrypt: test 0 (128 bit key, 16 byte blocks): 1 operations in 0 seconds (16 bytes)`,
			tcryptLog{Tables: []speedTable{{Name: "cbc(aes)", Driver: "cbc-aes-qce", Direction: "encryption",
				Errors: []string{"1 operations in 0 seconds (16 bytes)"}}}}},
	} {
		got := parseTcrypt(logLines(tt.log))
		if tt.want.Failed == nil {
			tt.want.Failed = map[string]string{}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestCounterHz(t *testing.T) {
	for text, want := range map[string]float64{
		"arch_timer: cp15 timer(s) running at 62.50MHz (virt).":  62.5e6,
		"arch_timer: cp15 timer(s) running at 1000.00MHz (phys)": 1e9,
		"clocksource: something else":                            0,
	} {
		if got := counterHz([]LogLine{{Text: "x"}, {Text: text}}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Whatever the log holds, parsing ends, and no line makes more than one row.
func FuzzParseTcrypt(f *testing.F) {
	f.Add("tcrypt: testing speed of async cbc(aes) (cbc-aes-qce) encryption\ntcrypt: test 0 (128 bit key, 16 byte blocks): \n1 operation in 7 cycles (16 bytes)")
	f.Add("tcrypt: testing speed of async sha1 (sha1-qce)\ntcrypt: test  0 (   16 byte blocks,   16 bytes per update,   1 updates):  1 cycles/operation, 2 cycles/byte")
	f.Add("tcrypt: testing speed of multibuffer x (y) decryption\ntcrypt: test 0 (1 bit key, 2 byte blocks): 4 operations in 0 seconds (1 bytes)")
	f.Fuzz(func(t *testing.T, text string) {
		rows := 0
		for _, table := range parseTcrypt(logLines(text)).Tables {
			rows += len(table.Rows)
		}
		if most := strings.Count(text, "\n") + 1; rows > most {
			t.Errorf("%d rows out of %d lines", rows, most)
		}
	})
}
