package vfiouser_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// farRAM is memory that only the client has.
type farRAM struct {
	mu   sync.Mutex
	base uint64
	b    []byte
	fail unix.Errno
}

func (f *farRAM) access(cmd wire.Command, addr uint64, p []byte) unix.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != 0 {
		return f.fail
	}
	off := addr - f.base
	if off > uint64(len(f.b)) || uint64(len(p)) > uint64(len(f.b))-off {
		return unix.EFAULT
	}
	if cmd == wire.DMARead {
		copy(p, f.b[off:])
	} else {
		copy(f.b[off:], p)
	}
	return 0
}

func (f *farRAM) bytes(off, n int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.b[off : off+n])
}

// farWorld is a session whose RAM at 0x40000000 is not shared.
func farWorld(t *testing.T, caps string) (*world, *farRAM) {
	t.Helper()
	checkLeaks(t)
	w := newServer(t)
	w.connect(t)
	t.Cleanup(w.hangUp)
	if _, err := w.c.Version(caps); err != nil {
		t.Fatal(err)
	}
	ram := &farRAM{base: 0x40000000, b: make([]byte, 2<<20)}
	for i := range ram.b {
		ram.b[i] = byte(i * 7)
	}
	w.c.SetMemory(ram.access)
	if err := w.c.Map(-1, wire.Map{Flags: 3, Addr: ram.base, Size: uint64(len(ram.b))}); err != nil {
		t.Fatal(err)
	}
	return w, ram
}

func invert(b []byte) []byte {
	c := bytes.Clone(b)
	for i := range c {
		c[i] = ^c[i]
	}
	return c
}

func TestFarMemory(t *testing.T) {
	w, ram := farWorld(t, vfiotest.QEMUCapabilities)
	w.writeReg(t, regDMA, 0x40000100)
	if f := w.dev.takeFaults(); f != nil {
		t.Fatalf("faults: %v", f)
	}
	if diff := cmp.Diff(invert(ram.bytes(0x100, 16)), ram.bytes(0x110, 16)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	// From a posted write, with the client waiting for nothing.
	w.c.PostWrite(0, regDMA, u32(0x40000200))
	w.readReg(t, 0)
	if diff := cmp.Diff(invert(ram.bytes(0x200, 16)), ram.bytes(0x210, 16)); diff != "" {
		t.Errorf("written from a posted write (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		errno unix.Errno
		want  string
	}{
		{unix.EFAULT, "bus read of 16 bytes at 0x40000100: unmapped"},
		{unix.EPERM, "bus read of 16 bytes at 0x40000100: unmapped"},
	} {
		ram.mu.Lock()
		ram.fail = tt.errno
		ram.mu.Unlock()
		w.writeReg(t, regDMA, 0x40000100)
		if diff := cmp.Diff("["+tt.want+"]", fmt.Sprint(w.dev.takeFaults())); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.errno, diff)
		}
	}
	if n := strings.Count(w.log.String(), "memory-backend-memfd,share=on"); n != 1 {
		t.Errorf("the user was told %d times to share the memory, want once", n)
	}
	if err := w.c.Map(-1, wire.Map{Flags: 3, Addr: 0x80000000, Size: 0x1000}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.log.String(), "memory-backend-memfd,share=on"); n != 1 {
		t.Errorf("the user was told %d times to share the memory, want once", n)
	}
}

// TestFarLimits: transfers are cut into what the client takes.
func TestFarLimits(t *testing.T) {
	for _, limit := range []int{4096, 1 << 20} {
		w, ram := farWorld(t, fmt.Sprintf(`{"capabilities":{"max_data_xfer_size":%d}}`, limit))
		w.writeReg(t, regBig, 0x40000010)
		if f := w.dev.takeFaults(); f != nil {
			t.Fatalf("faults: %v", f)
		}
		w.dev.mu.Lock()
		same := bytes.Equal(w.dev.big, ram.bytes(0x10, bigDMA))
		w.dev.mu.Unlock()
		if !same {
			t.Error("wrong bytes")
		}
		if n := w.c.LongestDMA(); n != limit {
			t.Errorf("longest access %d bytes, want %d", n, limit)
		}
	}
}

