package tests

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// Where the client's guest has its memory.
const (
	ramBase = 0x4000_0000 // as on QEMU's machine virt
	ramSize = 16 << 20
)

// client is a QEMU with a guest: a connection to the backend, memory that both
// see, and the interrupt.
type client struct {
	*vfiotest.Client
	t   testing.TB
	ram []byte
	irq int // eventfd of INTx
}

// connect does what QEMU does up to the guest's first instruction.
func connect(t testing.TB, socket string) *client {
	t.Helper()
	conn, err := vfiotest.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Client: conn, t: t}
	t.Cleanup(c.Close)
	if _, err := c.Version(vfiotest.QEMUCapabilities); err != nil {
		t.Fatalf("VERSION: %v", err)
	}
	info := vfiotest.Payload(wire.DeviceInfo{Argsz: wire.DeviceInfoSize})
	if _, err := c.Do(wire.DeviceGetInfo, info); err != nil {
		t.Fatalf("DEVICE_GET_INFO: %v", err)
	}
	c.share()
	if c.irq, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(c.irq) })
	if err := c.Trigger(c.irq); err != nil {
		t.Fatalf("SET_IRQS: %v", err)
	}
	if err := c.Reset(); err != nil {
		t.Fatalf("DEVICE_RESET: %v", err)
	}
	c.boot()
	return c
}

// share maps the guest's memory on both sides.
func (c *client) share() {
	c.t.Helper()
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err != nil {
		c.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "guest memory")
	defer f.Close()
	if err := f.Truncate(ramSize); err != nil {
		c.t.Fatal(err)
	}
	if c.ram, err = unix.Mmap(fd, 0, ramSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { unix.Munmap(c.ram) })
	if err := c.Map(fd, wire.Map{Flags: wire.MapRead | wire.MapWrite, Addr: ramBase, Size: ramSize}); err != nil {
		c.t.Fatalf("DMA_MAP: %v", err)
	}
}

// boot does what the boot stub does: BAR 0 and COMMAND.
func (c *client) boot() {
	c.t.Helper()
	const bar0, command = 0x10, 0x04
	for _, w := range []struct {
		off uint64
		val []byte
	}{
		{bar0, binary.LittleEndian.AppendUint32(nil, 0x1000_0000)},
		{command, []byte{6, 0}}, // memory and master
	} {
		if err := c.Write(wire.RegionConfig, w.off, w.val); err != nil {
			c.t.Fatalf("configuration space: %v", err)
		}
	}
}

// bytes is guest memory at a bus address.
func (c *client) bytes(addr uint32, n int) []byte { return c.ram[addr-ramBase:][:n:n] }

// read is a load of the guest, write a store.
func (c *client) read(off uint32) uint32 {
	c.t.Helper()
	b, err := c.Read(wire.RegionBAR0, uint64(off), 4)
	if err != nil {
		c.t.Fatalf("read of %#x: %v", off, err)
	}
	return binary.LittleEndian.Uint32(b)
}

func (c *client) write(off, v uint32) {
	c.t.Helper()
	if err := c.PostWrite(wire.RegionBAR0, uint64(off), binary.LittleEndian.AppendUint32(nil, v)); err != nil {
		c.t.Fatalf("write of %#x: %v", off, err)
	}
}

// interrupted waits for an interrupt for a time.
func (c *client) interrupted(d time.Duration) bool {
	c.t.Helper()
	pfd := []unix.PollFd{{Fd: int32(c.irq), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(pfd, int(d.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if n == 0 {
			return false
		}
		var b [8]byte
		unix.Read(c.irq, b[:])
		return true
	}
}

// far is the client's side of memory that is not shared.
func (c *client) far(cmd wire.Command, addr uint64, p []byte) unix.Errno {
	if addr < ramBase || addr-ramBase > uint64(ramSize-len(p)) {
		return unix.EFAULT
	}
	mem := c.ram[addr-ramBase:][:len(p)]
	if cmd == wire.DMARead {
		copy(p, mem)
	} else {
		copy(mem, p)
	}
	return 0
}
