package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module writes an ELF file with a .modinfo section and nothing else.
func module(t *testing.T, dir, file string, info ...string) {
	t.Helper()
	modinfo := []byte(strings.Join(info, "\x00") + "\x00")
	const names = "\x00.modinfo\x00.shstrtab\x00"
	const headerSize = 64
	var out bytes.Buffer
	order := binary.LittleEndian
	sections := uint64(headerSize + len(modinfo) + len(names))
	binary.Write(&out, order, elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT),
		Shoff: sections, Ehsize: headerSize, Shentsize: 64, Shnum: 3, Shstrndx: 2,
	})
	out.Write(modinfo)
	out.WriteString(names)
	binary.Write(&out, order, elf.Section64{})
	binary.Write(&out, order, elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: headerSize, Size: uint64(len(modinfo))})
	binary.Write(&out, order, elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: headerSize + uint64(len(modinfo)), Size: uint64(len(names))})
	if err := os.WriteFile(filepath.Join(dir, file), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// drivers is a directory as init has it, and a /sys/module of the test's own.
func drivers(t *testing.T) *Dir {
	t.Helper()
	dir := t.TempDir()
	module(t, dir, "virt-dma.ko", "license=GPL", "depends=", "name=virt_dma")
	module(t, dir, "bam_dma.ko", "depends=virt-dma", "name=bam_dma")
	module(t, dir, "qcrypto.ko", "depends=bam_dma,crypto-engine", "name=qcrypto")
	module(t, dir, "crypto_engine.ko", "depends=", "name=crypto_engine")
	module(t, dir, "a.ko", "depends=b", "name=a")
	module(t, dir, "b.ko", "depends=a", "name=b")
	module(t, dir, "lost.ko", "depends=gone", "name=lost")
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.sys = t.TempDir()
	return d
}

func TestOrder(t *testing.T) {
	d := drivers(t)
	names := func(name string) []string {
		t.Helper()
		list, err := d.order(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range list {
			got = append(got, m.name)
		}
		return got
	}
	if diff := cmp.Diff([]string{"virt_dma", "bam_dma", "crypto_engine", "qcrypto"}, names("qcrypto")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"virt_dma"}, names("virt-dma")); diff != "" {
		t.Error(diff)
	}
	if err := os.Mkdir(filepath.Join(d.sys, "bam_dma"), 0o755); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"crypto_engine", "qcrypto"}, names("qcrypto")); diff != "" {
		t.Errorf("with bam_dma loaded: %s", diff)
	}
	if got := names("bam-dma"); len(got) != 0 {
		t.Errorf("a loaded module: %v, want nothing to do", got)
	}
}

func TestOrderErrors(t *testing.T) {
	d := drivers(t)
	if _, err := d.order("tcrypt"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing module: %v, want ErrNotFound", err)
	}
	if _, err := d.order("lost"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "needed by lost") {
		t.Errorf("a missing dependency: %v, want ErrNotFound and who needs it", err)
	}
	if _, err := d.order("a"); err == nil || !strings.Contains(err.Error(), "depends on itself") {
		t.Errorf("a cycle: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing")); !os.IsNotExist(err) {
		t.Errorf("a missing directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text.ko"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "text.ko") {
		t.Errorf("a file that is no module: %v", err)
	}
}
