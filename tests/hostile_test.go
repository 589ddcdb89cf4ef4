package tests

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/devices/cryptoblock"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// rawClient is a connection on which anything can be sent.
type rawClient struct {
	t testing.TB
	*net.UnixConn
}

func dialRaw(t testing.TB, s *server) *rawClient {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawClient{t, conn}
}

// send sends bytes with descriptors. That the server has hung up is no failure.
func (c *rawClient) send(b []byte, fds ...int) {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	c.WriteMsgUnix(b, oob, nil)
}

func (c *rawClient) command(cmd wire.Command, payload []byte, fds ...int) {
	c.send(vfiotest.Encode(wire.Header{ID: 7, Cmd: cmd}, payload), fds...)
}

func (c *rawClient) version() { c.command(wire.Version, make([]byte, wire.VersionSize)) }

// drain reads what the server still has to say, until it hangs up or says
// nothing for a moment.
func (c *rawClient) drain() {
	buf := make([]byte, 1<<16)
	for {
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// memfd is a file of guest memory.
func memfd(t testing.TB, size int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestHostileClients: whatever a client does, the backend lives, gives back
// what it was handed, and serves the next client.
func TestHostileClients(t *testing.T) {
	s := serve(t)
	goodClient(t, s, cryptoblock.DefaultSoC)
	eventually(t, "the first client's memory is unmapped", func() bool { return s.maps() == 0 })
	before := s.fds()

	ram := memfd(t, 1<<20)
	fd := int(ram.Fd())
	short := memfd(t, 4096)
	mapping := func(addr, size uint64) []byte {
		return vfiotest.Payload(wire.Map{Argsz: wire.MapSize, Flags: wire.MapRead | wire.MapWrite, Addr: addr, Size: size})
	}
	setIRQ := func(flags uint32) []byte {
		b := make([]byte, wire.IRQSetSize)
		(&wire.IRQSet{Argsz: wire.IRQSetSize, Flags: flags, Count: 1}).Put(b)
		return b
	}
	many := make([]int, 16)
	for i := range many {
		many[i] = fd
	}
	for _, attack := range []struct {
		name string
		do   func(*rawClient)
	}{
		{"silence", func(*rawClient) {}},
		{"half a header", func(c *rawClient) { c.send(make([]byte, 7)) }},
		{"a header that lies about its size", func(c *rawClient) {
			for _, size := range []uint32{0, 15, 1 << 31, 0xffffffff} {
				b := make([]byte, wire.HeaderSize)
				(&wire.Header{ID: 1, Cmd: wire.Version, Size: size}).Put(b)
				c.send(b)
			}
		}},
		{"no VERSION", func(c *rawClient) { c.command(wire.DeviceGetInfo, make([]byte, 16)) }},
		{"VERSION of another major", func(c *rawClient) { c.command(wire.Version, []byte{9, 0, 0, 0}) }},
		{"VERSION with bad JSON", func(c *rawClient) { c.command(wire.Version, append(make([]byte, 4), "{{{{\x00"...)) }},
		{"VERSION with a megabyte", func(c *rawClient) {
			c.command(wire.Version, append(make([]byte, 4), bytes.Repeat([]byte{' '}, 1<<20)...))
		}},
		{"descriptors with a half header", func(c *rawClient) { c.send(make([]byte, 3), many...) }},
		{"descriptors with every byte", func(c *rawClient) {
			c.version()
			for range 64 {
				c.send([]byte{0}, fd, fd)
			}
		}},
		{"too many descriptors", func(c *rawClient) {
			c.version()
			c.command(wire.DMAMap, mapping(0, 1<<20), append(many, many...)...)
		}},
		{"overlapping maps", func(c *rawClient) {
			c.version()
			for _, at := range []uint64{0, 4096, 1<<20 - 4096, 0} {
				c.command(wire.DMAMap, mapping(at, 1<<20), fd)
			}
		}},
		{"maps that wrap", func(c *rawClient) {
			c.version()
			c.command(wire.DMAMap, mapping(^uint64(0)-4095, 8192), fd)
			c.command(wire.DMAMap, mapping(0, ^uint64(0)&^4095), fd)
			c.command(wire.DMAMap, mapping(1, 4095), fd)
		}},
		{"a file that is too short, and used", func(c *rawClient) {
			c.version()
			c.command(wire.DMAMap, mapping(ramBase, 1<<20), int(short.Fd()))
			c.poke(t, fifoIn(ramBase+1<<19))
		}},
		{"a file that shrinks", func(c *rawClient) {
			f := memfd(t, 1<<20)
			c.version()
			c.command(wire.DMAMap, mapping(ramBase, 1<<20), int(f.Fd()))
			c.drain()
			f.Truncate(0)
			c.poke(t, fifoIn(ramBase))
		}},
		{"eventfds that are none", func(c *rawClient) {
			c.version()
			for _, a := range []uint32{wire.IRQActionTrigger, wire.IRQActionMask, wire.IRQActionUnmask} {
				c.command(wire.DeviceSetIRQs, setIRQ(wire.IRQDataEventfd|a), fd)
			}
		}},
		{"odd accesses", func(c *rawClient) {
			c.version()
			for _, a := range []struct {
				off uint64
				n   int
			}{{0, 3}, {1, 4}, {0x3ffff, 2}, {0x40000, 4}, {^uint64(0) - 3, 4}, {0, 0}, {0, 1 << 20}} {
				c.command(wire.RegionRead, vfiotest.Access(wire.RegionBAR0, a.off, a.n, nil))
				c.command(wire.RegionWrite, vfiotest.Access(wire.RegionBAR0, a.off, a.n, make([]byte, min(a.n, 4096))))
			}
		}},
		{"replies that nobody asked for", func(c *rawClient) {
			c.version()
			for id := range uint16(1000) {
				c.send(vfiotest.Encode(wire.Header{ID: id, Cmd: wire.DMARead, Flags: wire.TypeReply}, make([]byte, 64)))
			}
		}},
		{"memory that never answers", func(c *rawClient) {
			c.version()
			c.command(wire.DMAMap, mapping(ramBase, 1<<20)) // not shared
			c.poke(t, fifoIn(ramBase))
		}},
		{"requests without reading the replies", func(c *rawClient) {
			c.version()
			c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			read := vfiotest.Encode(wire.Header{ID: 1, Cmd: wire.RegionRead}, vfiotest.Access(wire.RegionConfig, 0, 256, nil))
			for range 1 << 14 {
				if _, err := c.Write(read); err != nil {
					break
				}
			}
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			c := dialRaw(t, s)
			c.t = t
			attack.do(c)
			c.drain()
			c.Close()
			s.alive()
			goodClient(t, s, cryptoblock.DefaultSoC)
		})
	}
	expectAtRest(t, s, before)
	s.stop()
}

// expectAtRest checks that a backend without clients holds no more than before.
func expectAtRest(t *testing.T, s *server, before []string) {
	t.Helper()
	eventually(t, "all memory is unmapped", func() bool { return s.maps() == 0 })
	// The first list may still have had the socket of a client that was just
	// going: fewer than before is no leak.
	eventually(t, "all descriptors are closed", func() bool { return len(s.fds()) <= len(before) })
}

// poke makes posted register writes.
func (c *rawClient) poke(t *testing.T, writes []regWrite) {
	t.Helper()
	for _, w := range writes {
		b := wire.Order.AppendUint32(nil, w.val)
		c.send(vfiotest.Encode(wire.Header{Cmd: wire.RegionWrite, Flags: wire.NoReply}, vfiotest.Access(wire.RegionBAR0, uint64(w.off), 4, b)))
	}
}

// TestRandomMessages mixes good messages with damaged ones, by seed.
func TestRandomMessages(t *testing.T) {
	s := serve(t)
	goodClient(t, s, cryptoblock.DefaultSoC)
	eventually(t, "the first client's memory is unmapped", func() bool { return s.maps() == 0 })
	before := s.fds()
	ram := memfd(t, 1<<20)
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := dialRaw(t, s)
		c.SetWriteDeadline(time.Now().Add(patience))
		c.version()
		for range 200 {
			b, fds := randomMessage(r, int(ram.Fd()))
			c.send(b, fds...)
		}
		c.drain()
		c.Close()
		s.alive()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	goodClient(t, s, cryptoblock.DefaultSoC)
	expectAtRest(t, s, before)
	s.stop()
}

// randomMessage is a message that is right, or nearly.
func randomMessage(r *rand.Rand, fd int) ([]byte, []int) {
	cmd := wire.Command(r.IntN(20))
	var p []byte
	switch cmd {
	case wire.DMAMap:
		p = vfiotest.Payload(wire.Map{Argsz: wire.MapSize, Flags: uint32(1 + r.IntN(3)), Addr: uint64(r.IntN(8)) << 19, Size: 1 << 20})
	case wire.DMAUnmap:
		p = vfiotest.Payload(wire.Unmap{Argsz: wire.UnmapSize, Addr: uint64(r.IntN(8)) << 19, Size: 1 << 20})
	case wire.RegionRead, wire.RegionWrite:
		n := []int{1, 2, 4, 8, 3}[r.IntN(5)]
		var data []byte
		if cmd == wire.RegionWrite {
			data = make([]byte, n)
			wire.Order.PutUint32(append(data[:0:0], make([]byte, 4)...), r.Uint32())
		}
		p = vfiotest.Access(uint32(r.IntN(9)), uint64(r.IntN(0x41000)), n, data)
	case wire.RegionWriteMulti:
		p = vfiotest.Writes(wire.RegionBAR0, []uint64{uint64(r.IntN(0x10000)) * 4, 0x100}, []uint32{r.Uint32(), r.Uint32()})
	case wire.DeviceSetIRQs:
		p = make([]byte, wire.IRQSetSize)
		(&wire.IRQSet{Argsz: wire.IRQSetSize, Flags: r.Uint32N(64), Count: r.Uint32N(3)}).Put(p)
	default:
		p = make([]byte, r.IntN(64))
	}
	b := vfiotest.Encode(wire.Header{ID: uint16(r.Uint32()), Cmd: cmd}, p)
	if r.IntN(4) == 0 { // damage behind the size, so that the stream stays in step
		for range 1 + r.IntN(3) {
			if at := r.IntN(len(b)); at < 4 || at >= 8 {
				b[at] = byte(r.Uint32())
			}
		}
	}
	var fds []int
	for range r.IntN(3) {
		fds = append(fds, fd)
	}
	return b, fds
}
