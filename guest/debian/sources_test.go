package debian

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadSources(t *testing.T) {
	const (
		keyring    = "/usr/share/keyrings/debian-archive-keyring.gpg"
		newKeyring = "/usr/share/keyrings/debian-archive-keyring.pgp" // Debian 13's
	)
	tests := []struct {
		etc  string
		want []entry
	}{
		{"testdata/etc-bookworm", []entry{
			{"http://mirror.example/debian", "bookworm", []string{"main", "contrib"}, keyring},
			{"http://mirror.example/debian", "bookworm-updates", []string{"main", "contrib"}, keyring},
			{"http://security.example/debian-security", "bookworm-security", []string{"main"}, keyring},
			{"https://vendor.example/debian/12/prod", "bookworm", []string{"main"},
				"-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nmDMEexample\n-----END PGP PUBLIC KEY BLOCK-----"},
		}},
		{"testdata/etc-oneline", []entry{
			{"http://mirror.example/debian/", "trixie", []string{"main", "contrib"}, keyring},
			{"http://mirror.example/debian", "trixie-updates", []string{"main"}, ""},
			{"http://mirror.example/security", "trixie-security", []string{"main"}, ""},
		}},
		{"testdata/etc-trixie", []entry{
			{"http://mirror.example/debian", "trixie", []string{"main"}, newKeyring},
			{"http://mirror.example/debian", "trixie-updates", []string{"main"}, newKeyring},
			{"http://mirror.example/debian-security", "trixie-security", []string{"main"}, newKeyring},
		}},
		{"testdata/none", nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, readSources(os.DirFS(test.etc))); diff != "" {
			t.Errorf("%s: %s", test.etc, diff)
		}
	}
}

func TestPickMirrors(t *testing.T) {
	main := []string{"main"}
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	tests := []struct {
		name string
		list []entry
		want mirrors
		err  error
	}{
		{"deb822", readSources(os.DirFS("testdata/etc-bookworm")),
			mirrors{Archive: "http://mirror.example/debian", Security: "http://security.example/debian-security"}, nil},
		{"one-line", readSources(os.DirFS("testdata/etc-oneline")),
			mirrors{Archive: "http://mirror.example/debian", Security: "http://mirror.example/security"}, nil},
		{"Debian 13", readSources(os.DirFS("testdata/etc-trixie")),
			mirrors{Archive: "http://mirror.example/debian", Security: "http://mirror.example/debian-security"}, nil},
		{"a vendor first", []entry{
			{"https://vendor.example/debian/12/prod", "bookworm", main, "/etc/apt/keyrings/vendor.gpg"},
			{"http://mirror.example/debian", "bookworm", main, ""},
		}, mirrors{Archive: "http://mirror.example/debian"}, nil},
		{"signed by the company", []entry{
			{"http://inside.example/debian", "bookworm", main, "/etc/apt/keyrings/inside.gpg"},
			{"http://inside.example/debian", "bookworm-updates", main, "/etc/apt/keyrings/inside.gpg"},
		}, mirrors{Archive: "http://inside.example/debian", Keyring: "/etc/apt/keyrings/inside.gpg"}, nil},
		{"old security suite", []entry{
			{"mirror+file:/etc/apt/mirrors/debian.list", "bullseye", main, keyring},
			{"mirror+file:/etc/apt/mirrors/debian-security.list", "bullseye/updates", main, keyring},
		}, mirrors{Archive: "mirror+file:/etc/apt/mirrors/debian.list", Security: "mirror+file:/etc/apt/mirrors/debian-security.list"}, nil},
		{"Ubuntu", []entry{
			{"http://archive.example/ubuntu", "noble", []string{"main", "universe"}, "/usr/share/keyrings/ubuntu-archive-keyring.gpg"},
			{"http://archive.example/ubuntu", "noble-updates", []string{"main"}, "/usr/share/keyrings/ubuntu-archive-keyring.gpg"},
		}, mirrors{}, errNoMirror},
		{"only a vendor", []entry{
			{"https://vendor.example/apt", "stable", main, "/etc/apt/keyrings/vendor.gpg"},
		}, mirrors{}, errNoMirror},
		{"other components", []entry{{"https://x.example/linux/debian", "bookworm", []string{"stable"}, keyring}}, mirrors{}, errNoMirror},
		{"nothing", nil, mirrors{}, errNoMirror},
	}
	for _, test := range tests {
		got, err := pickMirrors(test.list)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestCheckMirror(t *testing.T) {
	for uri, ok := range map[string]bool{
		"http://mirror.example/debian":  true,
		"file:/srv/debian":              true,
		"mirror.example/debian":         false,
		"http://a.example/debian main":  false,
		"http://a.example/\ndeb http:x": false,
		"":                              false,
	} {
		if err := CheckMirror(uri); (err == nil) != ok {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func FuzzSources(f *testing.F) {
	for _, name := range []string{"testdata/etc-bookworm/sources.list.d/debian.sources", "testdata/etc-oneline/sources.list", "testdata/etc-oneline/sources.list.d/broken.list"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, list := range [][]entry{parseOneLine(text), parseDeb822(text)} {
			for _, e := range list {
				if e.URI == "" || e.Suite == "" {
					t.Errorf("half an entry: %+v", e)
				}
			}
			pickMirrors(list)
		}
	})
}
