package boot

import (
	"encoding/binary"
	"fmt"
)

// kernelOffset is where the real Image lies behind the stub. An arm64 Image
// wants to be placed text_offset bytes above a 2 MiB boundary.
const kernelOffset = 2 << 20

// PCI configuration space, type 0 header.
const (
	pciCommand = 0x04
	pciBAR0    = 0x10

	pciCommandMemory = 1 << 1
	pciCommandMaster = 1 << 2
)

// Stub returns kernel, an arm64 Image, with a stub in front of it, in a form
// for QEMU's -kernel. The stub is an Image too: a header and a dozen
// instructions that put BAR 0 of the function to Machine.BAR, switch on memory
// decoding and bus mastering, and go on to the kernel with x0 to x3 untouched.
func (m *Machine) Stub(kernel []byte) ([]byte, error) {
	h, err := parseImage(kernel)
	if err != nil {
		return nil, err
	}
	start := kernelOffset + h.textOffset
	code := m.stubCode(start)

	out := make([]byte, start+uint64(len(kernel)))
	imageHeader{
		code0:     b(headerSize),
		imageSize: start + h.imageSize,
		flags:     h.flags,
	}.put(out)
	for i, insn := range code {
		binary.LittleEndian.PutUint32(out[headerSize+4*i:], insn)
	}
	copy(out[start:], kernel)
	return out, nil
}

// stubCode is what runs between QEMU and the kernel, with the MMU off: every
// access is to device memory, in order.
func (m *Machine) stubCode(kernel uint64) []uint32 {
	const config, value = x9, x10 // the boot protocol leaves x4 and above free
	var code []uint32
	emit := func(insns ...uint32) { code = append(code, insns...) }

	emit(movImm(config, m.Config)...)
	emit(movImm(value, m.BAR)...)
	emit(strW(value, config, pciBAR0))
	emit(movz(value, pciCommandMemory|pciCommandMaster, 0))
	emit(strH(value, config, pciCommand))
	emit(ldrW(value, config, pciCommand)) // the write is through when this is back
	emit(dsbSY())
	here := uint64(headerSize + 4*len(code))
	emit(b(int64(kernel - here)))
	return code
}

// register is a general-purpose register of AArch64.
type register uint32

const (
	x9  register = 9
	x10 register = 10
)

// The instructions of the stub, by their names in the Arm ARM (C6.2).

// movz sets rd to imm << shift; shift is a multiple of 16.
func movz(rd register, imm uint16, shift uint) uint32 {
	return 0xd2800000 | uint32(shift/16)<<21 | uint32(imm)<<5 | uint32(rd)
}

// movk replaces 16 bits of rd.
func movk(rd register, imm uint16, shift uint) uint32 {
	return 0xf2800000 | uint32(shift/16)<<21 | uint32(imm)<<5 | uint32(rd)
}

// movImm loads any 64-bit value.
func movImm(rd register, v uint64) []uint32 {
	code := []uint32{movz(rd, uint16(v), 0)}
	for shift := uint(16); shift < 64; shift += 16 {
		if part := uint16(v >> shift); part != 0 {
			code = append(code, movk(rd, part, shift))
		}
	}
	return code
}

// strW stores 32 bits of rt at [rn + off].
func strW(rt, rn register, off uint32) uint32 {
	return 0xb9000000 | off/4<<10 | uint32(rn)<<5 | uint32(rt)
}

// strH stores 16 bits of rt at [rn + off].
func strH(rt, rn register, off uint32) uint32 {
	return 0x79000000 | off/2<<10 | uint32(rn)<<5 | uint32(rt)
}

// ldrW loads 32 bits from [rn + off] into rt.
func ldrW(rt, rn register, off uint32) uint32 {
	return 0xb9400000 | off/4<<10 | uint32(rn)<<5 | uint32(rt)
}

// dsbSY waits for all memory accesses before it.
func dsbSY() uint32 { return 0xd5033f9f }

// b branches off bytes from itself.
func b(off int64) uint32 {
	return 0x14000000 | uint32(off/4)&0x03ffffff
}

// branchRange is how far b reaches.
const branchRange = 128 << 20

// The header of an arm64 Image (Documentation/arch/arm64/booting.rst).
const (
	headerSize = 64
	imageMagic = 0x644d5241 // "ARM\x64"
	magicAt    = 56
)

type imageHeader struct {
	code0      uint32
	textOffset uint64
	imageSize  uint64
	flags      uint64
}

func (h imageHeader) put(p []byte) {
	le := binary.LittleEndian
	le.PutUint32(p[0:], h.code0)
	le.PutUint64(p[8:], h.textOffset)
	le.PutUint64(p[16:], h.imageSize)
	le.PutUint64(p[24:], h.flags)
	le.PutUint32(p[magicAt:], imageMagic)
}

// foreign names the file formats that are handed in for an Image by mistake.
var foreign = []struct {
	at    int
	magic string
	what  string
}{
	{0, "\x1f\x8b", "a gzip file: unpack it first (gunzip Image.gz)"},
	{0, "\x28\xb5\x2f\xfd", "a zstd file: unpack it first (unzstd)"},
	{4, "zimg", "an EFI zboot image (vmlinuz.efi): use arch/arm64/boot/Image of the same build"},
	{0, "\x7fELF", "an ELF file (vmlinux): use arch/arm64/boot/Image of the same build"},
	{0x202, "HdrS", "an x86 kernel: build for arm64 (ARCH=arm64)"},
}

func parseImage(p []byte) (imageHeader, error) {
	for _, f := range foreign {
		if end := f.at + len(f.magic); len(p) >= end && string(p[f.at:end]) == f.magic {
			return imageHeader{}, fmt.Errorf("the kernel is %s", f.what)
		}
	}
	le := binary.LittleEndian
	if len(p) < headerSize || le.Uint32(p[magicAt:]) != imageMagic {
		return imageHeader{}, fmt.Errorf("the kernel is not an arm64 Image (no magic number at byte %d): use arch/arm64/boot/Image", magicAt)
	}
	h := imageHeader{
		code0:      le.Uint32(p[0:]),
		textOffset: le.Uint64(p[8:]),
		imageSize:  le.Uint64(p[16:]),
		flags:      le.Uint64(p[24:]),
	}
	switch {
	case h.imageSize == 0:
		return h, fmt.Errorf("the kernel's Image header has no image_size: kernels before 3.17 cannot be booted this way")
	case h.flags&1 != 0:
		return h, fmt.Errorf("the kernel is big-endian: build it little-endian (CONFIG_CPU_LITTLE_ENDIAN)")
	case h.textOffset >= kernelOffset || h.textOffset%4 != 0:
		return h, fmt.Errorf("the kernel's Image header has text_offset %#x: want less than 2 MiB, in whole instructions", h.textOffset)
	case h.imageSize < uint64(len(p)) || h.imageSize > branchRange*8:
		return h, fmt.Errorf("the kernel's Image header says image_size %d, the file has %d bytes: the file is damaged", h.imageSize, len(p))
	}
	return h, nil
}
