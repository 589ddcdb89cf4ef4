package vfiouser_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/vfiotest"
	"github.com/qcemu/qcemu/vhostuser/vfiouser/wire"
)

// rawConn is a session that a test drives byte by byte.
type rawConn struct {
	t    testing.TB
	w    *world
	sock *vhostuser.Socket
	fd   int // of sock
}

func dialRaw(t testing.TB) *rawConn {
	t.Helper()
	w := newServer(t)
	sock, fd := w.join(t)
	return &rawConn{t, w, sock, fd}
}

func (r *rawConn) raw(b []byte, fds ...int) {
	// The server may have closed the connection: that is seen by recv.
	r.sock.Send(b, nil, fds...)
}

func (r *rawConn) send(h wire.Header, p []byte, fds ...int) { r.raw(vfiotest.Encode(h, p), fds...) }

func (r *rawConn) version() {
	r.t.Helper()
	r.send(wire.Header{ID: 1, Cmd: wire.Version}, make([]byte, 4))
	if h, err := r.recv(); err != nil || h.Flags != wire.TypeReply {
		r.t.Fatalf("VERSION: %+v, %v", h, err)
	}
}

// recv receives one message. The error is io.EOF at the end.
func (r *rawConn) recv() (wire.Header, error) {
	r.t.Helper()
	var h wire.Header
	b := make([]byte, wire.HeaderSize)
	if err := r.fill(b); err != nil {
		return h, err
	}
	h.Get(b)
	return h, r.fill(make([]byte, h.Size-wire.HeaderSize))
}

