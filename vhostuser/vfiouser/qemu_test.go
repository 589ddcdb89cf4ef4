package vfiouser_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// qemuGuest is a program for the arm64 virt machine, run without a kernel. It
// maps BAR0 of PCI slot 4 at 0x10000000 and
//
//   - lets the device do DMA at 0x40200000 (regDMA) and reads what came of it,
//   - reads the BAR with 1, 2, 4 and 8 bytes,
//   - takes the time of 1000 reads,
//   - raises the line, reads 12 times as an interrupt handler would, lowers the
//     line, reads 12 times.
//
// It leaves results at BAR0+0x1000.
var qemuGuest = []uint32{
	0xd2a20041, // mov x1, #0x10020000
	0xf2c00801, // movk x1, #0x40, lsl #32
	0x52a20002, // mov w2, #0x10000000
	0xb9001022, // str w2, [x1, #16]
	0x528000c0, // mov w0, #0x6
	0x79000820, // strh w0, [x1, #4]
	0xd2a20014, // mov x20, #0x10000000
	0x52a80400, // mov w0, #0x40200000
	0x2a0003f5, // mov w21, w0
	0x528acf03, // mov w3, #0x5678
	0x72a24683, // movk w3, #0x1234, lsl #16
	0xb90002a3, // str w3, [x21]
	0xd5033f9f, // dsb sy
	0xb9020295, // str w21, [x20, #512]
	0xb9421284, // ldr w4, [x20, #528]
	0xb94012a5, // ldr w5, [x21, #16]
	0x91400696, // add x22, x20, #0x1, lsl #12
	0xb90002c4, // str w4, [x22]
	0xb90006c5, // str w5, [x22, #4]
	0xf9410a86, // ldr x6, [x20, #528]
	0xf90006c6, // str x6, [x22, #8]
	0x39484687, // ldrb w7, [x20, #529]
	0x390042c7, // strb w7, [x22, #16]
	0x79442687, // ldrh w7, [x20, #530]
	0x790026c7, // strh w7, [x22, #18]
	0x52807d08, // mov w8, #0x3e8
	0xd5033fdf, // isb
	0xd53be049, // mrs x9, cntvct_el0
	0xb943028a, // ldr w10, [x20, #768]
	0x71000508, // subs w8, w8, #0x1
	0x54ffffc1, // b.ne 70
	0xd5033fdf, // isb
	0xd53be04b, // mrs x11, cntvct_el0
	0xcb09016b, // sub x11, x11, x9
	0xb90016cb, // str w11, [x22, #20]
	0xd53be00c, // mrs x12, cntfrq_el0
	0xb9001acc, // str w12, [x22, #24]
	0x52800020, // mov w0, #0x1
	0xb9010280, // str w0, [x20, #256]
	0x52800188, // mov w8, #0xc
	0xb943028a, // ldr w10, [x20, #768]
	0x71000508, // subs w8, w8, #0x1
	0x54ffffc1, // b.ne a0
	0xb901029f, // str wzr, [x20, #256]
	0x52800188, // mov w8, #0xc
	0xb943028a, // ldr w10, [x20, #768]
	0x71000508, // subs w8, w8, #0x1
	0x54ffffc1, // b.ne b4
	0x52800020, // mov w0, #0x1
	0xb9001ec0, // str w0, [x22, #28]
	0xd503207f, // wfi
	0x17ffffff, // b c8
}

// Results of qemuGuest.
const (
	resRead  = 0x1000 // what the device read from memory
	resWrote = 0x1004 // what it wrote
	resWide  = 0x1008 // 8 bytes of regBuf
	resByte  = 0x1010
	resHalf  = 0x1012
	resTicks = 0x1014 // of 1000 reads
	resFreq  = 0x1018 // ticks per second
	resDone  = 0x101c
)

// findQEMU returns a QEMU that has vfio-user-pci, or skips the test. The
// environment variable QCEMU_QEMU names one that is not on PATH.
func findQEMU(t *testing.T) string {
	t.Helper()
	qemu := os.Getenv("QCEMU_QEMU")
	if qemu == "" {
		qemu = "qemu-system-aarch64"
	}
	out, err := exec.Command(qemu, "-M", "none", "-device", "vfio-user-pci,help").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("x-msg-timeout")) {
		t.Skipf("%s has no vfio-user-pci: %v", qemu, err)
	}
	return qemu
}

// TestQEMU: a guest in QEMU uses the device, and the next QEMU does too.
func TestQEMU(t *testing.T) {
	qemu := findQEMU(t)
	for _, tt := range []struct {
		name    string
		memory  string
		hint    int // how often the user is told to share his memory
		clients int
	}{
		{"shared", "memory-backend-memfd,id=mem,size=256M,share=on", 0, 2},
		{"not shared", "memory-backend-ram,id=mem,size=256M", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkLeaks(t)
			w := newServer(t)
			path, stop := listen(t, w)
			defer stop()
			for range tt.clients {
				runGuest(t, w, qemu, path, tt.memory, tt.name == "shared")
			}
			if n := strings.Count(w.log.String(), "share=on"); n != tt.hint {
				t.Errorf("the user was told %d times to share his memory, want %d", n, tt.hint)
			}
			if strings.Contains(w.log.String(), "request refused") {
				t.Errorf("QEMU sent what we refuse:\n%s", w.log)
			}
		})
	}
}

func runGuest(t *testing.T, w *world, qemu, path, memory string, dma bool) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "guest")
	var code []byte
	for _, v := range qemuGuest {
		code = binary.LittleEndian.AppendUint32(code, v)
	}
	if err := os.WriteFile(image, code, 0o600); err != nil {
		t.Fatal(err)
	}
	w.dev.Reset()
	cmd := exec.Command(qemu,
		"-M", "virt,memory-backend=mem", "-cpu", "cortex-a57", "-m", "256M", "-object", memory,
		"-display", "none", "-serial", "none", "-monitor", "none", "-nodefaults",
		"-device", "loader,file="+image+",addr=0x40400000,cpu-num=0,force-raw=on",
		"-device", `{"driver":"vfio-user-pci","socket":{"type":"unix","path":"`+path+`"},"addr":"4.0"}`)
	var out logBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	defer func() { cmd.Process.Kill(); <-exited }()

	result := func(off, n int) uint64 {
		w.dev.mu.Lock()
		defer w.dev.mu.Unlock()
		var b [8]byte
		copy(b[:], w.dev.bar[off:off+n])
		return binary.LittleEndian.Uint64(b[:])
	}
	deadline := time.After(10 * time.Minute)
	for result(resDone, 4) != 1 {
		select {
		case <-exited:
			t.Fatalf("QEMU ended: %s", out.String())
		case <-deadline:
			t.Fatalf("the guest does not finish; QEMU says %q, the server %s", out.String(), w.log)
		case <-time.After(time.Millisecond):
		}
	}
	if dma {
		want := map[string]uint64{
			"read by the device": 0x12345678, "written by the device": ^uint64(0x12345678) & 0xffffffff,
			"8 bytes": 0x12345678, "1 byte": 0x56, "2 bytes": 0x1234,
		}
		got := map[string]uint64{
			"read by the device": result(resRead, 4), "written by the device": result(resWrote, 4),
			"8 bytes": result(resWide, 8), "1 byte": result(resByte, 1), "2 bytes": result(resHalf, 2),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if f := w.dev.takeFaults(); f != nil {
			t.Errorf("faults: %v", f)
		}
	}
	t.Logf("a read by the guest takes %.1f µs", float64(result(resTicks, 4))*1000/float64(result(resFreq, 4)))
}
