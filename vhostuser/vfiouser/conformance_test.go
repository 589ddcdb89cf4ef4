package vfiouser_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/vfiouser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

func TestVersion(t *testing.T) {
	for _, tt := range []struct{ name, offer, want string }{
		{"QEMU", vfiotest.QEMUCapabilities, `{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535,"pgsizes":4096,"write_multiple":true}}`},
		{"nothing", "", ""},
		{"no capabilities", `{}`, `{"capabilities":{}}`},
		{"less than ours", `{"capabilities":{"max_msg_fds":2,"max_data_xfer_size":4096}}`, `{"capabilities":{"max_msg_fds":2,"max_data_xfer_size":4096}}`},
		{"more than ours", `{"capabilities":{"max_msg_fds":99,"max_data_xfer_size":99999999,"max_dma_maps":9999999}}`, `{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535}}`},
		{"page sizes", `{"capabilities":{"pgsizes":2166784}}`, `{"capabilities":{"pgsizes":2166784}}`},
		{"small pages only", `{"capabilities":{"pgsizes":512}}`, `{"capabilities":{}}`},
		{"no multi", `{"capabilities":{"write_multiple":false}}`, `{"capabilities":{"write_multiple":false}}`},
		{"unknown", `{"capabilities":{"twin_socket":{"supported":true}},"x":[1]}`, `{"capabilities":{}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkLeaks(t)
			w := newServer(t)
			w.connect(t)
			defer w.hangUp()
			got, err := w.c.Version(tt.offer)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want != "" {
				want += "\x00"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("version data (-want +got):\n%s", diff)
			}
			w.readReg(t, 0) // the session works
		})
	}
}

func TestVersionRefused(t *testing.T) {
	raw := func(major, minor uint16, data string) []byte {
		b := wire.Order.AppendUint16(nil, major)
		return append(wire.Order.AppendUint16(b, minor), data...)
	}
	for _, tt := range []struct {
		name    string
		cmd     wire.Command
		payload []byte
		want    error
	}{
		{"other major", wire.Version, raw(1, 0, ""), unix.EPROTONOSUPPORT},
		{"not terminated", wire.Version, raw(0, 0, "{}"), unix.EINVAL},
		{"garbage", wire.Version, raw(0, 0, "\xff\xfe garbage\x00"), unix.EINVAL},
		{"not an object", wire.Version, raw(0, 0, "[1,2]\x00"), unix.EINVAL},
		{"wrong type", wire.Version, raw(0, 0, `{"capabilities":{"max_msg_fds":"many"}}`+"\x00"), unix.EINVAL},
		{"negative", wire.Version, raw(0, 0, `{"capabilities":{"max_msg_fds":-1}}`+"\x00"), unix.EINVAL},
		{"no transfer at all", wire.Version, raw(0, 0, `{"capabilities":{"max_data_xfer_size":0}}`+"\x00"), unix.EINVAL},
		{"bytes behind", wire.Version, raw(0, 0, "{}\x00{}\x00"), unix.EINVAL},
		{"short", wire.Version, []byte{0, 0}, unix.EINVAL},
		{"another command first", wire.DeviceReset, nil, unix.EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkLeaks(t)
			w := newServer(t)
			w.connect(t)
			defer w.hangUp()
			if _, err := w.c.Do(tt.cmd, tt.payload); !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if tt.name == "short" {
				return // a malformed message like any other
			}
			if _, err := w.c.Do(wire.DeviceReset, nil); !errors.Is(err, io.EOF) {
				t.Errorf("next command: %v, want the end of the connection", err)
			}
		})
	}
}

func TestVersionTwice(t *testing.T) {
	w := dial(t)
	if _, err := w.c.Version(""); !errors.Is(err, unix.EINVAL) {
		t.Errorf("second VERSION: %v, want EINVAL", err)
	}
	w.readReg(t, 0)
}

func TestNewerMinorVersion(t *testing.T) {
	checkLeaks(t)
	w := newServer(t)
	w.connect(t)
	defer w.hangUp()
	r, err := w.c.Do(wire.Version, []byte{0, 0, 7, 7})
	if err != nil || len(r) != wire.VersionSize || wire.Order.Uint32(r) != 0 {
		t.Errorf("reply % x, %v, want version 0.0", r, err)
	}
}

func TestInfo(t *testing.T) {
	w := dial(t)
	do := func(cmd wire.Command, p []byte) []byte {
		t.Helper()
		r, err := w.c.Do(cmd, p)
		if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		return r
	}
	dev := do(wire.DeviceGetInfo, vfiotest.Payload(wire.DeviceInfo{Argsz: 16}))
	if diff := cmp.Diff(wire.DeviceInfo{Argsz: 16, Flags: 3, NumRegions: 9, NumIRQs: 5}, wire.Get[wire.DeviceInfo](dev)); diff != "" {
		t.Errorf("device info (-want +got):\n%s", diff)
	}
	for i := range uint32(9) {
		want := wire.RegionInfo{Argsz: 32, Index: i}
		switch i {
		case 0:
			want.Size, want.Flags = barSize, 3
		case 7:
			want.Size, want.Flags = 256, 3
		}
		got := do(wire.DeviceGetRegion, vfiotest.Payload(wire.RegionInfo{Argsz: 4096, Index: i}))
		if diff := cmp.Diff(want, wire.Get[wire.RegionInfo](got)); diff != "" {
			t.Errorf("region %d (-want +got):\n%s", i, diff)
		}
		fds := do(wire.DeviceGetRegionFDs, vfiotest.Payload(wire.RegionFDs{Argsz: 4096, Index: i}))
		if diff := cmp.Diff(wire.RegionFDs{Argsz: 16, Index: i}, wire.Get[wire.RegionFDs](fds)); diff != "" {
			t.Errorf("file descriptors of region %d (-want +got):\n%s", i, diff)
		}
	}
	for i := range uint32(5) {
		want := wire.IRQInfo{Argsz: 16, Index: i}
		if i == 0 {
			want.Flags, want.Count = 7, 1
		}
		got := do(wire.DeviceGetIRQ, vfiotest.Payload(wire.IRQInfo{Argsz: 16, Index: i}))
		if diff := cmp.Diff(want, wire.Get[wire.IRQInfo](got)); diff != "" {
			t.Errorf("interrupt %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestRegionAccess(t *testing.T) {
	w := dial(t)
	for _, n := range []int{1, 2, 4, 8} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(0x10*n + i)
		}
		for _, off := range []uint64{0x1000, barSize - 8} {
			if err := w.c.Write(0, off, want); err != nil {
				t.Fatal(err)
			}
			got, err := w.c.Read(0, off, n)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%d bytes at %#x: %v (-want +got):\n%s", n, off, err, diff)
			}
		}
	}
	// A posted write is done before a later read.
	for i := range uint32(100) {
		w.c.PostWrite(0, 0x2000, u32(i))
		if got := w.readReg(t, 0x2000); got != i {
			t.Fatalf("read %d after posted write of %d", got, i)
		}
	}
	if _, err := w.c.Read(0, regFail, 4); !errors.Is(err, unix.EIO) {
		t.Errorf("device error without errno: %v, want EIO", err)
	}
	if err := w.c.Write(0, regFail, u32(0)); !errors.Is(err, unix.EPERM) {
		t.Errorf("device error with errno: %v, want EPERM", err)
	}
}

func TestWriteMulti(t *testing.T) {
	w := dial(t)
	p := vfiotest.Writes(0, []uint64{0x1000, 0x1004, 0x1000}, []uint32{1, 2, 3})
	r, err := w.c.Do(wire.RegionWriteMulti, p)
	if err != nil || len(r) != 8 || wire.Order.Uint64(r) != 3 {
		t.Errorf("reply % x, %v, want 3 writes", r, err)
	}
	if a, b := w.readReg(t, 0x1000), w.readReg(t, 0x1004); a != 3 || b != 2 {
		t.Errorf("registers are %d, %d, want 3, 2", a, b)
	}
	if err := w.c.Post(wire.RegionWriteMulti, vfiotest.Writes(0, []uint64{0x1008}, []uint32{9})); err != nil {
		t.Fatal(err)
	}
	if got := w.readReg(t, 0x1008); got != 9 {
		t.Errorf("register is %d after a posted multi write, want 9", got)
	}
}

func TestConfigSpace(t *testing.T) {
	w := dial(t)
	c, err := w.c.Read(wire.RegionConfig, 0, 256)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	for _, f := range []struct {
		name      string
		got, want uint32
	}{
		{"vendor", uint32(le.Uint16(c)), 0x17cb},
		{"device", uint32(le.Uint16(c[2:])), 0xce50},
		{"class and revision", le.Uint32(c[8:]), 0x10800103},
		{"header type", uint32(c[0xe]), 0},
		{"BAR0", le.Uint32(c[0x10:]), 0},
		{"subsystem vendor", uint32(le.Uint16(c[0x2c:])), 0x1234},
		{"subsystem", uint32(le.Uint16(c[0x2e:])), 0x5678},
		{"capabilities", uint32(c[0x34]), 0},
		{"interrupt pin", uint32(c[0x3d]), 1},
	} {
		if f.got != f.want {
			t.Errorf("%s is %#x, want %#x", f.name, f.got, f.want)
		}
	}
	for _, tt := range []struct {
		name     string
		off      uint64
		write    []byte
		wantBack []byte
	}{
		{"BAR sizing", 0x10, u32(0xffffffff), u32(0xfffc0000)},
		{"BAR address", 0x10, u32(0x10000000), u32(0x10000000)},
		{"BAR misaligned", 0x10, u32(0x1001ffff), u32(0x10000000)},
		{"BAR byte", 0x13, []byte{0x20}, []byte{0x20}},
		{"BAR1 does not exist", 0x14, u32(0xffffffff), u32(0)},
		{"ROM does not exist", 0x30, u32(0xffffffff), u32(0)},
		{"command", 4, []byte{0xff, 0xff}, []byte{0x46, 0x05}},
		{"status", 6, []byte{0xff, 0xff}, []byte{0, 0}},
		{"vendor is fixed", 0, u32(0), u32(0xce5017cb)},
		{"interrupt line", 0x3c, []byte{35, 9}, []byte{35, 1}},
	} {
		if err := w.c.Write(wire.RegionConfig, tt.off, tt.write); err != nil {
			t.Fatal(err)
		}
		got, err := w.c.Read(wire.RegionConfig, tt.off, len(tt.write))
		if diff := cmp.Diff(tt.wantBack, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	if err := w.c.Reset(); err != nil {
		t.Fatal(err)
	}
	after, err := w.c.Read(wire.RegionConfig, 0, 256)
	if diff := cmp.Diff(c, after); err != nil || diff != "" {
		t.Errorf("after reset: %v (-want +got):\n%s", err, diff)
	}
	w.writeReg(t, regLine, 1)
	if s, err := w.c.Read(wire.RegionConfig, 6, 2); err != nil || s[0] != 1<<3 {
		t.Errorf("status with the line high is % x, %v", s, err)
	}
}

func TestReset(t *testing.T) {
	w := dial(t)
	w.writeReg(t, 0x1000, 5)
	if err := w.c.Reset(); err != nil {
		t.Fatal(err)
	}
	got := w.readReg(t, 0x1000)
	w.dev.mu.Lock()
	defer w.dev.mu.Unlock()
	if got != 0 || w.dev.resets != 1 {
		t.Errorf("register is %d after %d resets, want 0 after 1", got, w.dev.resets)
	}
}

func TestDeviceFeature(t *testing.T) {
	w := dial(t)
	const get, set, probe = wire.FeatureGet, wire.FeatureSet, wire.FeatureProbe
	for _, tt := range []struct {
		name         string
		argsz, flags uint32
		want         error
	}{
		{"probe migration", 8, 1 | probe, unix.ENOTTY},
		{"probe get and set", 8, 2 | probe | get | set, unix.ENOTTY},
		{"get migration", 16, 1 | get, unix.ENOTTY},
		{"set state", 16, 2 | set, unix.ENOTTY},
		{"unknown feature", 8, 0xffff | get, unix.ENOTTY},
		{"get and set", 8, 1 | get | set, unix.EINVAL},
		{"no operation", 8, 1, unix.EINVAL},
		{"unknown operation", 8, 1 | get | 1<<19, unix.EINVAL},
		{"argsz", 4, 1 | get, unix.EINVAL},
	} {
		if _, err := w.c.Do(wire.DeviceFeature, vfiotest.Payload(wire.Feature{Argsz: tt.argsz, Flags: tt.flags})); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestSharedMemory: DMA of the device goes to the client's files.
func TestSharedMemory(t *testing.T) {
	w := dial(t)
	ram := memfd(t, 0x10000)
	if err := w.c.Map(int(ram.Fd()), wire.Map{Flags: 3, Addr: 0x40000000, Size: 0x8000, Offset: 0x4000}); err != nil {
		t.Fatal(err)
	}
	if err := w.c.Map(int(ram.Fd()), wire.Map{Flags: 1, Addr: 0x50000000, Size: 0x1000}); err != nil {
		t.Fatal(err)
	}
	ram.WriteAt([]byte("sixteen bytes ok"), 0x4100)
	w.writeReg(t, regDMA, 0x40000100)
	var got [16]byte
	ram.ReadAt(got[:], 0x4110)
	for i := range got {
		got[i] = ^got[i]
	}
	if string(got[:]) != "sixteen bytes ok" {
		t.Errorf("device wrote %q", got)
	}
	if f := w.dev.takeFaults(); f != nil {
		t.Errorf("faults: %v", f)
	}
	for _, tt := range []struct {
		name string
		addr uint32
		want string
	}{
		{"read-only", 0x50000000, "bus write of 16 bytes at 0x50000010: read-only"},
		{"outside", 0x60000000, "bus read of 16 bytes at 0x60000000: unmapped"},
		{"past the end", 0x40007ff8, "bus read of 16 bytes at 0x40007ff8: unmapped"},
	} {
		w.writeReg(t, regDMA, tt.addr)
		if diff := cmp.Diff("["+tt.want+"]", fmt.Sprint(w.dev.takeFaults())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	ram.Truncate(0)
	w.writeReg(t, regDMA, 0x40000100)
	if diff := cmp.Diff("[bus read of 16 bytes at 0x40000100: backing file truncated]", fmt.Sprint(w.dev.takeFaults())); diff != "" {
		t.Errorf("truncated file (-want +got):\n%s", diff)
	}
}

func TestMapUnmap(t *testing.T) {
	w := dial(t)
	ram := memfd(t, 0x100000)
	fd := int(ram.Fd())
	for _, tt := range []struct {
		name string
		do   func() error
		want error
	}{
		{"map", func() error { return w.c.Map(fd, wire.Map{Flags: 3, Addr: 0x1000, Size: 0x2000}) }, nil},
		{"overlap", func() error { return w.c.Map(fd, wire.Map{Flags: 3, Addr: 0x2000, Size: 0x2000}) }, unix.EEXIST},
		{"overlap unshared", func() error { return w.c.Map(-1, wire.Map{Flags: 3, Addr: 0x2000, Size: 0x2000}) }, unix.EEXIST},
		{"no access", func() error { return w.c.Map(fd, wire.Map{Addr: 0x10000, Size: 0x2000}) }, unix.EINVAL},
		{"unknown flag", func() error { return w.c.Map(fd, wire.Map{Flags: 7, Addr: 0x10000, Size: 0x2000}) }, unix.EINVAL},
		{"wraps", func() error { return w.c.Map(fd, wire.Map{Flags: 3, Addr: ^uint64(0xfff), Size: 0x2000}) }, unix.EINVAL},
		{"unaligned", func() error { return w.c.Map(fd, wire.Map{Flags: 3, Addr: 0x10010, Size: 0x2000}) }, unix.EINVAL},
		{"unmap part", func() error { return w.c.Unmap(wire.Unmap{Addr: 0x1000, Size: 0x1000}) }, unix.EINVAL},
		{"unmap nothing", func() error { return w.c.Unmap(wire.Unmap{Addr: 0x80000, Size: 0x1000}) }, unix.ENOENT},
		{"dirty bitmap", func() error { return w.c.Unmap(wire.Unmap{Flags: 1, Addr: 0x1000, Size: 0x2000}) }, unix.EINVAL},
		{"unmap", func() error { return w.c.Unmap(wire.Unmap{Addr: 0x1000, Size: 0x2000}) }, nil},
		{"unmap again", func() error { return w.c.Unmap(wire.Unmap{Addr: 0x1000, Size: 0x2000}) }, unix.ENOENT},
		{"map again", func() error { return w.c.Map(fd, wire.Map{Flags: 3, Addr: 0x1000, Size: 0x2000}) }, nil},
		{"map another", func() error { return w.c.Map(fd, wire.Map{Flags: 3, Addr: 0x3000, Size: 0x1000}) }, nil},
		{"unmap all, with address", func() error { return w.c.Unmap(wire.Unmap{Flags: 2, Addr: 0x1000, Size: 0x2000}) }, unix.EINVAL},
		{"unmap all", func() error { return w.c.Unmap(wire.Unmap{Flags: 2}) }, nil},
		{"unmap after all", func() error { return w.c.Unmap(wire.Unmap{Addr: 0x3000, Size: 0x1000}) }, unix.ENOENT},
	} {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if n := mappings(t); n != 0 {
		t.Errorf("%d mappings left", n)
	}
}

// TestCoalesced: file descriptors find their message when several arrive at once.
func TestCoalesced(t *testing.T) {
	w := dial(t)
	ram := memfd(t, 0x10000)
	// While the device is in a write, the messages behind it pile up.
	w.c.PostWrite(0, regBlock, u32(0))
	<-w.dev.entered
	type sent struct {
		name  string
		reply <-chan vfiotest.Reply
	}
	var all []sent
	start := func(name string, cmd wire.Command, p []byte, fds ...int) {
		all = append(all, sent{name, w.c.Start(cmd, p, fds...)})
	}
	mp := func(addr uint64) []byte {
		return vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Addr: addr, Size: 0x1000})
	}
	irq := make([]byte, wire.IRQSetSize)
	(&wire.IRQSet{Argsz: 20, Flags: wire.IRQDataEventfd | wire.IRQActionTrigger, Count: 1}).Put(irq)
	start("unshared", wire.DMAMap, mp(0x1000))
	start("shared", wire.DMAMap, mp(0x2000), int(ram.Fd()))
	start("write", wire.RegionWrite, vfiotest.Access(0, regBuf, 4, u32(7)))
	start("unshared too", wire.DMAMap, mp(0x3000))
	start("eventfd", wire.DeviceSetIRQs, irq, newEvent(t).fd)
	start("shared too", wire.DMAMap, mp(0x4000), int(ram.Fd()))
	start("read", wire.RegionRead, vfiotest.Access(0, regBuf, 4, nil))
	w.dev.leave <- struct{}{}
	for _, s := range all {
		r, ok := <-s.reply
		if !ok || r.Err() != nil {
			t.Errorf("%s: %v, answered %v", s.name, r.Err(), ok)
		}
	}
	if n := mappings(t); n != 2 {
		t.Errorf("%d ranges mapped from the file, want 2", n)
	}
}

func TestNewErrors(t *testing.T) {
	for _, size := range []uint64{0, 1024, 0x3000, 1 << 32} {
		if _, err := vfiouser.New(vfiouser.Config{Device: newModel(), BARSize: size}); err == nil {
			t.Errorf("New with a BAR of %#x bytes succeeded", size)
		}
	}
}