func (r *rawConn) fill(b []byte) error {
	for len(b) > 0 {
		n, _, err := r.sock.Recv(b, true)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// close hangs up and waits for the end of the session.
func (r *rawConn) close() {
	r.sock.Close()
	<-r.w.ended
	r.w.cancel()
}

// TestRefused: commands that are wrong get an errno, and the session goes on.
func TestRefused(t *testing.T) {
	w := dial(t)
	f := int(memfd(t, 0x1000).Fd())
	acc := vfiotest.Access
	info := func(argsz, index uint32) []byte {
		return vfiotest.Payload(wire.RegionInfo{Argsz: argsz, Index: index})
	}
	multi := func(count uint64, rest ...[]byte) []byte {
		b := wire.Order.AppendUint64(nil, count)
		for _, r := range rest {
			b = append(b, r...)
		}
		return b
	}
	one := func(region uint32, off uint64, count int) []byte { return acc(region, off, count, make([]byte, 8)) }
	for _, tt := range []struct {
		name string
		cmd  wire.Command
		p    []byte
		fds  []int
		want unix.Errno
	}{
		{"unknown command", 99, nil, nil, unix.ENOSYS},
		{"command 0", 0, nil, nil, unix.ENOSYS},
		{"command 14", 14, nil, nil, unix.ENOSYS},
		{"highest command", 0xffff, nil, []int{f}, unix.ENOSYS},
		{"DMA_READ from the client", wire.DMARead, make([]byte, 16), nil, unix.ENOSYS},
		{"DMA_WRITE from the client", wire.DMAWrite, make([]byte, 32), nil, unix.ENOSYS},
		{"migration read", wire.MigDataRead, make([]byte, 8), nil, unix.EOPNOTSUPP},
		{"migration write", wire.MigDataWrite, make([]byte, 8), nil, unix.EOPNOTSUPP},

		{"short info", wire.DeviceGetInfo, make([]byte, 15), nil, unix.EINVAL},
		{"info argsz", wire.DeviceGetInfo, make([]byte, 16), nil, unix.EINVAL},
		{"info with fd", wire.DeviceGetInfo, vfiotest.Payload(wire.DeviceInfo{Argsz: 16}), []int{f}, unix.EINVAL},
		{"short region info", wire.DeviceGetRegion, info(32, 0)[:31], nil, unix.EINVAL},
		{"region info argsz", wire.DeviceGetRegion, info(31, 0), nil, unix.EINVAL},
		{"no such region", wire.DeviceGetRegion, info(32, 9), nil, unix.EINVAL},
		{"region -1", wire.DeviceGetRegion, info(32, ^uint32(0)), nil, unix.EINVAL},
		{"no such irq", wire.DeviceGetIRQ, vfiotest.Payload(wire.IRQInfo{Argsz: 16, Index: 5}), nil, unix.EINVAL},
		{"irq argsz", wire.DeviceGetIRQ, vfiotest.Payload(wire.IRQInfo{Argsz: 15}), nil, unix.EINVAL},
		{"region fds index", wire.DeviceGetRegionFDs, vfiotest.Payload(wire.RegionFDs{Argsz: 16, Index: 9}), nil, unix.EINVAL},
		{"region fds flags", wire.DeviceGetRegionFDs, vfiotest.Payload(wire.RegionFDs{Argsz: 16, Flags: 1}), nil, unix.EINVAL},
		{"short feature", wire.DeviceFeature, make([]byte, 7), nil, unix.EINVAL},
		{"reset with payload", wire.DeviceReset, []byte{1}, nil, unix.EINVAL},
		{"short set irqs", wire.DeviceSetIRQs, make([]byte, 19), nil, unix.EINVAL},

		{"short read", wire.RegionRead, acc(0, 0, 4, nil)[:15], nil, unix.EINVAL},
		{"long read", wire.RegionRead, acc(0, 0, 4, []byte{1}), nil, unix.EINVAL},
		{"read with fd", wire.RegionRead, acc(0, 0, 4, nil), []int{f}, unix.EINVAL},
		{"read of 0", wire.RegionRead, acc(0, 0, 0, nil), nil, unix.EINVAL},
		{"read of 3", wire.RegionRead, acc(0, 0, 3, nil), nil, unix.EINVAL},
		{"read of 16", wire.RegionRead, acc(0, 0, 16, nil), nil, unix.EINVAL},
		{"giant read", wire.RegionRead, acc(0, 0, 0xffffffff, nil), nil, unix.EINVAL},
		{"misaligned read", wire.RegionRead, acc(0, 2, 4, nil), nil, unix.EINVAL},
		{"read across the end", wire.RegionRead, acc(0, barSize-4, 8, nil), nil, unix.EINVAL},
		{"read at the end", wire.RegionRead, acc(0, barSize, 4, nil), nil, unix.EINVAL},
		{"read far out", wire.RegionRead, acc(0, ^uint64(3), 4, nil), nil, unix.EINVAL},
		{"read of an empty region", wire.RegionRead, acc(1, 0, 4, nil), nil, unix.EINVAL},
		{"read of no region", wire.RegionRead, acc(9, 0, 4, nil), nil, unix.EINVAL},
		{"config past the end", wire.RegionRead, acc(7, 255, 2, nil), nil, unix.EINVAL},
		{"config, all and one", wire.RegionRead, acc(7, 0, 257, nil), nil, unix.EINVAL},
		{"write without data", wire.RegionWrite, acc(0, 0, 4, nil), nil, unix.EINVAL},
		{"write with less", wire.RegionWrite, acc(0, 0, 4, []byte{1, 2, 3}), nil, unix.EINVAL},
		{"write with more", wire.RegionWrite, acc(0, 0, 4, make([]byte, 5)), nil, unix.EINVAL},
		{"giant write", wire.RegionWrite, acc(0, 0, 0xffffffff, []byte{1}), nil, unix.EINVAL},
		{"large write", wire.RegionWrite, acc(0, 0, 1<<16, make([]byte, 1<<16)), nil, unix.EINVAL},
		{"write past config", wire.RegionWrite, acc(7, 254, 4, make([]byte, 4)), nil, unix.EINVAL},

		{"multi without count", wire.RegionWriteMulti, make([]byte, 7), nil, unix.EINVAL},
		{"multi giant count", wire.RegionWriteMulti, multi(1<<61, one(0, 0, 4)), nil, unix.EINVAL},
		{"multi less", wire.RegionWriteMulti, multi(2, one(0, 0, 4)), nil, unix.EINVAL},
		{"multi more", wire.RegionWriteMulti, multi(1, one(0, 0, 4), one(0, 0, 4)), nil, unix.EINVAL},
		{"multi cut", wire.RegionWriteMulti, multi(1, one(0, 0, 4)[:23]), nil, unix.EINVAL},
		{"multi of 9 bytes", wire.RegionWriteMulti, multi(1, one(7, 0, 9)), nil, unix.EINVAL},
		{"multi of 3 bytes", wire.RegionWriteMulti, multi(1, one(0, 0, 3)), nil, unix.EINVAL},
		{"multi device error", wire.RegionWriteMulti, multi(2, one(0, regFail, 4), one(0, 0, 4)), nil, unix.EPERM},

		{"map cut", wire.DMAMap, vfiotest.Payload(wire.Map{Argsz: 32})[:31], nil, unix.EINVAL},
		{"map argsz", wire.DMAMap, vfiotest.Payload(wire.Map{Argsz: 31, Flags: 3, Size: 0x1000}), nil, unix.EINVAL},
		{"map long", wire.DMAMap, append(vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Size: 0x1000}), 0), nil, unix.EINVAL},
		{"map two fds", wire.DMAMap, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Size: 0x1000}), []int{f, f}, unix.EINVAL},
		{"map 16 fds", wire.DMAMap, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Size: 0x1000}), []int{f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f}, unix.EINVAL},
		{"map giant", wire.DMAMap, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Size: 1 << 62}), []int{f}, unix.ENOMEM},
		{"unmap cut", wire.DMAUnmap, make([]byte, 23), nil, unix.EINVAL},
		{"unmap argsz", wire.DMAUnmap, make([]byte, 24), nil, unix.EINVAL},
		{"unmap with fd", wire.DMAUnmap, vfiotest.Payload(wire.Unmap{Argsz: 24, Flags: 2}), []int{f}, unix.EINVAL},
	} {
		if _, err := w.c.Do(tt.cmd, tt.p, tt.fds...); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		// Posted, nobody is told.
		w.c.Post(tt.cmd, tt.p, tt.fds...)
	}
	w.readReg(t, 0)
	if n := strings.Count(w.log.String(), "request refused"); n == 0 || n > 16 {
		t.Errorf("%d complaints logged", n)
	}
}

