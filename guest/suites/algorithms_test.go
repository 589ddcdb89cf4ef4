package suites

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEngineName(t *testing.T) {
	for driver, want := range map[string]string{
		"cbc-aes-qce":                     "cbc-aes",
		"cbc-3des-qce":                    "cbc-des3_ede",
		"sha256-qce":                      "sha256",
		"hmac-sha256-qce":                 "hmac-sha256",
		"authenc-hmac-sha256-cbc-aes-qce": "authenc-hmac-sha256-cbc-aes",
		"authenc-hmac-sha1-cbc-3des-qce":  "authenc-hmac-sha1-cbc-des3_ede",
		"ccm-aes-qce":                     "ccm-aes",
		"rfc4309-ccm-aes-qce":             "ccm-aes",
	} {
		a, ok := AlgorithmByDriver(driver)
		if !ok {
			t.Errorf("%s: not in the table", driver)
			continue
		}
		if got := a.Engine(); got != want {
			t.Errorf("%s: engine name %q, want %q", driver, got, want)
		}
	}
	if _, ok := AlgorithmByDriver("cbc-aes-neon"); ok {
		t.Error("a foreign driver was found")
	}
}

func TestParseVersion(t *testing.T) {
	for _, tt := range []struct {
		release string
		want    Version
		fails   bool
	}{
		{"6.12.117", Version{6, 12}, false},
		{"7.1.0-rc1+", Version{7, 1}, false},
		{"7.2-rc3", Version{7, 2}, false},
		{"6.12", Version{6, 12}, false},
		{"6", Version{}, true},
		{"linux", Version{}, true},
		{"", Version{}, true},
	} {
		got, err := ParseVersion(tt.release)
		if (err != nil) != tt.fails || got != tt.want {
			t.Errorf("%q: got %v, %v; want %v, error %v", tt.release, got, err, tt.want, tt.fails)
		}
	}
}

func TestRemovedIn(t *testing.T) {
	ecb, _ := AlgorithmByDriver("ecb-aes-qce")
	cbc, _ := AlgorithmByDriver("cbc-aes-qce")
	for _, tt := range []struct {
		alg  EngineAlgorithm
		v    Version
		want bool
	}{
		{ecb, Version{6, 12}, false}, {ecb, Version{7, 1}, false}, {ecb, Version{7, 2}, true}, {ecb, Version{8, 0}, true},
		{cbc, Version{6, 12}, false}, {cbc, Version{7, 3}, false},
	} {
		if got := tt.alg.RemovedIn(tt.v); got != tt.want {
			t.Errorf("%s in %v: removed %v, want %v", tt.alg.Driver, tt.v, got, tt.want)
		}
	}
}

func TestAlgorithmsToTest(t *testing.T) {
	drivers := func(algs []EngineAlgorithm) []string {
		var out []string
		for _, a := range algs {
			out = append(out, a.Driver)
		}
		return out
	}
	required := drivers(RequiredAlgorithms())
	want := []string{
		"cbc-aes-qce", "ctr-aes-qce", "xts-aes-qce", "sha256-qce", "hmac-sha256-qce",
		"authenc-hmac-sha256-cbc-aes-qce", "ccm-aes-qce", "rfc4309-ccm-aes-qce",
	}
	if diff := cmp.Diff(want, required); diff != "" {
		t.Errorf("required (-want +got):\n%s", diff)
	}
	got := drivers(AlgorithmsToTest([]Algorithm{{Driver: "sha1-qce"}, {Driver: "sha256-generic"}}))
	want = []string{
		"cbc-aes-qce", "ctr-aes-qce", "xts-aes-qce", "sha1-qce", "sha256-qce", "hmac-sha256-qce",
		"authenc-hmac-sha256-cbc-aes-qce", "ccm-aes-qce", "rfc4309-ccm-aes-qce",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("to test (-want +got):\n%s", diff)
	}
}
