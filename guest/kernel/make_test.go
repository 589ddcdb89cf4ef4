package kernel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/cache"
)

func openCache(t *testing.T) *cache.Cache {
	t.Helper()
	c, err := cache.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// list lists the files below a folder.
func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSourceVersion(t *testing.T) {
	for text, want := range map[string]string{
		"# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n":   "6.12.117",
		"# SPDX\nVERSION = 7\nPATCHLEVEL = 1\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n": "7.1-rc1",
		"all:\n\techo hello\n": "",
	} {
		dir := t.TempDir()
		write(t, dir, "Makefile", []byte(text))
		got, err := sourceVersion(dir)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestCount(t *testing.T) {
	out := "make: Entering directory\n  CC      init/main.o\n  CC [M]  crypto/tcrypt.o\n  ASN.1   x.c\n#\n  LD      vmlinux\n"
	if n := count(strings.NewReader(out), nil, 10); n != 4 {
		t.Errorf("%d steps", n)
	}
	if n := count(strings.NewReader(strings.Repeat("x", 3<<20)+"\n  CC a\n"), nil, 0); n != 0 {
		t.Errorf("%d steps", n)
	}
}

func TestFirstError(t *testing.T) {
	tests := []struct{ text, want string }{
		{"drivers/x.c:3:1: error: expected ';'\nmake[4]: *** [x.o] Error 1\nmake: *** [Makefile:236] Error 2\n", "drivers/x.c:3:1: error: expected ';'"},
		{"crypto/Kconfig:1: can't open file \"arch/x\"\nmake[2]: *** [allnoconfig] Error 1\n", "crypto/Kconfig:1: can't open file \"arch/x\""},
		{"make[3]: *** No rule to make target 'a'.  Stop.\n", "make[3]: *** No rule to make target 'a'.  Stop."},
		{"/bin/sh: 1: flex: not found\nmake[1]: *** x Error 127\n", "the program flex is missing"},
		{"***\n*** The source tree is not clean, please run 'make ARCH=arm64 mrproper'\n", "the source tree is not clean"},
		{"cc1: fatal error: x.s: No space left on device\n", "no space left on device"},
		{"", "exit status 2"},
	}
	for _, test := range tests {
		if diff := cmp.Diff("the kernel build failed: "+test.want, firstError(test.text, errors.New("exit status 2"))); diff != "" {
			t.Error(diff)
		}
	}
}

// Whoever runs us from a Makefile, or has ARCH set, gets the same kernel.
func TestBuildEnv(t *testing.T) {
	for _, name := range []string{"MAKEFLAGS", "MAKELEVEL", "ARCH", "CROSS_COMPILE", "KCFLAGS", "KBUILD_OUTPUT", "O", "LLVM"} {
		t.Setenv(name, "x")
	}
	t.Setenv("HOME", "/h")
	env := map[string]string{}
	for _, e := range buildEnv() {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	if env["HOME"] != "/h" || env["PATH"] != os.Getenv("PATH") {
		t.Error("HOME or PATH is lost")
	}
	for name, value := range env {
		if value == "x" {
			t.Errorf("%s reaches make", name)
		}
	}
}
