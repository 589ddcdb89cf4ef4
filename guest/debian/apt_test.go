package debian

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseURIs(t *testing.T) {
	out := strings.Join([]string{
		"Reading package lists...",
		"'http://m.example/pool/main/q/qemu/qemu-system-arm_11.1.3%2bds-1_amd64.deb' qemu-system-arm_1%3a11.1.3+ds-1_amd64.deb 9000 SHA256:ab",
		"'http://m.example/pool/main/s/seabios_1_all.deb' seabios_1_all.deb 1",
	}, "\n")
	got, err := parseURIs(out)
	if err != nil {
		t.Fatal(err)
	}
	want := []pkg{
		{"qemu-system-arm", "1:11.1.3+ds-1", "amd64", "qemu-system-arm_1%3a11.1.3+ds-1_amd64.deb",
			"http://m.example/pool/main/q/qemu/qemu-system-arm_11.1.3%2bds-1_amd64.deb", 9000, "SHA256:ab"},
		{"seabios", "1", "all", "seabios_1_all.deb", "http://m.example/pool/main/s/seabios_1_all.deb", 1, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"'u' nounderscore.deb 1", "'u' ../a_b_c.deb 1", "'u' a_b_c.deb x", "'u' a_%zz_c.deb 1"} {
		if got, err := parseURIs(bad); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

// The files testdata/apt/*.txt are what apt-get prints, below a line with the
// error that is to come of it.
func TestExplain(t *testing.T) {
	files, _ := filepath.Glob("testdata/apt/*.txt")
	if len(files) < 6 {
		t.Fatalf("only %q", files)
	}
	a := &apt{dir: "/cache/apt/x", mirrors: mirrors{Archive: "http://mirror.example/debian"}, keyring: "/usr/share/keyrings/debian-archive-keyring.gpg"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, output, _ := strings.Cut(string(text), "\n")
		got := a.explain(output)
		if diff := cmp.Diff(want, got.Error()); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
		var e *explainedError
		if want := strings.Contains(file, "stale"); !errors.As(got, &e) || e.stale() != want {
			t.Errorf("%s: stale is %v", file, !want)
		}
	}
}

func TestConfigure(t *testing.T) {
	dir := t.TempDir()
	a := &apt{dir: dir, arch: "arm64", keyring: "/k.gpg", mirrors: mirrors{Archive: "http://m.example/debian", Security: "http://s.example/sec"}}
	if err := a.configure(); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(filepath.Join(dir, "sources.list"))
	want := `deb [arch=arm64 target=Packages signed-by=/k.gpg] http://m.example/debian trixie main
deb [arch=arm64 target=Packages signed-by=/k.gpg] http://m.example/debian trixie-backports main
deb [arch=arm64 target=Packages signed-by=/k.gpg] http://s.example/sec trixie-security main
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	conf, _ := os.ReadFile(filepath.Join(dir, "apt.conf"))
	for _, line := range []string{
		`APT::Get::AllowUnauthenticated "false";`,
		`Acquire::AllowInsecureRepositories "false";`,
		`APT::Architecture "arm64";`,
		`Dir::State::status "` + dir + `/status";`,
	} {
		if !strings.Contains(string(conf), line+"\n") {
			t.Errorf("apt.conf lacks %s", line)
		}
	}
}
