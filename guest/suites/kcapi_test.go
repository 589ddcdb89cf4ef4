package suites

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/guest/afalg"
	"github.com/qcemu/qcemu/report"
)

func TestJudgeOpen(t *testing.T) {
	enoent := &afalg.Error{Op: "bind", Name: "x", Err: unix.ENOENT}
	for _, tt := range []struct {
		name    string
		err     error
		present bool
		v       Version
		want    report.Status
		text    string
	}{
		{"open", nil, true, Version{6, 12}, report.Pass, ""},
		{"hidden", enoent, true, Version{7, 2}, report.Skip, "masks"},
		{"hidden, but too early", enoent, true, Version{7, 1}, report.Fail, "no such file"},
		{"missing", enoent, false, Version{6, 12}, report.Fail, "not registered"},
		{"missing on a kernel that hides", enoent, false, Version{7, 3}, report.Fail, "not registered"},
		{"another error", errors.New("boom"), true, Version{7, 2}, report.Fail, "boom"},
	} {
		var c report.Case
		judgeOpen(&c, tt.err, tt.present, tt.v)
		if c.Status != tt.want || !strings.Contains(c.Detail+c.Reason, tt.text) {
			t.Errorf("%s: %s, %q", tt.name, c.Status, c.Detail+c.Reason)
		}
	}
}

// Without the kernel's help nothing passes: the suite fails at the door of each
// algorithm and goes no further.
func TestKcapiWithoutAlgorithms(t *testing.T) {
	k := &scriptedKernel{release: "6.12.1"}
	got, _ := outcomes(t, kcapi{target: target{{Driver: "no-such-driver", Name: "cbc(aes)", Kind: Skcipher, KeySizes: []int{16}}}}, &Env{Kernel: k})
	if diff := cmp.Diff(map[string]report.Status{"open/no-such-driver": report.Fail}, got); diff != "" {
		t.Errorf("cases (-want +got):\n%s", diff)
	}
}

func TestTally(t *testing.T) {
	var good, empty, bad tally
	good.same("x", []byte{1, 2}, nil, []byte{1, 2})
	bad.same("x", []byte{1, 2, 3}, nil, []byte{1, 0, 0})
	bad.same("y", nil, unix.EIO, []byte{1})
	bad.same("z", []byte{1}, nil, nil)
	for i := range 3 {
		bad.failf("w%d", i)
	}
	for _, tt := range []struct {
		t      tally
		status report.Status
		detail string
	}{
		{good, "", ""},
		{empty, report.Fail, "the case did not try anything"},
		{bad, report.Fail, "x: 2 of 3 bytes differ, the first at 1: 0x02 instead of 0x00\n" +
			"y: input/output error\nz: 1 bytes instead of 0\nw0\nand 2 more"},
	} {
		var c report.Case
		tt.t.report(&c)
		if c.Status != tt.status || c.Detail != tt.detail {
			t.Errorf("got %q %q, want %q %q", c.Status, c.Detail, tt.status, tt.detail)
		}
	}
	if good.requests != 1 || good.bytes != 2 {
		t.Errorf("counted %d requests, %d bytes", good.requests, good.bytes)
	}
}

func TestSizesFor(t *testing.T) {
	for _, a := range EngineAlgorithms() {
		sizes := sizesFor(a)
		want := 1 << 20
		if isXTS(a) {
			want -= 512
		}
		if len(sizes) == 0 || sizes[len(sizes)-1] != want {
			t.Errorf("%s: %v does not reach %d", a.Driver, sizes, want)
		}
		for _, n := range sizes {
			if a.Kind != Hash && n%a.Block != 0 {
				t.Errorf("%s: %d bytes are not whole blocks", a.Driver, n)
			}
		}
	}
	ctr, _ := AlgorithmByDriver("ctr-aes-qce")
	if sizesFor(ctr)[0] != 1 {
		t.Error("a counter mode is not tried with one byte")
	}
}

// The material suits the driver: it refuses XTS keys of equal halves and 3DES
// keys of equal parts, and drops odd bytes of an authentication key.
func TestMaterial(t *testing.T) {
	for _, a := range EngineAlgorithms() {
		for _, size := range append(append([]int{}, a.KeySizes...), a.SoftKeySizes...) {
			key := testKey(size)
			parts := map[string]bool{}
			switch {
			case isXTS(a):
				parts[string(key[:size/2])], parts[string(key[size/2:])] = true, true
				if len(parts) != 2 {
					t.Errorf("%s: equal halves", a.Driver)
				}
			case strings.Contains(a.Name, "des3_ede"):
				for i := 0; i < size; i += 8 {
					parts[string(key[i:i+8])] = true
				}
				if len(parts) != 3 {
					t.Errorf("%s: equal parts", a.Driver)
				}
			}
			if k := testAEADKeys(a, size); len(k.Auth)%4 != 0 || len(k.Salt) != a.Salt {
				t.Errorf("%s: authentication key of %d bytes, salt of %d", a.Driver, len(k.Auth), len(k.Salt))
			}
		}
		if iv := testIV(a); len(iv) != a.IV {
			t.Errorf("%s: IV of %d bytes, want %d", a.Driver, len(iv), a.IV)
		}
	}
}

func TestExpectIf(t *testing.T) {
	for _, tt := range []struct {
		status   report.Status
		expected bool
		want     report.Status
	}{
		{report.Fail, true, report.XFail}, {report.Pass, true, report.XPass}, {report.Skip, true, report.Skip},
		{report.Fail, false, report.Fail}, {report.Pass, false, report.Pass},
	} {
		c := report.Case{Status: tt.status}
		expectIf(&c, tt.expected, "why")
		if c.Status != tt.want || (c.Reason != "") != (tt.want == report.XFail || tt.want == report.XPass) {
			t.Errorf("%+v: got %s, %q", tt, c.Status, c.Reason)
		}
	}
}

func TestPatternDiffers(t *testing.T) {
	seen := map[string]uint32{}
	for seed := range uint32(2000) {
		s := fmt.Sprintf("%x", pattern(seed, 16))
		if other, ok := seen[s]; ok {
			t.Fatalf("seeds %d and %d give the same", other, seed)
		}
		seen[s] = seed
	}
}
