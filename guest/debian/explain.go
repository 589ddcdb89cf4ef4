package debian

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// cause is a kind of failure of apt that has a way out.
type cause struct {
	sign *regexp.Regexp
	say  func(a *apt, line string) string
}

// causes, the most telling first: one failure makes apt print several lines.
var causes = []cause{
	{regexp.MustCompile(`(?i)no space left on device`), func(a *apt, _ string) string {
		return fmt.Sprintf("no disk space left in %s: set QCEMU_CACHE to a folder on a larger disk", a.dir)
	}},
	{regexp.MustCompile(`(?i)NO_PUBKEY|public key is not available|Missing key|No good signature`), func(a *apt, _ string) string {
		return fmt.Sprintf("the keys in %s are too old for %s: sudo apt-get update && sudo apt-get install debian-archive-keyring", filepath.Base(a.keyring), release)
	}},
	// A proxy's refusal, not the archive's: apt then finds no signature either.
	{regexp.MustCompile(`Failed to fetch \S+ +(40[0-35-9]|4[1-9][0-9]|5[0-9][0-9]) `), func(a *apt, line string) string {
		return fmt.Sprintf("the mirror %s or a proxy before it refuses, check apt's proxy or give another mirror with --debian-mirror URL: %s", a.mirrors.Archive, line)
	}},
	{regexp.MustCompile(`(?i)BADSIG|EXPKEYSIG|KEYEXPIRED|invalid signature|clearsigned file isn't valid|is not signed`), func(a *apt, line string) string {
		return fmt.Sprintf("the package lists of %s are not signed as they must be: %s", a.mirrors.Archive, line)
	}},
	{regexp.MustCompile(`(?i)Hash Sum mismatch|File has unexpected size`), func(a *apt, line string) string {
		return fmt.Sprintf("the mirror %s is being updated or is broken, try again in a while: %s", a.mirrors.Archive, line)
	}},
	{regexp.MustCompile(`(?i)does not have a Release file|404 +Not Found`), func(a *apt, line string) string {
		return fmt.Sprintf("the mirror %s lacks something, give another with --debian-mirror URL: %s", a.mirrors.Archive, line)
	}},
	{regexp.MustCompile(`(?i)Temporary failure resolving|Could not resolve|Could not connect|Unable to connect|Connection (failed|timed out|refused)|Network is unreachable|Cannot initiate the connection`), func(a *apt, line string) string {
		return fmt.Sprintf("the mirror %s cannot be reached, check the network and apt's proxy or give another mirror with --debian-mirror URL: %s", a.mirrors.Archive, line)
	}},
	{regexp.MustCompile(`(?i)not valid yet|is expired`), func(a *apt, line string) string {
		return fmt.Sprintf("the mirror %s is out of date, or this machine's clock is wrong: %s", a.mirrors.Archive, line)
	}},
	{regexp.MustCompile(`Unable to locate package|has no installation candidate|Can't find a source|Version '.*' for '.*' was not found`), func(a *apt, line string) string {
		return fmt.Sprintf("the mirror %s has no such package in %s or %s-backports: %s", a.mirrors.Archive, release, release, line)
	}},
}

// explainedError is a failure of apt in one line; Output is what apt printed.
type explainedError struct {
	Reason string
	Output string
}

func (e *explainedError) Error() string { return "Debian packages: " + e.Reason }

// stale reports whether newer package lists may mend it: packages are replaced
// on the mirror while our lists still name the old ones.
func (e *explainedError) stale() bool {
	return strings.Contains(e.Output, "404") || strings.Contains(e.Output, "was not found")
}

// explain makes one sentence of apt's output.
func (a *apt) explain(output string) error {
	for _, c := range causes {
		for line := range strings.Lines(output) {
			if c.sign.MatchString(line) {
				return &explainedError{c.say(a, aptLine(line)), output}
			}
		}
	}
	last := "apt-get failed"
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "E: ") {
			last = aptLine(line)
			break
		}
	}
	return &explainedError{last, output}
}

func aptLine(line string) string {
	line = strings.TrimSpace(line)
	for _, p := range []string{"E: ", "W: ", "Err:"} {
		line = strings.TrimPrefix(line, p)
	}
	return strings.TrimSpace(line)
}
