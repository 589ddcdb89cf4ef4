package kernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path/filepath"
	"strings"
)

// moduleInfo is what a module says of itself.
type moduleInfo struct {
	File    string
	Name    string
	Depends []string // modules by canonical name
}

// readModule reads the .modinfo section of a module.
func readModule(file string) (moduleInfo, error) {
	m := moduleInfo{File: file, Name: canonical(strings.TrimSuffix(filepath.Base(file), ".ko"))}
	f, err := elf.Open(file)
	if err != nil {
		return m, fmt.Errorf("module %s: %w", file, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return m, fmt.Errorf("%s is no kernel module", file)
	}
	data, err := section.Data()
	if err != nil {
		return m, fmt.Errorf("module %s: %w", file, err)
	}
	for field := range bytes.SplitSeq(data, []byte{0}) {
		depends, ok := strings.CutPrefix(string(field), "depends=")
		if !ok {
			continue
		}
		for name := range strings.SplitSeq(depends, ",") {
			if name != "" {
				m.Depends = append(m.Depends, canonical(name))
			}
		}
	}
	return m, nil
}
