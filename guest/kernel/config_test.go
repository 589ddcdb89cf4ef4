package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `
# comment
CONFIG_A=y            # [required] the machine
CONFIG_B=m            # [wanted]
CONFIG_NEW_TESTS=y    # [wanted: self-tests] from 6.17
CONFIG_OLD_TESTS=y    # [wanted: self-tests]
CONFIG_C=n
CONFIG_NAME="-x"      # a string
CONFIG_BROKEN=y       # [from: 7.3] why
`

func TestParseConfig(t *testing.T) {
	want := []symbol{
		{Name: "CONFIG_A", Value: "y", Need: required, Why: "the machine"},
		{Name: "CONFIG_B", Value: "m", Need: wanted},
		{Name: "CONFIG_NEW_TESTS", Value: "y", Need: wanted, Group: "self-tests", Why: "from 6.17"},
		{Name: "CONFIG_OLD_TESTS", Value: "y", Need: wanted, Group: "self-tests"},
		{Name: "CONFIG_C", Value: "n"},
		{Name: "CONFIG_NAME", Value: `"-x"`, Why: "a string"},
		{Name: "CONFIG_BROKEN", Value: "y", From: "7.3", Why: "why"},
	}
	if diff := cmp.Diff(want, parseConfig(sample)); diff != "" {
		t.Error(diff)
	}
}

func TestFragment(t *testing.T) {
	for version, broken := range map[string]bool{"6.12": false, "6.12.117": false, "7.2": false, "7.3": true, "7.10.1": true, "8.0-rc1": true} {
		got := fragment(sample, version)
		if strings.Contains(got, "CONFIG_BROKEN=y\n") != broken {
			t.Errorf("%s: %s", version, got)
		}
		if strings.Contains(got, "#") || !strings.Contains(got, "CONFIG_NAME=\"-x\"\n") {
			t.Errorf("not what Kconfig reads: %s", got)
		}
	}
}

func TestMissingSymbols(t *testing.T) {
	list := parseConfig(sample)
	tests := []struct {
		config string
		need   need
		want   []string
	}{
		{"CONFIG_A=y", required, nil},
		{"CONFIG_A=m", required, nil},
		{"# CONFIG_A is not set", required, []string{"CONFIG_A"}},
		{"CONFIG_A=n", required, []string{"CONFIG_A"}},
		{"CONFIG_B=y\nCONFIG_OLD_TESTS=y", wanted, nil},
		{"CONFIG_NEW_TESTS=y", wanted, []string{"CONFIG_B"}},
		{"CONFIG_B=m", wanted, []string{"CONFIG_NEW_TESTS or CONFIG_OLD_TESTS (self-tests)"}},
	}
	for _, test := range tests {
		got := readTestConfig(t, test.config).missing(list, test.need)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q: %s", test.config, diff)
		}
	}
}

func readTestConfig(t *testing.T, text string) kconfig {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".config")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckUser(t *testing.T) {
	whole := "CONFIG_ARM64=y\n" + fragment(guestConfig, "7.3")
	if notes, err := readTestConfig(t, whole).checkUser("/tree"); err != nil || len(notes) > 0 {
		t.Errorf("our own configuration: %q, %v", notes, err)
	}
	if err := readTestConfig(t, whole).checkOwn("7.3", false); err != nil {
		t.Error(err)
	}
	poor := readTestConfig(t, strings.Replace(whole, "CONFIG_DM_CRYPT=y", "", 1))
	if err := poor.checkOwn("7.3", false); err == nil || !strings.Contains(err.Error(), "7.3: it has no CONFIG_DM_CRYPT") {
		t.Errorf("our kernel without dm-crypt: %v", err)
	}
	if err := poor.checkOwn("7.3", true); err != nil {
		t.Errorf("a user's kernel without dm-crypt: %v", err)
	}
	tests := []struct{ name, config, note, err string }{
		{"x86", "CONFIG_X86_64=y", "", "not configured for arm64"},
		{"no driver", strings.Replace(whole, "CONFIG_CRYPTO_DEV_QCE=m", "", 1), "", "lacks CONFIG_CRYPTO_DEV_QCE:"},
		{"no tcrypt", strings.NewReplacer("CONFIG_CRYPTO_TEST=m", "", "CONFIG_CRYPTO_BENCHMARK=m", "").Replace(whole), "(tcrypt) is not set", ""},
		{"CE", whole + "CONFIG_CRYPTO_AES_ARM64_CE_BLK=m\n", "CONFIG_CRYPTO_AES_ARM64_CE_BLK is set", ""},
	}
	for _, test := range tests {
		notes, err := readTestConfig(t, test.config).checkUser("/tree")
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), "/tree") {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil || len(notes) != 1 || !strings.Contains(notes[0], test.note) {
			t.Errorf("%s: %q, %v", test.name, notes, err)
		}
	}
}

// What the issue asks of the configuration stands in it.
func TestGuestConfig(t *testing.T) {
	set := map[string]string{}
	for _, s := range parseConfig(guestConfig) {
		if _, twice := set[s.Name]; twice {
			t.Errorf("%s is there twice", s.Name)
		}
		set[s.Name] = s.Value
	}
	for _, m := range []string{"QCOM_BAM_DMA", "CRYPTO_DEV_QCE", "CRYPTO_DEV_VIRTIO"} {
		if set["CONFIG_"+m] != "m" {
			t.Errorf("%s is %q, not a module", m, set["CONFIG_"+m])
		}
	}
	for name := range set {
		if strings.Contains(name, "ARM64_CE") || strings.Contains(name, "NEON") {
			t.Errorf("%s would take the engine's work", name)
		}
	}
	if set["CONFIG_MODVERSIONS"] != "n" {
		t.Error("with MODVERSIONS the second set of modules may not load")
	}
}
