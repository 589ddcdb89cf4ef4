package boot

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kernel makes an Image of a few KiB.
func kernel(change func(h *imageHeader)) []byte {
	p := make([]byte, 4096)
	h := imageHeader{code0: 0xd503201f, imageSize: 0x800000, flags: 0xa}
	if change != nil {
		change(&h)
	}
	h.put(p)
	copy(p[64:], "the kernel's code")
	return p
}

// TestStubCode compares the instructions with what GNU as 2.40 makes of the
// same lines.
func TestStubCode(t *testing.T) {
	m := &Machine{Config: 0x40_1002_0000, BAR: 0x1000_0000}
	want := []uint32{
		0xd2800009, // mov  x9, #0x0
		0xf2a20049, // movk x9, #0x1002, lsl #16
		0xf2c00809, // movk x9, #0x40, lsl #32
		0xd280000a, // mov  x10, #0x0
		0xf2a2000a, // movk x10, #0x1000, lsl #16
		0xb900112a, // str  w10, [x9, #16]
		0xd28000ca, // mov  x10, #0x6
		0x7900092a, // strh w10, [x9, #4]
		0xb940052a, // ldr  w10, [x9, #4]
		0xd5033f9f, // dsb  sy
		0x1407ffe6, // b    .+0x1fff98
	}
	if diff := cmp.Diff(want, m.stubCode(kernelOffset)); diff != "" {
		t.Error(diff)
	}
}

// TestStubDisassembles lets the GNU disassembler read the stub, where there is
// one for arm64.
func TestStubDisassembles(t *testing.T) {
	objdump, err := exec.LookPath("aarch64-linux-gnu-objdump")
	if err != nil {
		t.Skip("no aarch64-linux-gnu-objdump")
	}
	code := (&Machine{Config: 0x40_1002_0000, BAR: 0x1000_0000}).stubCode(kernelOffset)
	file := filepath.Join(t.TempDir(), "stub")
	raw := make([]byte, headerSize+4*len(code))
	for i, insn := range code {
		binary.LittleEndian.PutUint32(raw[headerSize+4*i:], insn)
	}
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "aarch64", "--start-address=0x40", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{
		"movk x9, #0x1002, lsl #16", "movk x9, #0x40, lsl #32", "movk x10, #0x1000, lsl #16",
		"str w10, [x9, #16]", "strh w10, [x9, #4]", "ldr w10, [x9, #4]", "dsb sy", "b 0x200000",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestStub(t *testing.T) {
	for name, offset := range map[string]uint64{"new kernel": 0, "old kernel": 0x80000} {
		t.Run(name, func(t *testing.T) {
			m := machine(t, "gicv2")
			image := kernel(func(h *imageHeader) { h.textOffset = offset })
			out, err := m.Stub(image)
			if err != nil {
				t.Fatal(err)
			}
			h, err := parseImage(out)
			if err != nil {
				t.Fatal(err)
			}
			start := kernelOffset + offset
			want := imageHeader{code0: b(headerSize), imageSize: start + 0x800000, flags: 0xa}
			if diff := cmp.Diff(want, h, cmp.AllowUnexported(imageHeader{})); diff != "" {
				t.Error(diff)
			}
			if got := out[start:]; string(got) != string(image) {
				t.Error("the kernel does not follow unchanged")
			}
		})
	}
}

func TestImageErrors(t *testing.T) {
	put := func(at int, s string) []byte {
		p := make([]byte, 4096)
		copy(p[at:], s)
		return p
	}
	for name, c := range map[string]struct {
		image []byte
		want  string
	}{
		"empty":      {nil, "not an arm64 Image"},
		"short":      {make([]byte, 63), "not an arm64 Image"},
		"gzip":       {put(0, "\x1f\x8b\x08"), "gunzip"},
		"zstd":       {put(0, "\x28\xb5\x2f\xfd"), "unzstd"},
		"zboot":      {put(4, "zimg"), "EFI zboot"},
		"elf":        {put(0, "\x7fELF"), "vmlinux"},
		"x86":        {put(0x202, "HdrS"), "x86"},
		"no size":    {kernel(func(h *imageHeader) { h.imageSize = 0 }), "no image_size"},
		"big endian": {kernel(func(h *imageHeader) { h.flags |= 1 }), "big-endian"},
		"offset":     {kernel(func(h *imageHeader) { h.textOffset = 4 << 20 }), "text_offset"},
		"cut":        {kernel(func(h *imageHeader) { h.imageSize = 100 }), "damaged"},
		"giant":      {kernel(func(h *imageHeader) { h.imageSize = 1 << 62 }), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := machine(t, "gicv2").Stub(c.image)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v: want one with %q", err, c.want)
			}
		})
	}
}
