package kernel

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qcemu/qcemu/guest/job"
)

// module makes a .ko file with nothing in it but what it says of itself.
func module(name string, depends ...string) []byte {
	modinfo := "license=GPL\x00depends=" + strings.Join(depends, ",") + "\x00name=" + name + "\x00"
	const header, section = 64, 64
	names := "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	put := func(v ...any) {
		for _, x := range v {
			binary.Write(&b, binary.LittleEndian, x)
		}
	}
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	tables := uint64(header + len(modinfo) + len(names))
	put(uint16(1), uint16(183), uint32(1), uint64(0), uint64(0), tables, uint32(0), // relocatable, AArch64
		uint16(header), uint16(0), uint16(0), uint16(section), uint16(3), uint16(2))
	b.WriteString(modinfo)
	b.WriteString(names)
	b.Write(make([]byte, section))
	put(uint32(1), uint32(1), uint64(0), uint64(0), uint64(header), uint64(len(modinfo)), uint32(0), uint32(0), uint64(1), uint64(0))
	put(uint32(10), uint32(3), uint64(0), uint64(0), uint64(header+len(modinfo)), uint64(len(names)), uint32(0), uint32(0), uint64(1), uint64(0))
	return b.Bytes()
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// built makes a folder that looks like a built kernel tree.
func built(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "Makefile", []byte("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\nEXTRAVERSION = -rc2\n"))
	write(t, dir, "Kconfig", nil)
	write(t, dir, "arch/arm64/Kconfig", nil)
	write(t, dir, "drivers/crypto/qce/core.c", nil)
	write(t, dir, "drivers/dma/qcom/bam_dma.c", []byte("plain"))
	write(t, dir, "arch/arm64/boot/Image", []byte("image"))
	write(t, dir, ".config", []byte("CONFIG_ARM64=y\n"+fragment(guestConfig, "6.12")))
	write(t, dir, "include/config/kernel.release", []byte("6.12.1-rc2-mine\n"))
	write(t, dir, "modules.builtin", []byte("kernel/crypto/authenc.ko\n"))
	order := ""
	for name, data := range map[string][]byte{
		"drivers/dma/virt-dma":       module("virt_dma"),
		"drivers/dma/qcom/bam_dma":   module("bam_dma", "virt-dma"),
		"drivers/crypto/qce/qcrypto": module("qcrypto", "crypto_engine", "authenc"),
		"crypto/crypto_engine":       module("crypto_engine"),
		"drivers/net/other":          module("other", "gone"),
	} {
		write(t, dir, name+".ko", data)
		order += name + ".o\n"
	}
	write(t, dir, "modules.order", []byte(order))
	return dir
}

func base(files []string) (names []string) {
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	return names
}

func TestCollectModules(t *testing.T) {
	from, to := built(t), t.TempDir()
	os.Remove(filepath.Join(from, "crypto/authenc.ko"))
	// authenc is built in: qcrypto's dependency is not a file.
	write(t, from, "drivers/crypto/qce/qcrypto.ko", module("qcrypto", "crypto_engine"))
	if err := collectModules(from, to); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(to, "*"))
	if diff := cmp.Diff([]string{"bam_dma.ko", "crypto_engine.ko", "modules.builtin", "qcrypto.ko", "virt_dma.ko"}, base(files)); diff != "" {
		t.Error(diff)
	}
	os.Remove(filepath.Join(from, "drivers/dma/virt-dma.ko"))
	if err := collectModules(from, t.TempDir()); err == nil || !strings.Contains(err.Error(), "not fully built") {
		t.Errorf("a module is missing: %v", err)
	}
	os.Remove(filepath.Join(from, "modules.order"))
	if err := collectModules(from, t.TempDir()); err == nil || !strings.Contains(err.Error(), "make modules") {
		t.Errorf("modules.order is missing: %v", err)
	}
}

func TestLoadOrder(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"bam_dma":       module("bam_dma", "virt-dma"),
		"virt-dma":      module("virt_dma"),
		"qcrypto":       module("qcrypto", "crypto_engine", "authenc"),
		"crypto_engine": module("crypto_engine"),
		"lost":          module("lost", "gone"),
		"ring_a":        module("ring_a", "ring_b"),
		"ring_b":        module("ring_b", "ring_a"),
	} {
		write(t, dir, name+".ko", data)
	}
	write(t, dir, "modules.builtin", []byte("kernel/crypto/authenc.ko\nkernel/drivers/virtio/virtio_mmio.ko\n"))
	tests := []struct {
		names []string
		want  []string
		err   string
	}{
		{[]string{moduleBAM, moduleQCE}, []string{"virt-dma.ko", "bam_dma.ko", "crypto_engine.ko", "qcrypto.ko"}, ""},
		{[]string{"virtio-mmio", "virt-dma"}, []string{"virt-dma.ko"}, ""},
		{[]string{"ring_a"}, []string{"ring_b.ko", "ring_a.ko"}, ""}, // no such thing, but no hang either
		{[]string{"none"}, nil, "module none is not in"},
		{[]string{"lost"}, nil, "module gone, which lost needs, is not in"},
		{nil, nil, "gone"},
	}
	for _, test := range tests {
		got, err := loadOrder(dir, test.names...)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v", test.names, err)
			}
			continue
		}
		if diff := cmp.Diff(test.want, base(got)); err != nil || diff != "" {
			t.Errorf("%q: %v %s", test.names, err, diff)
		}
	}
	write(t, dir, "broken.ko", []byte("not ELF"))
	if _, err := loadOrder(dir); err == nil || !strings.Contains(err.Error(), "broken.ko") {
		t.Errorf("a broken module: %v", err)
	}
}

