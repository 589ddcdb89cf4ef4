package kernel

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
)

//go:embed guest.config
var guestConfig string

// need says how badly a symbol of guest.config is needed.
type need int

const (
	optional need = iota
	wanted
	required
)

// symbol is one line of guest.config.
type symbol struct {
	Name  string // with CONFIG_
	Value string
	Need  need
	// Group names what several symbols stand for, under different names in
	// different versions: one of them will do.
	Group string
	From  string // the first version to set it for
	Why   string
}

// parseConfig reads an annotated configuration: NAME=value # [need] why, where
// need may name a group, [wanted: full self-tests], or a version, [from: 7.3].
func parseConfig(text string) []symbol {
	var list []symbol
	for line := range strings.Lines(text) {
		setting, comment, _ := strings.Cut(line, "#")
		name, value, ok := strings.Cut(strings.TrimSpace(setting), "=")
		if !ok {
			continue
		}
		s := symbol{Name: name, Value: value, Why: strings.TrimSpace(comment)}
		if rest, ok := strings.CutPrefix(s.Why, "["); ok {
			mark, why, _ := strings.Cut(rest, "]")
			s.Why = strings.TrimSpace(why)
			kind, group, _ := strings.Cut(mark, ":")
			s.Group = strings.TrimSpace(group)
			switch kind {
			case "required":
				s.Need = required
			case "wanted":
				s.Need = wanted
			case "from":
				s.From, s.Group = s.Group, ""
			}
		}
		list = append(list, s)
	}
	return list
}

// fragment is guest.config as Kconfig reads it, for a version: without comments
// behind values.
func fragment(text, version string) string {
	var b strings.Builder
	for _, s := range parseConfig(text) {
		if s.From == "" || !older(version, s.From) {
			fmt.Fprintf(&b, "%s=%s\n", s.Name, s.Value)
		}
	}
	return b.String()
}

// older compares the first two numbers of kernel versions.
func older(a, b string) bool {
	var a1, a2, b1, b2 int
	fmt.Sscanf(a, "%d.%d", &a1, &a2)
	fmt.Sscanf(b, "%d.%d", &b1, &b2)
	return a1 < b1 || a1 == b1 && a2 < b2
}

// kconfig is a kernel's configuration: value by symbol, CONFIG_ included.
type kconfig map[string]string

// readConfig reads a .config.
func readConfig(path string) (kconfig, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := kconfig{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "CONFIG_") {
			c[name] = value
		}
	}
	return c, nil
}

// on reports whether the symbol is built in or a module.
func (c kconfig) on(name string) bool { return c[name] == "y" || c[name] == "m" }

// missing lists the symbols that a configuration lacks: a single symbol by its
// name, a group by its title and all its symbols. Of a group one is enough.
func (c kconfig) missing(list []symbol, n need) []string {
	var names, groups []string
	have := map[string]bool{}
	members := map[string][]string{}
	for _, s := range list {
		if s.Need != n {
			continue
		}
		switch {
		case s.Group == "" && !c.on(s.Name):
			names = append(names, s.Name)
		case s.Group != "":
			if !slices.Contains(groups, s.Group) {
				groups = append(groups, s.Group)
			}
			have[s.Group] = have[s.Group] || c.on(s.Name)
			members[s.Group] = append(members[s.Group], s.Name)
		}
	}
	for _, g := range groups {
		if !have[g] {
			names = append(names, fmt.Sprintf("%s (%s)", strings.Join(members[g], " or "), g))
		}
	}
	return names
}

// forbidden are symbols under which the engine would not be asked: the suites
// run, and attest nothing.
var forbidden = []struct{ name, why string }{
	{"CONFIG_CRYPTO_MANAGER_DISABLE_TESTS", "the kernel's self-tests are off"},
	{"CONFIG_CRYPTO_AES_ARM64_CE_BLK", "the CPU's AES instructions have a higher priority than the engine"},
	{"CONFIG_CRYPTO_AES_ARM64_NEON_BLK", "the CPU's vector AES has a higher priority than the engine"},
	{"CONFIG_CRYPTO_AES_ARM64_BS", "the CPU's bit-sliced AES has a higher priority than the engine"},
}

// checkOwn checks a configuration made from guest.config. lenient lets pass what
// is merely wanted.
func (c kconfig) checkOwn(version string, lenient bool) error {
	list := parseConfig(guestConfig)
	m := c.missing(list, required)
	if !lenient {
		m = append(m, c.missing(list, wanted)...)
	}
	if len(m) > 0 {
		return fmt.Errorf("the guest's configuration does not fit Linux %s: it has no %s", version, strings.Join(m, ", "))
	}
	return nil
}

// checkUser checks the configuration of a user's kernel: an error for what
// nothing works without, notes for what costs a suite.
func (c kconfig) checkUser(tree string) (notes []string, err error) {
	list := parseConfig(guestConfig)
	if c["CONFIG_ARM64"] != "y" {
		return nil, inputf("the kernel in %s is not configured for arm64: build it with make ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-", tree)
	}
	if m := c.missing(list, required); len(m) > 0 {
		return nil, inputf("the kernel in %s cannot run the suites, its configuration lacks %s: set it and build again", tree, strings.Join(m, ", "))
	}
	for _, m := range c.missing(list, wanted) {
		notes = append(notes, fmt.Sprintf("%s is not set: suites that need it are skipped or say less", m))
	}
	for _, f := range forbidden {
		if c.on(f.name) {
			notes = append(notes, fmt.Sprintf("%s is set: %s", f.name, f.why))
		}
	}
	return notes, nil
}
