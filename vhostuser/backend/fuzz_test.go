package backend_test

import (
	"context"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qcemu/qcemu/vhostuser/backend/wire"
	"github.com/qcemu/qcemu/vhostuser/vhosttest"
)

// script is what a front-end sends, one message after the other: a request, a
// byte of flags (of which the upper half says which descriptors go along), and
// a payload.
type script []byte

func (s *script) add(r wire.Request, descriptors byte, payload ...any) {
	var body []byte
	for _, p := range payload {
		body, _ = binary.Append(body, wire.Order, p)
	}
	*s = append(*s, byte(r), descriptors<<4|wire.Version, byte(len(body)), byte(len(body)>>8))
	*s = append(*s, body...)
}

// next takes one message apart.
func (s *script) next() (head [wire.HeaderSize]byte, body []byte, descriptors byte, ok bool) {
	p := *s
	if len(p) < 4 {
		return head, nil, 0, false
	}
	n := int(binary.LittleEndian.Uint16(p[2:])) & 0xfff
	body = p[4:min(len(p), 4+n)]
	(&wire.Header{Request: wire.Request(p[0]), Flags: uint32(p[1] & 15), Size: uint32(len(body))}).Put(head[:])
	*s = p[4+len(body):]
	return head, body, p[1] >> 4, true
}

// FuzzSession sends messages with and without descriptors, memory, eventfds and
// sockets among them. The back-end must not crash or hang, and give back all
// that it got.
func FuzzSession(f *testing.F) {
	low := wire.Region{GuestAddr: guestLow, Size: ramSize, UserAddr: userLow, Offset: 4096}
	var start, more script
	start.add(wire.SetProtocolFeatures, 0, uint64(wire.ProtocolReplyAck|wire.ProtocolConfigureMemSlots|wire.ProtocolInflightShmFD|wire.ProtocolLogShmFD|wire.ProtocolConfig|wire.ProtocolCryptoSession|wire.ProtocolBackendReq|wire.ProtocolInbandNotify))
	start.add(wire.SetOwner, 0)
	start.add(wire.SetFeatures, 0, uint64(virtioFeatures|wire.FeatureProtocol))
	start.add(wire.SetMemTable, 1, wire.MemTable{Count: 1}, low)
	start.add(wire.SetVringNum, 0, wire.VringState{Num: 8})
	start.add(wire.SetVringAddr, 0, wire.VringAddr{Descriptor: userLow, Avail: userLow + 128, Used: userLow + 152})
	start.add(wire.SetVringCall, 2, uint64(0))
	start.add(wire.SetVringKick, 2, uint64(0))
	start.add(wire.SetVringEnable, 0, wire.VringState{Num: 1})
	start.add(wire.GetVringBase, 0, wire.VringState{})
	more = append(more, start...)
	more.add(wire.GetInflightFD, 0, wire.Inflight{Queues: 1, QueueSize: 8})
	more.add(wire.SetInflightFD, 1, wire.Inflight{MapSize: ramSize, Queues: 1, QueueSize: 8})
	more.add(wire.SetLogBase, 1, wire.Log{Size: 4096})
	more.add(wire.SetBackendReqFD, 3)
	more.add(wire.GetConfig, 0, wire.Config{Size: 4}, uint32(0))
	more.add(wire.CreateCryptoSession, 0, make([]byte, wire.CryptoSessionSize))
	more.add(wire.VringKick, 0, wire.VringState{})
	f.Add([]byte(start))
	f.Add([]byte(more))

	ram := vhosttest.NewRAM(f, guestLow, userLow, ramSize)
	event := vhosttest.NewEvent(f)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.Fatal(err)
	}
	sets := [][]int{nil, {ram.FD}, {event.FD}, {pair[0]}, {ram.FD, ram.FD}, {event.FD, event.FD}}
	server := newServer(newInverter(), nil)
	f.Fuzz(func(t *testing.T, input []byte) {
		maps := mappings(t)
		front, sock := vhosttest.Pair(t)
		over := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { over <- server.ServeConn(ctx, sock) }()
		go func() { // answers are not looked at, but read
			b := make([]byte, 4096)
			for {
				_, fds, err := front.Sock.Recv(b, true)
				for _, fd := range fds {
					unix.Close(fd)
				}
				if err != nil {
					return
				}
			}
		}()
		s := script(input)
		for range 64 {
			head, body, descriptors, ok := s.next()
			if !ok || front.Sock.Send(head[:], body, sets[int(descriptors)%len(sets)]...) != nil {
				break
			}
		}
		front.Sock.Shutdown()
		select {
		case err := <-over:
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the session does not end")
		}
		if got := mappings(t); got > maps {
			t.Fatalf("%d mappings, %d before", got, maps)
		}
	})
}