func TestInspect(t *testing.T) {
	whole := built(t)
	tests := []struct {
		name   string
		change func(dir string)
		err    string
		built  bool
	}{
		{"whole", func(string) {}, "", true},
		{"not built", func(dir string) { os.Remove(filepath.Join(dir, "arch/arm64/boot/Image")) }, "", false},
		{"no Makefile", func(dir string) { os.Remove(filepath.Join(dir, "Makefile")) }, "is no kernel tree", false},
		{"no driver", func(dir string) { os.RemoveAll(filepath.Join(dir, "drivers/crypto")) }, "lacks drivers/crypto/qce", false},
		{"something else", func(dir string) {
			os.Remove(filepath.Join(dir, "Kconfig"))
			os.Remove(filepath.Join(dir, ".config"))
		}, "neither a kernel tree nor", false},
		{"build folder", func(dir string) {
			os.Remove(filepath.Join(dir, "Kconfig"))
			os.Symlink(whole, filepath.Join(dir, "source"))
		}, "", true},
		{"build folder alone", func(dir string) { os.Remove(filepath.Join(dir, "Kconfig")) }, "", true},
	}
	for _, test := range tests {
		dir := built(t)
		test.change(dir)
		got, err := inspect(dir)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil || got.built != test.built || got.dir != dir {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
	if _, err := inspect("/no/such/folder"); err == nil || !strings.Contains(err.Error(), "--linux /no/such/folder: no such file") {
		t.Error(err)
	}
}

// A tree is used as it is, and not written to.
func TestBuiltTree(t *testing.T) {
	o := Options{Cache: openCache(t), Tree: built(t)}
	write(t, o.Tree, "drivers/crypto/qce/qcrypto.ko", module("qcrypto", "crypto_engine"))
	before := list(t, o.Tree)
	b, err := Prepare(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, list(t, o.Tree)); diff != "" {
		t.Errorf("the tree has changed: %s", diff)
	}
	if b.Version != "6.12.1-rc2-mine" || len(b.Notes) > 0 {
		t.Errorf("%+v", b)
	}
	files, err := b.Modules(job.Stock)
	if diff := cmp.Diff([]string{"virt_dma.ko", "bam_dma.ko", "crypto_engine.ko", "qcrypto.ko"}, base(files)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := b.Modules(job.Series); err == nil || !strings.Contains(err.Error(), "--series") {
		t.Errorf("a driver that is not there: %v", err)
	}
	// Rebuilt with locking: another entry, another driver.
	write(t, o.Tree, "drivers/dma/qcom/bam_dma.c", []byte("#define DESC_FLAG_LOCK BIT(10)"))
	write(t, o.Tree, "drivers/dma/qcom/bam_dma.ko", module("bam_dma", "virt-dma", "crypto_engine"))
	again, err := Prepare(t.Context(), o)
	if err != nil || again.Image == b.Image {
		t.Fatalf("%+v, %v", again, err)
	}
	if diff := cmp.Diff([]string{job.Series}, again.Drivers()); diff != "" {
		t.Error(diff)
	}
}

func TestUnfinishedTree(t *testing.T) {
	o := Options{Cache: openCache(t), Tree: built(t)}
	os.Remove(filepath.Join(o.Tree, "arch/arm64/boot/Image"))
	_, err := Prepare(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "make mrproper") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	write(t, o.Tree, "arch/arm64/boot/Image", nil)
	write(t, o.Tree, ".config", []byte("CONFIG_ARM64=y\n"))
	if _, err := Prepare(t.Context(), o); err == nil || !strings.Contains(err.Error(), "lacks CONFIG_") {
		t.Error(err)
	}
}

func TestSourceFiles(t *testing.T) {
	o := Options{Tree: built(t)}
	write(t, o.Tree, "drivers/x.o", nil)
	write(t, o.Tree, "drivers/.x.o.cmd", nil)
	write(t, o.Tree, "arch/arm64/include/generated/y.h", nil)
	write(t, o.Tree, "include/config/z", nil)
	tree, err := inspect(o.Tree)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if err := tree.copyFiles(t.Context(), o, files, to); err != nil {
		t.Fatal(err)
	}
	want := []string{"Kconfig", "Makefile", "arch/arm64/Kconfig", "arch/arm64/boot/Image", "drivers/crypto/qce/core.c", "drivers/dma/qcom/bam_dma.c", "modules.builtin"}
	if diff := cmp.Diff(want, list(t, to)); diff != "" {
		t.Error(diff)
	}
}