// TestFarOrder: what the client sends while the device waits for memory is
// handled afterwards, in order, file descriptors included.
func TestFarOrder(t *testing.T) {
	w, _ := farWorld(t, vfiotest.QEMUCapabilities)
	ram := memfd(t, 0x1000)
	w.c.HoldDMA(true)
	w.c.PostWrite(0, regDMA, u32(0x40000100)) // waits for the client
	for i := range uint32(200) {
		w.c.PostWrite(0, 0x1000, u32(i))
	}
	mapped := w.c.Start(wire.DMAMap, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Addr: 0x90000000, Size: 0x1000}), int(ram.Fd()))
	buf := w.c.Start(wire.RegionRead, vfiotest.Access(0, regBuf, 4, nil))
	last := w.c.Start(wire.RegionRead, vfiotest.Access(0, 0x1000, 4, nil))
	w.c.HoldDMA(false)
	if r, ok := <-mapped; !ok || r.Err() != nil {
		t.Errorf("DMA_MAP: %v, answered %v", r.Err(), ok)
	}
	if r := <-buf; r.Err() != nil || bytes.Equal(r.Payload[16:], u32(0)) {
		t.Errorf("read after DMA: %v, % x", r.Err(), r.Payload)
	}
	if r := <-last; r.Err() != nil || !bytes.Equal(r.Payload[16:], u32(199)) {
		t.Errorf("read after posted writes: %v, % x", r.Err(), r.Payload)
	}
	if f := w.dev.takeFaults(); f != nil {
		t.Errorf("faults: %v", f)
	}
}

// TestFarFromOutside: another goroutine, not inside a message, uses memory.
func TestFarFromOutside(t *testing.T) {
	w, ram := farWorld(t, vfiotest.QEMUCapabilities)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			p := make([]byte, 100)
			for j := range 50 {
				off := 0x1000*i + j
				if err := w.dev.mem.Read(0x40000000+uint64(off), p); err != nil || !bytes.Equal(p, ram.bytes(off, 100)) {
					t.Errorf("Read at %#x: %v, or wrong bytes", off, err)
					return
				}
			}
		})
	}
	for range 200 {
		w.readReg(t, 0)
		w.writeReg(t, regDMA, 0x40100000)
	}
	wg.Wait()
	if f := w.dev.takeFaults(); f != nil {
		t.Errorf("faults: %v", f)
	}
}

// TestFarStalled is QEMU with a vCPU that waits for us: the access fails, the
// next ones fail at once, and all is well when the answer has come.
func TestFarStalled(t *testing.T) {
	w, _ := farWorld(t, vfiotest.QEMUCapabilities)
	w.c.HoldDMA(true)
	w.writeReg(t, regDMA, 0x40000100)
	w.writeReg(t, regDMA, 0x40000100)
	if f := w.dev.takeFaults(); len(f) != 2 {
		t.Fatalf("faults: %v, want 2", f)
	}
	w.c.HoldDMA(false) // the answer that nobody waits for any more
	eventually(t, "memory works again", func() bool {
		w.writeReg(t, regDMA, 0x40000100)
		return w.dev.takeFaults() == nil
	})
	if n := strings.Count(w.log.String(), "does not answer DMA messages"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
}

// TestFarHostile: answers that do not fit the question.
func TestFarHostile(t *testing.T) {
	head := func(h wire.Header) wire.Header { h.Flags |= wire.TypeReply; return h }
	data := func(addr, count uint64, n int) []byte {
		b := make([]byte, wire.DMAAccessSize+n)
		(&wire.DMAAccess{Addr: addr, Count: count}).Put(b)
		return b
	}
	for _, tt := range []struct {
		name  string
		reply func(h wire.Header) []byte
	}{
		{"short", func(h wire.Header) []byte { return vfiotest.Encode(head(h), data(0x40000100, 16, 15)) }},
		{"long", func(h wire.Header) []byte { return vfiotest.Encode(head(h), data(0x40000100, 16, 17)) }},
		{"empty", func(h wire.Header) []byte { return vfiotest.Encode(head(h), nil) }},
		{"other address", func(h wire.Header) []byte { return vfiotest.Encode(head(h), data(0x40000000, 16, 16)) }},
		{"other count", func(h wire.Header) []byte { return vfiotest.Encode(head(h), data(0x40000100, 1<<40, 16)) }},
		{"hangs up", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkLeaks(t)
			s := dialRaw(t)
			s.send(wire.Header{ID: 1, Cmd: wire.Version}, make([]byte, 4))
			s.recv()
			s.send(wire.Header{ID: 2, Cmd: wire.DMAMap}, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Addr: 0x40000000, Size: 0x1000}))
			s.recv()
			s.send(wire.Header{ID: 3, Cmd: wire.RegionWrite}, vfiotest.Access(0, regDMA, 4, u32(0x40000100)))
			h, _ := s.recv()
			if h.Cmd != wire.DMARead {
				t.Fatalf("%v instead of DMA_READ", h.Cmd)
			}
			if tt.reply == nil {
				s.close()
			} else {
				s.raw(tt.reply(h))
				if h, _ := s.recv(); h.ID != 3 {
					t.Errorf("message %d, want the reply to 3", h.ID)
				}
				s.close()
			}
			if f := s.w.dev.takeFaults(); len(f) != 1 {
				t.Errorf("faults: %v, want 1", f)
			}
		})
	}
}
