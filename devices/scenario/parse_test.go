package scenario

import (
	"strings"
	"testing"
)

// A script that is wrong is refused, with the place and what would be right.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "no scenario"},
		{"scenario a b: c", `t:1: want "scenario NAME: SENTENCE"`},
		{"scenario a\nopen rx", "want \"scenario NAME: SENTENCE\""},
		{"scenario a: x\nscenario a: y", "t:2: a second scenario a"},
		{"scenario a: x\nfly", `t:2: no statement "fly"; there are: allows, as,`},
		{"scenario a: x\nring", `t:2: want "ring rx|tx [to=OFFSET]"`},
		{"scenario a: x\nsoc z80", `no SoC "z80"`},
		{"scenario a: x\nreading bam-lock", "NAME=VALUE"},
		{"scenario a: x\ntiming yesterday", "yesterday"},
		{"scenario a: x\nring up", `t:2: ring up: no pipe "up"`},
		{"scenario a: x\nas modem", "there are: linux, secure"},
		{"scenario a: x\nwrite P_NONE 1", `no register "P_NONE"`},
		{"scenario a: x\nwrite P_CTRL[zz] 1", `"zz" is no number`},
		{"scenario a: x\nsetup aes enc 16", `no algorithm "aes"; there are: cbc-aes`},
		{"scenario a: x\nsetup sha256 enc 16", "a hash has the direction hash"},
		{"scenario a: x\nsetup cbc-aes enc 0", "length 0"},
		{"scenario a: x\ndata 16 FOO", `what is "FOO"?`},
		{"scenario a: x\ndata 16 at=NOWHERE", `"NOWHERE" is no number`},
		{"scenario a: x\npoke END 00", "no memory at"},
		{"scenario a: x\npoke IN xy", "invalid byte"},
		{"scenario a: x\nfinds BAM-LOCK-999", "no rule BAM-LOCK-999"},
		{"scenario a: x\nrepeat 2 finds", `want "finds RULE..."`},
		{"scenario a: x\nrepeat 2 soc sdm845", `no statement "soc"`},
		{"scenario a: x\nexpect done rx", "want \"expect done"},
		{"scenario a: x\ncmd VERSION", "want REG=VALUE"},
	} {
		list, err := Parse("t", tt.text)
		if err == nil {
			_, err = list[0].Run(nil)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}

// What is not as expected is said, with the line.
func TestExpectations(t *testing.T) {
	const request = "scenario a: x\nopen both\nsetup cbc-aes enc 64\ndata 64 EOT\nroom 64\nroom 128 EOT\nring tx\nring rx\n" // 8 lines
	for _, tt := range []struct{ text, want string }{
		{"serve\nexpect output wrong", "t:10: the output of linux is right"},
		{"serve\nexpect lock linux", "t:10: the lock is free, want linux"},
		{"serve\nexpect line 1", "t:10: the line is 0, want 1"},
		{"serve\nexpect done tx 7", "t:10: tx has finished 2 descriptors, want 7"},
		{"serve\nexpect STATUS 0/2", "t:10: STATUS is 0x2, want 0x0"},
		{"serve\nfinds BAM-LOCK-003", "t:10: a: does not find BAM-LOCK-003; found: "},
		{"finds nothing", "t:1: a: finds BAM-IRQ-002, which it should not: "},
		{"near BAM-IRQ-002", "t:9: a: finds BAM-IRQ-002, to which it only comes close"},
		{"allows BAM-IRQ-002", ""},
		{"serve\nexpect output right\nexpect lock free\nexpect line 0\nexpect done rx 18\nexpect STATUS 2/2\nfinds nothing\nnear BAM-IRQ-002", ""},
	} {
		list, err := Parse("t", request+tt.text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := list[0].Run(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(r.Failures, "\n")
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: failures %q, want %q", tt.text, got, tt.want)
		}
	}
}

// No script makes the model panic or hang.
func FuzzScript(f *testing.F) {
	f.Add("open both\nlock\nsetup cbc-aes enc 64\ndata 64 EOT\nring rx\nunlock INT\nring rx\nclose rx")
	f.Add("as secure\nopen both fifo=16\ncmd VERSION=0 LOCK size=17\nring rx to=0x18\nwrite P_CTRL[rx] 0\nreset chip")
	f.Add("in-flight\ntiming silicon\nopen rx base=END-8\ndata 65535 NWD LOCK\nring rx\npoke RXFIFO ffff\nserve")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "repeat") || strings.Contains(text, "poll") {
			t.Skip("may take long by design")
		}
		list, err := Parse("t", "scenario a: x\n"+text)
		if err != nil {
			return
		}
		for _, s := range list {
			if _, err := s.Run(nil); err != nil {
				return
			}
		}
	})
}