// TestClosed: streams that make no sense end the session.
func TestClosed(t *testing.T) {
	header := func(size uint32, flags uint32) []byte {
		b := make([]byte, wire.HeaderSize)
		(&wire.Header{ID: 5, Cmd: wire.DeviceReset, Size: size, Flags: flags}).Put(b)
		return b
	}
	f := int(memfd(t, 0x1000).Fd())
	many := make([]int, 17)
	for i := range many {
		many[i] = f
	}
	for _, tt := range []struct {
		name string
		b    []byte
		fds  []int
	}{
		{"size 0", header(0, 0), nil},
		{"size 15", header(15, 0), nil},
		{"oversized", header(2<<20, 0), nil},
		{"giant", header(^uint32(0), 0), nil},
		{"giant with fds", header(^uint32(0), 0), []int{f, f}},
		{"unknown type", header(16, 2), nil},
		{"too many fds", header(16, 0), many},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkLeaks(t)
			r := dialRaw(t)
			defer r.close()
			r.version()
			if tt.name == "too many fds" { // Send would refuse to send them
				rights := unix.UnixRights(tt.fds...)
				sendmsg(t, r, tt.b, rights)
			} else {
				r.raw(tt.b, tt.fds...)
			}
			if h, err := r.recv(); err != io.EOF {
				t.Errorf("answer %+v, %v, want the end", h, err)
			}
			<-r.w.ended
			if !strings.Contains(r.w.log.String(), "connection closed") {
				t.Error("not logged")
			}
		})
	}
}

func sendmsg(t *testing.T, r *rawConn, b, oob []byte) {
	t.Helper()
	if err := unix.Sendmsg(r.fd, b, oob, nil, unix.MSG_NOSIGNAL); err != nil {
		t.Fatal(err)
	}
}

// TestFDFlood: a message that never ends, each byte with file descriptors.
func TestFDFlood(t *testing.T) {
	checkLeaks(t)
	f := int(memfd(t, 0x1000).Fd())
	r := dialRaw(t)
	defer r.close()
	r.version()
	b := make([]byte, wire.HeaderSize+1000)
	(&wire.Header{ID: 2, Cmd: wire.DMAMap, Size: uint32(len(b))}).Put(b)
	for i := range b {
		r.raw(b[i:i+1], f, f)
	}
	if h, err := r.recv(); err != io.EOF {
		t.Errorf("answer %+v, %v, want the end", h, err)
	}
}

