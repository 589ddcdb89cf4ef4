package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// What the user gave is looked at before anything is made of it, and blamed on
// him.
func TestCheckInput(t *testing.T) {
	built := t.TempDir() // a build folder whose source is gone
	for name, text := range map[string]string{"arch/arm64/boot/Image": "", ".config": "CONFIG_ARM64=y\n"} {
		file := filepath.Join(built, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		o    Options
		ok   bool
	}{
		{"nothing given", Options{}, true},
		{"version", Options{Linux: "7.2"}, true},
		{"stable version", Options{Linux: "6.12.3"}, false},
		{"patches", Options{Series: "testdata/series/v3.mbx"}, true},
		{"no patches", Options{Series: t.TempDir()}, false},
		{"no tree", Options{Tree: t.TempDir()}, false},
		{"tree, and no patches", Options{Tree: built, Series: t.TempDir()}, false},
		{"build folder", Options{Tree: built}, true},
		{"build folder, and patches", Options{Tree: built, Series: "testdata/series/v3.mbx"}, false},
	} {
		err := CheckInput(test.o)
		if _, input := errors.AsType[*InputError](err); test.ok && err != nil || !test.ok && !input {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestMisfit(t *testing.T) {
	patch := fmt.Errorf("making a kernel: %w", &patchError{Patch: "x"})
	if _, ok := errors.AsType[*InputError](misfit(patch)); !ok {
		t.Error("a patch that does not apply is no mistake of the user")
	}
	if err := misfit(os.ErrNotExist); err != os.ErrNotExist {
		t.Errorf("another error became %v", err)
	}
}
