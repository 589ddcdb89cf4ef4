package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

// program64 makes an arm64 ELF file that names a loader and libraries, and has
// nothing else.
func program64(t *testing.T, loader string, libs ...string) []byte {
	t.Helper()
	order := binary.LittleEndian
	const names = "\x00.dynstr\x00.dynamic\x00.shstrtab\x00"
	dynstr := []byte{0}
	var dynamic bytes.Buffer
	for _, lib := range libs {
		binary.Write(&dynamic, order, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: uint64(len(dynstr))})
		dynstr = append(append(dynstr, lib...), 0)
	}
	binary.Write(&dynamic, order, elf.Dyn64{Tag: int64(elf.DT_NULL)})

	const headerSize, progSize, sectionSize = 64, 56, 64
	interp := append([]byte(loader), 0)
	at := uint64(headerSize + progSize)
	place := func(size int) uint64 {
		off := at
		at += uint64(size)
		return off
	}
	interpAt, dynstrAt := place(len(interp)), place(len(dynstr))
	dynamicAt, namesAt := place(dynamic.Len()), place(len(names))

	var out bytes.Buffer
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Phentsize: progSize, Phnum: 1,
		Shoff: at, Ehsize: headerSize, Shentsize: sectionSize, Shnum: 4, Shstrndx: 3,
	}
	kind := elf.PT_INTERP
	if loader == "" {
		kind = elf.PT_NULL
	}
	binary.Write(&out, order, h)
	binary.Write(&out, order, elf.Prog64{Type: uint32(kind), Off: interpAt, Filesz: uint64(len(interp)), Memsz: uint64(len(interp))})
	for _, part := range [][]byte{interp, dynstr, dynamic.Bytes(), []byte(names)} {
		out.Write(part)
	}
	for _, s := range []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: dynstrAt, Size: uint64(len(dynstr))},
		{Name: 9, Type: uint32(elf.SHT_DYNAMIC), Off: dynamicAt, Size: uint64(dynamic.Len()), Link: 1, Entsize: 16},
		{Name: 18, Type: uint32(elf.SHT_STRTAB), Off: namesAt, Size: uint64(len(names))},
	} {
		binary.Write(&out, order, s)
	}
	return out.Bytes()
}
