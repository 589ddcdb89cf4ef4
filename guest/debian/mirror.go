package debian

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// release is the Debian release that everything is taken from: the first one
// whose backports have a QEMU with the vfio-user client.
const release = "trixie"

// codenames of the releases that a machine's apt configuration may name, with
// the aliases in use.
var codenames = []string{
	"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// mirrors says where to take Debian from.
type mirrors struct {
	Archive  string // the URI for the suites of the main archive
	Security string // the URI for the security suites; empty if unknown
	Keyring  string // a keyring of the mirror's own; empty for Debian's
}

var errNoMirror = errors.New("this machine's apt configuration names no Debian mirror: give one with --debian-mirror URL")

// pickMirrors finds the Debian archive among the machine's repositories. Other
// repositories borrow Debian's suite names, so several marks are weighed.
func pickMirrors(list []entry) (mirrors, error) {
	var m mirrors
	best := 0
	list = slices.Clone(list)
	for i := range list {
		list[i].URI = strings.TrimRight(list[i].URI, "/")
	}
	for _, e := range list {
		base, pocket := splitSuite(e.Suite)
		if !slices.Contains(codenames, base) || !slices.Contains(e.Components, "main") {
			continue
		}
		if pocket == "security" {
			if m.Security == "" {
				m.Security = e.URI
			}
			continue
		}
		if pocket != "" && pocket != "updates" && pocket != "backports" {
			continue
		}
		score := 1
		if strings.Contains(e.SignedBy, "debian-archive") {
			score += 4
		}
		// Only the archive itself has the pockets beside the release.
		if slices.ContainsFunc(list, func(o entry) bool {
			return o.URI == e.URI && (o.Suite == base+"-updates" || o.Suite == base+"-backports")
		}) {
			score += 4
		}
		if p := uriPath(e.URI); strings.HasSuffix(p, "/debian") {
			score += 2
		}
		if e.SignedBy == "" {
			score++
		}
		if score > best {
			best = score
			m.Archive, m.Keyring = e.URI, ownKeyring(e.SignedBy)
		}
	}
	// A lone suite name with a foreign key is a vendor's repository.
	if best < 3 {
		return mirrors{}, errNoMirror
	}
	return m, nil
}

// splitSuite splits "bookworm-security" and the old "buster/updates".
func splitSuite(suite string) (base, pocket string) {
	if b, ok := strings.CutSuffix(suite, "/updates"); ok {
		return b, "security"
	}
	base, pocket, _ = strings.Cut(suite, "-")
	return base, pocket
}

// ownKeyring returns the keyring file of a mirror that signs with a key of its
// own, as mirrors inside a company may.
func ownKeyring(signedBy string) string {
	if !strings.HasPrefix(signedBy, "/") || strings.Contains(signedBy, "debian-archive") {
		return ""
	}
	return signedBy
}

func uriPath(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	if u.Opaque != "" {
		return u.Opaque
	}
	return u.Path
}

// CheckMirror refuses what can be no mirror's address, such as a user's mistyped
// --debian-mirror.
func CheckMirror(uri string) error {
	u, err := url.Parse(uri)
	web := err == nil && (u.Scheme == "http" || u.Scheme == "https")
	if err != nil || u.Scheme == "" || web && u.Host == "" || strings.ContainsAny(uri, " \t\n[]") {
		return fmt.Errorf("--debian-mirror %q is no URL: give the address of a Debian mirror, the folder that has dists/ and pool/", uri)
	}
	return nil
}

// debianKeyrings are the files of the package debian-archive-keyring.
var debianKeyrings = []string{
	"/usr/share/keyrings/debian-archive-keyring.pgp",
	"/usr/share/keyrings/debian-archive-keyring.gpg",
}

func findKeyring(own string) (string, error) {
	for _, file := range append([]string{own}, debianKeyrings...) {
		if st, err := os.Stat(file); file != "" && err == nil && st.Mode().IsRegular() {
			return file, nil
		}
	}
	return "", errors.New("the signing keys of Debian are missing: sudo apt-get install debian-archive-keyring")
}