// TestPieces: a message may arrive in any number of pieces.
func TestPieces(t *testing.T) {
	checkLeaks(t)
	f := int(memfd(t, 0x1000).Fd())
	r := dialRaw(t)
	defer r.close()
	r.version()
	m := vfiotest.Encode(wire.Header{ID: 2, Cmd: wire.DMAMap}, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Size: 0x1000}))
	r.raw(m[:1], f)
	for i := 1; i < len(m); i++ {
		r.raw(m[i : i+1])
	}
	if h, err := r.recv(); err != nil || h.Flags != wire.TypeReply {
		t.Errorf("answer %+v, %v", h, err)
	}
	if n := mappings(t); n != 1 {
		t.Errorf("%d mappings, want 1", n)
	}
}

// TestCutOff: the client goes away in the middle of a message.
func TestCutOff(t *testing.T) {
	f := int(memfd(t, 0x1000).Fd())
	m := vfiotest.Encode(wire.Header{ID: 2, Cmd: wire.DMAMap}, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Size: 0x1000}))
	for n := range len(m) {
		checkLeaks(t)
		r := dialRaw(t)
		r.version()
		if n > 0 {
			r.raw(m[:n], f)
		}
		r.close()
	}
}

// TestDuplicateIDs: message IDs are the client's business.
func TestDuplicateIDs(t *testing.T) {
	checkLeaks(t)
	r := dialRaw(t)
	defer r.close()
	r.version()
	for range 3 {
		r.send(wire.Header{ID: 7, Cmd: wire.RegionRead}, vfiotest.Access(0, 0, 4, nil))
	}
	for range 3 {
		if h, err := r.recv(); err != nil || h.ID != 7 || h.Cmd != wire.RegionRead || h.Flags != wire.TypeReply {
			t.Errorf("answer %+v, %v", h, err)
		}
	}
}

// TestUnexpectedReply: replies that nobody waits for are dropped.
func TestUnexpectedReply(t *testing.T) {
	checkLeaks(t)
	f := int(memfd(t, 0x1000).Fd())
	r := dialRaw(t)
	defer r.close()
	r.version()
	for id := range uint16(5) {
		r.send(wire.Header{ID: id, Cmd: wire.DMARead, Flags: wire.TypeReply}, make([]byte, 100), f)
	}
	r.send(wire.Header{ID: 7, Cmd: wire.RegionRead}, vfiotest.Access(0, 0, 4, nil))
	if h, err := r.recv(); err != nil || h.ID != 7 {
		t.Errorf("answer %+v, %v", h, err)
	}
}

// TestFloodWhileWaiting: commands without end while the device waits for memory.
func TestFloodWhileWaiting(t *testing.T) {
	checkLeaks(t)
	r := dialRaw(t)
	defer r.close()
	r.version()
	r.send(wire.Header{ID: 2, Cmd: wire.DMAMap}, vfiotest.Payload(wire.Map{Argsz: 32, Flags: 3, Addr: 0x40000000, Size: 0x1000}))
	r.recv()
	r.send(wire.Header{ID: 3, Cmd: wire.RegionWrite, Flags: wire.NoReply}, vfiotest.Access(0, regDMA, 4, u32(0x40000000)))
	m := vfiotest.Encode(wire.Header{ID: 4, Cmd: wire.RegionWrite, Flags: wire.NoReply}, vfiotest.Access(0, 0x1000, 4, u32(1)))
	for range 100_000 {
		if r.sock.Send(m, nil) != nil {
			break
		}
	}
	<-r.w.ended
	if !strings.Contains(r.w.log.String(), "too many messages") {
		t.Errorf("log: %s", r.w.log)
	}
}

// TestRandomBytes sends noise, and proper messages with noise in them.
func TestRandomBytes(t *testing.T) {
	checkLeaks(t)
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := dialRaw(t)
		r.version()
		for range 50 {
			p := make([]byte, rnd.IntN(80))
			for i := range p {
				p[i] = byte(1 << rnd.IntN(10) >> 1) // few bits set: small numbers, single flags
			}
			if rnd.IntN(30) == 0 {
				r.raw(p)
				break
			}
			r.send(wire.Header{Cmd: wire.Command(rnd.IntN(20)), Flags: uint32(rnd.IntN(2)) << 4}, p)
		}
		r.close()
	}
}
